"""Files shared by the tests of invalid input."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.invalid_input.calls import section, whole


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``section.h5ad``, which is not analyzed, and ``result.h5ad``, which has all results."""
    folder = tmp_path_factory.mktemp("files")
    section().write_h5ad(folder / "result.h5ad")
    whole().write_h5ad(folder / "section.h5ad")
    return folder


@pytest.fixture(autouse=True)
def _no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacex.get._gene_layout._umap", lambda direction: direction[:, :2])
