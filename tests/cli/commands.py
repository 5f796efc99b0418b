"""Commands of the tests of the command line, and the files that they write."""

from pathlib import Path

import pytest
from anndata import AnnData

FAST = ["--n-modules", "4"]
"""Flags that skip the search for the number of modules of `spacex.datasets.toy`."""
RESULT = {"result.h5ad", "genes.csv", "modules.csv", "model", "report.html", "run.json"}


def save(adata: AnnData, path: Path) -> str:
    adata.write_h5ad(path)
    return str(path)


def run_command(files: Path, out: Path, *flags: str) -> list[str]:
    return ["run", str(files / "section.h5ad"), "-o", str(out), *FAST, *flags]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def only_line(capsys: pytest.CaptureFixture) -> str:
    """Return the only line of stderr, after invalid input."""
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line]
    assert not out
    assert len(lines) == 1, err
    assert lines[0].startswith("spacex: ")
    return lines[0]
