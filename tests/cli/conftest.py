"""An input, its complete result, and a fast gene layout."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.commands import run_command

import spacex as sx
from spacex.cli import main


def replace_umap(patch: pytest.MonkeyPatch) -> None:
    """Replace the UMAP, which takes seconds to compile, by the first two dimensions."""
    patch.setattr("spacex.get._gene_layout._umap", lambda direction: direction[:, :2])


@pytest.fixture(autouse=True)
def _no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_umap(monkeypatch)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``section.h5ad`` and ``sets.gmt``, the planted modules of the section."""
    folder = tmp_path_factory.mktemp("input")
    adata = sx.datasets.toy()
    adata.write_h5ad(folder / "section.h5ad")
    sets = {f"m{m}": genes for m, genes in adata.var.groupby("module").groups.items() if m >= 0}
    (folder / "sets.gmt").write_text("".join("\t".join([name, "-", *genes]) + "\n" for name, genes in sets.items()))
    return folder


@pytest.fixture(scope="session")
def result(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a complete result with domains and enrichment."""
    out = tmp_path_factory.mktemp("result") / "deep" / "out"
    with pytest.MonkeyPatch.context() as patch:
        replace_umap(patch)
        assert main(run_command(files, out, "--n-domains", "3", "--gene-sets", str(files / "sets.gmt"))) == 0
    return out


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Address of a Dask scheduler with one worker in this process."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address
