"""Counts on disk give the same results as in memory, are read in blocks, and are validated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import dask.array as da
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import spacex as sx
from spacex import _adata
from spacex._adata import block_reducer, on_disk
from spacex.get import gene_table, gene_values
from spacex.report import write_report

QUICK = {"progress": False}
WAYS: dict[str, tuple[str, Callable[[sp.spmatrix], object]]] = {
    "csr in h5ad": (".h5ad", sp.csr_matrix),
    "csc in h5ad": (".h5ad", sp.csc_matrix),
    "dense in h5ad": (".h5ad", lambda matrix: matrix.toarray()),
    "csr in zarr": (".zarr", sp.csr_matrix),
    "csc in zarr": (".zarr", sp.csc_matrix),
    "dense in zarr": (".zarr", lambda matrix: matrix.toarray()),
}


@pytest.fixture(scope="module")
def section() -> AnnData:
    return sx.datasets.simulate_section(120, 900, 4, 3, technology="cells", depth=1.0)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Read blocks of about 20 kB; return the list of the sizes of the blocks."""
    monkeypatch.setattr(on_disk, "BLOCK_BYTES", 20_000)
    sizes: list[int] = []
    canonical_rows = block_reducer._canonical_rows

    def recorded(matrix: object) -> object:
        rows = canonical_rows(matrix)
        sizes.append(rows.shape[0] * rows.shape[1])
        return rows

    monkeypatch.setattr(block_reducer, "_canonical_rows", recorded)
    return sizes


def write_section(section: AnnData, folder: Path, suffix: str = ".h5ad") -> Path:
    path = folder / f"section{suffix}"
    section.write_h5ad(path) if suffix == ".h5ad" else section.write_zarr(path)
    return path


def embedded(adata: AnnData) -> AnnData:
    sx.tl.embed(adata, n_modules=4, **QUICK)
    sx.tl.svg(adata, **QUICK)
    sx.tl.domains(adata, n_domains=3)
    return adata


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_same_bytes_from_disk(section: AnnData, tmp_path: Path, small_blocks: list[int], way: str) -> None:
    suffix, form = WAYS[way]
    copy = section.copy()
    copy.X = form(section.X)
    lazy = sx.read(write_section(copy, tmp_path, suffix), lazy=True)
    assert isinstance(lazy.X, da.Array)
    assert lazy.X.npartitions > 5
    result = embedded(lazy)
    assert max(small_blocks) < section.n_obs * section.n_vars / 5
    assert isinstance(result.X, da.Array)
    plain = embedded(copy)
    np.testing.assert_array_equal(result.varm["X_spacex"], plain.varm["X_spacex"])
    np.testing.assert_array_equal(result.var["spacex_svg_score"], plain.var["spacex_svg_score"])
    assert result.var["spacex_module"].tolist() == plain.var["spacex_module"].tolist()
    assert result.obs["spacex_domain"].tolist() == plain.obs["spacex_domain"].tolist()


def test_backed_sections_are_read_in_blocks(section: AnnData, tmp_path: Path, small_blocks: list[int]) -> None:
    backed = ad.read_h5ad(write_section(section, tmp_path), backed="r")
    images = sx.pp.gene_images(backed)
    assert len(small_blocks) > 5
    np.testing.assert_array_equal(images.counts.toarray(), sx.pp.gene_images(section.copy()).counts.toarray())


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_lazily_annotated_sections_work(tmp_path: Path, suffix: str) -> None:
    plain = sx.datasets.simulate_section(120, 500, 4, 3, depth=1.0)  # with array_row and array_col
    plain.obs["half"] = np.where(plain.obsm["spatial"][:, 0] < np.median(plain.obsm["spatial"][:, 0]), "left", "right")
    lazy = ad.experimental.read_lazy(write_section(plain, tmp_path, suffix))
    for adata in (lazy, plain):
        sx.tl.embed(adata, n_modules=4, library_key="half", **QUICK)
        sx.tl.svg(adata, covariates=["domain"], **QUICK)
        sx.tl.interactions(adata)
        sx.tl.domains(adata, n_domains=3)
        sx.tl.pattern(adata, {"domain": [plain.obs["domain"].astype(str).iloc[0]]})
    lazy.write_h5ad(tmp_path / "result.h5ad")
    result = sx.read(tmp_path / "result.h5ad")
    assert (result.X != plain.X).nnz == 0
    np.testing.assert_array_equal(result.varm["X_spacex"], plain.varm["X_spacex"])
    for ours, theirs in ((result.var, plain.var), (result.obs, plain.obs)):
        for column in theirs.filter(like="spacex"):
            assert ours[column].astype(str).equals(theirs[column].astype(str)), column


