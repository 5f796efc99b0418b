"""Unusual sections give valid results in every call, or raise a one-line error and stay unchanged."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from tests.invalid_input.calls import CALLS, whole
from tests.invalid_input.cases import SectionKind, assert_one_clear_line, state
from tests.invalid_input.sections import SECTIONS, in_parts

import spacex as sx
from spacex.cli import main

PLAIN = tuple(name for name, call in CALLS.items() if call.section and not call.fitted and name != "tl.markers")


def changed(kind: SectionKind) -> AnnData:
    adata = whole().copy()
    section = kind.change(adata)
    return section if isinstance(section, AnnData) else adata


PAIRS = [(kind, call) for kind in SECTIONS for call in kind.only or PLAIN]


@pytest.mark.parametrize(("kind", "call"), PAIRS, ids=[f"{kind.name}-{call}" for kind, call in PAIRS])
def test_functions(kind: SectionKind, call: str) -> None:
    adata = changed(kind)
    before = state(adata)
    if kind.message is None:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "invalid value|overflow", RuntimeWarning)
            CALLS[call](adata, **kind.settings)
        assert_valid(adata)
        return
    with pytest.raises(sx.InputError) as caught:
        CALLS[call](adata, **kind.settings)
    assert_one_clear_line(str(caught.value), kind.message)
    assert state(adata) == before


def assert_valid(adata: AnnData) -> None:
    """Assert that results are in their documented ranges."""
    if "X_spacex" in adata.varm:
        z = adata.varm["X_spacex"]
        assert (np.isfinite(z).all(axis=1) | np.isnan(z).all(axis=1)).all()
        assert adata.var["spacex_module_prob"].dropna().between(0, 1).all()
    if "spacex_svg_pvalue" in adata.var:
        assert adata.var["spacex_svg_pvalue"].dropna().between(0, 1).all()
    if "spacex_pixel" in adata.obsm:
        assert (adata.obsm["spacex_pixel"] >= 0).all()


def test_backed_section_equals_memory(tmp_path: Path) -> None:
    whole().write_h5ad(tmp_path / "a.h5ad")
    backed, plain = read_h5ad(tmp_path / "a.h5ad", backed="r"), whole().copy()
    for adata in (backed, plain):
        sx.tl.svg(adata)
    np.testing.assert_array_equal(backed.var["spacex_svg_score"], plain.var["spacex_svg_score"])
    backed.file.close()


def test_duplicate_entries_are_summed() -> None:
    parts, plain = whole().copy(), whole().copy()
    in_parts(parts)
    pd.testing.assert_frame_equal(sx.tl.markers(parts, groupby="domain"), sx.tl.markers(plain, groupby="domain"))
    imputed = [CALLS["tl.impute, reference"](adata).X for adata in (parts, plain)]
    np.testing.assert_array_equal(*imputed)
    for adata in (parts, plain):
        sx.tl.svg(adata)
    np.testing.assert_array_equal(parts.var["spacex_svg_score"], plain.var["spacex_svg_score"])


COMMANDS = [kind for kind in SECTIONS if kind.flags is not None and {"tl.embed", "tl.svg"} & set(kind.only or PLAIN)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMMANDS, ids=[kind.name for kind in COMMANDS])
def test_commands(kind: SectionKind, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path, out = tmp_path / "section.h5ad", tmp_path / "out"
    changed(kind).write_h5ad(path)
    flags = [*(kind.flags or ()), "--n-modules", "2"]
    code = main(["run", str(path), "-o", str(out), *flags])
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    if kind.message is None:
        assert code == 0, lines[-1]
        assert (out / "report.html").is_file()
        return
    assert code == 2
    assert_one_clear_line(lines[-1], kind.message)
    assert not out.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["section.h5ad"]


def test_tables_have_unique_names() -> None:
    from tests.invalid_input.files import FILES
    from tests.invalid_input.settings import SETTINGS

    tables: list[Any] = [SECTIONS, FILES, SETTINGS]
    for table in tables:
        assert len({kind.name for kind in table}) == len(table)