def test_results_are_written_and_reported(section: AnnData, tmp_path: Path, small_blocks: list[int]) -> None:
    lazy, plain = embedded(sx.read(write_section(section, tmp_path), lazy=True)), embedded(section.copy())
    for ours, theirs in zip(gene_table(lazy).items(), gene_table(plain).items(), strict=True):
        assert ours[1].equals(theirs[1]), ours[0]
    genes = [3, 50, 119]
    for value in ("lognorm", "counts", "residual"):
        (ours, label), (theirs, same) = (gene_values(adata, genes, value=value, smooth=1.0) for adata in (lazy, plain))
        np.testing.assert_array_equal(ours, theirs)
        assert label == same
    columns = [_adata.read_gene_values(adata, None, [119, 3]) for adata in (lazy, plain)]
    np.testing.assert_array_equal(columns[0][0], columns[1][0])
    np.testing.assert_array_equal(columns[0][1], columns[1][1])
    write_report(lazy, tmp_path / "report.html")
    lazy.write_h5ad(tmp_path / "result.h5ad")
    again = sx.read(tmp_path / "result.h5ad")
    assert (again.X != section.X).nnz == 0
    np.testing.assert_array_equal(again.varm["X_spacex"], plain.varm["X_spacex"])


def test_layer_on_disk_replaces_x(section: AnnData, tmp_path: Path) -> None:
    copy = section.copy()
    copy.layers["counts"] = section.X.copy()
    copy.X = section.X.multiply(0.3).tocsr()
    lazy = sx.read(write_section(copy, tmp_path), lazy=True)
    assert isinstance(lazy.layers["counts"], da.Array)
    images = sx.pp.gene_images(lazy)
    assert images.is_count
    np.testing.assert_array_equal(images.counts.toarray(), sx.pp.gene_images(section.copy()).counts.toarray())


def test_intensities_agree_to_rounding(section: AnnData, tmp_path: Path, small_blocks: list[int]) -> None:
    copy = section.copy()
    copy.X = section.X.multiply(0.3).tocsr().astype(np.float32)
    lazy = sx.pp.gene_images(sx.read(write_section(copy, tmp_path), lazy=True))
    plain = sx.pp.gene_images(copy)
    assert not lazy.is_count
    np.testing.assert_allclose(lazy.counts.toarray(), plain.counts.toarray(), rtol=1e-6)


@pytest.mark.parametrize(
    ("invalid", "message"),
    [(np.nan, "X holds 1 NaN"), (-3.0, "negative values"), (np.inf, "X holds 1 NaN or infinite")],
)
def test_invalid_values_on_disk_raise(section: AnnData, tmp_path: Path, invalid: float, message: str) -> None:
    copy = section.copy()
    copy.X.data[77] = invalid
    lazy = sx.read(write_section(copy, tmp_path), lazy=True)
    with pytest.raises(sx.InputError, match=message):
        sx.tl.embed(lazy, **QUICK)
    assert "spacex_pixel" not in lazy.obsm
    assert not list(lazy.uns.get("spacex", {}))


def test_damaged_indices_on_disk_raise(section: AnnData, tmp_path: Path) -> None:
    path = write_section(section, tmp_path)
    with h5py.File(path, "r+") as file:
        file["X/indices"][5] = 10_000_000
    with pytest.raises(sx.InputError, match="damaged"):
        sx.pp.gene_images(sx.read(path, lazy=True))


def test_empty_and_complex_matrices_on_disk_raise(section: AnnData) -> None:
    def with_matrix(matrix: np.ndarray) -> AnnData:
        return AnnData(da.from_array(matrix, chunks=(100, -1)), obs=section.obs, var=section.var, obsm=section.obsm)

    with pytest.raises(sx.InputError, match="zero everywhere"):
        sx.tl.svg(with_matrix(np.zeros(section.shape)))
    with pytest.raises(sx.InputError, match="complex128 values"):
        sx.tl.svg(with_matrix(np.ones(section.shape, dtype=complex)))


def test_lazy_reading_of_text_raises(tmp_path: Path) -> None:
    (tmp_path / "counts.csv").write_text("gene,a,b\nMbp,1,2\n")
    with pytest.raises(sx.InputError, match="lazy=True is for"):
        sx.read(tmp_path / "counts.csv", lazy=True)
    with pytest.raises(sx.InputError, match="lazy=True is for"):
        sx.read(tmp_path, lazy=True)


def test_without_dask(section: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_section(section, tmp_path)
    monkeypatch.setattr(on_disk, "find_spec", lambda name: None)
    monkeypatch.setattr("spacex._infra.validation.find_spec", lambda name: None)
    with pytest.raises(sx.InputError, match=r"spacex-st\[scale\]"):
        sx.read(path, lazy=True)
    backed = ad.read_h5ad(path, backed="r")  # loaded into memory without dask
    assert sx.pp.gene_images(backed).n_genes == section.n_vars


def test_a_cluster_sums_pixels(section: AnnData, tmp_path: Path, small_blocks: list[int]) -> None:
    distributed = pytest.importorskip("distributed")
    lazy = sx.read(write_section(section, tmp_path), lazy=True)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        images = sx.pp.gene_images(lazy)
    np.testing.assert_array_equal(images.counts.toarray(), sx.pp.gene_images(section.copy()).counts.toarray())
