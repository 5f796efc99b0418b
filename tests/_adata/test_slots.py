"""Inputs are read from any storage format, and results survive writing and reading files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import spacex as sx
from spacex import Config, _adata
from spacex._infra.errors import InputError
from spacex.imaging.gene_images import GeneImages

CONFIG = Config()


@pytest.fixture(scope="module")
def simulated() -> AnnData:
    return sx.datasets.simulate_section(n_genes=40, n_spots=300, n_modules=3, n_domains=3, depth=1.0, seed=2)


@pytest.fixture
def section(simulated: AnnData) -> AnnData:
    return simulated.copy()


def images_of(adata: AnnData, **settings: object) -> GeneImages:
    return sx.pp.gene_images(adata, **settings)


def assert_same_images(a: GeneImages, b: GeneImages) -> None:
    np.testing.assert_array_equal(a.counts.toarray(), b.counts.toarray())
    np.testing.assert_array_equal(a.counts.indptr, b.counts.indptr)  # no explicit zeros
    np.testing.assert_array_equal(a.library, b.library)
    np.testing.assert_array_equal(a.layout.flat, b.layout.flat)
    np.testing.assert_array_equal(a.residuals(), b.residuals())
    assert a.is_count == b.is_count


# -- the matrix --------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[sp.csr_matrix], object]] = {
    "csr float32": lambda x: x,
    "csc": lambda x: x.tocsc(),
    "csr array": sp.csr_array,
    "csc array": sp.csc_array,
    "coo order": lambda x: sp.csr_matrix(x.tocoo()),
    "unsorted": lambda x: sp.csr_matrix((x.data[::-1].copy(), x.indices[::-1].copy(), _reversed(x)), x.shape)[::-1],
    "dense": lambda x: x.toarray(),
    "fortran": lambda x: np.asfortranarray(x.toarray()),
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.toarray().astype(np.float16),
    "int64": lambda x: x.astype(np.int64),
    "int32 dense": lambda x: x.toarray().astype(np.int32),
    "uint16": lambda x: x.astype(np.uint16),
    "explicit zeros": lambda x: _with_zeros(x),
}


def _reversed(x: sp.csr_matrix) -> np.ndarray:
    return (x.indptr[-1] - x.indptr[::-1]).astype(x.indptr.dtype)


def _with_zeros(x: sp.csr_matrix) -> sp.csr_matrix:
    """Store the zeros of the first spot explicitly."""
    rows = [sp.csr_matrix((x[[0]].toarray()[0], np.arange(x.shape[1]), [0, x.shape[1]]), (1, x.shape[1])), x[1:]]
    return sp.vstack(rows, format="csr")


@pytest.mark.parametrize("form", FORMS)
def test_images_do_not_depend_on_matrix_format(section: AnnData, simulated: AnnData, form: str) -> None:
    section.X = FORMS[form](simulated.X)
    assert_same_images(images_of(section), images_of(simulated.copy()))


@pytest.mark.parametrize("form", ["csr float32", "csc", "dense", "float64", "int64"])
def test_backed_files_give_the_same_images(section: AnnData, simulated: AnnData, tmp_path: Path, form: str) -> None:
    section.X = FORMS[form](simulated.X)
    section.write_h5ad(tmp_path / "section.h5ad")
    backed = ad.read_h5ad(tmp_path / "section.h5ad", backed="r")
    assert backed.isbacked
    assert_same_images(images_of(backed), images_of(simulated.copy()))


@pytest.mark.parametrize("form", FORMS)
def test_layers_are_read_like_x(section: AnnData, simulated: AnnData, form: str) -> None:
    section.layers["raw"] = FORMS[form](simulated.X)
    section.X = np.log1p(section.X.toarray())
    assert_same_images(images_of(section, layer="raw"), images_of(simulated.copy()))


def test_matrix_is_unchanged(section: AnnData) -> None:
    before = section.X.copy()
    images_of(section).thin(0.5, np.random.default_rng(0))
    assert section.X.dtype == before.dtype
    assert section.X.data.tobytes() == before.data.tobytes()


def test_large_counts_are_exact(section: AnnData) -> None:
    counts = section.X.toarray().astype(np.int64)
    counts[0, 0] = 2**33
    section.X = counts
    images = images_of(section)
    assert images.counts.max() == 2.0**33
    assert images.library.max() == pytest.approx(2**33, rel=1e-6)
    assert np.isfinite(images.residuals()).all()
    assert max(half.counts.max() for half in images.thin(0.5, np.random.default_rng(0))) == pytest.approx(
        2**32, rel=1e-3
    )


# -- counts ------------------------------------------------------------------------------------------------


def test_counts_need_no_warning(section: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    section.layers["counts"] = 2 * section.X
    with caplog.at_level(logging.WARNING, logger="spacex"):
        images = images_of(section)
    assert images.is_count
    assert images.counts.sum() == section.X.sum()  # X holds counts, so the layer is ignored
    assert not caplog.records


def test_layer_of_counts_replaces_x(section: AnnData, simulated: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    section.layers["counts"] = section.X.copy()
    section.X = section.X.log1p()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        images = images_of(section)
    assert [r.getMessage() for r in caplog.records] == ["X does not hold counts; layers['counts'] is used"]
    assert_same_images(images, images_of(simulated.copy()))


@pytest.mark.parametrize("with_layer", [False, True])
def test_intensities_are_not_counts(section: AnnData, caplog: pytest.LogCaptureFixture, with_layer: bool) -> None:
    section.X = section.X.log1p()
    if with_layer:
        section.layers["counts"] = section.X * 1.5  # no counts, despite its name
    with caplog.at_level(logging.WARNING, logger="spacex"):
        images = images_of(section)
    assert not images.is_count
    assert any("X does not hold counts" in r.getMessage() and "layer=" in r.getMessage() for r in caplog.records)
    maps = images.residuals()
    np.testing.assert_allclose(maps.std(axis=1), 1, atol=1e-3)


def test_layer_argument_warns_of_intensities(section: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    section.layers["norm"], section.layers["counts"] = section.X.log1p(), section.X.copy()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        images = images_of(section, layer="norm")
    assert not images.is_count
    assert any("layers['norm'] does not hold counts" in r.getMessage() for r in caplog.records)
    with pytest.raises(InputError, match=r"layer='raw' is not in adata.layers \(available: 'norm', 'counts'\)"):
        images_of(section, layer="raw")


# -- coordinates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        lambda xy: xy.astype(np.float32).astype(np.float64),
        lambda xy: pd.DataFrame(xy, columns=["x", "y"]),
        lambda xy: sp.csr_matrix(xy),
        lambda xy: np.asfortranarray(xy),
    ],
    ids=["float32", "frame", "sparse", "fortran"],
)
def test_coordinates_of_any_format(section: AnnData, form: Callable) -> None:
    section.obs = section.obs.drop(columns=["array_row", "array_col"])
    sx.pp.rasterize(section)
    expected = section.obsm["spacex_pixel"].copy()
    xy = section.obsm["spatial"]
    frame = form(xy)
    if isinstance(frame, pd.DataFrame):
        frame.index = section.obs_names
    section.obsm["spatial"] = frame
    sx.pp.rasterize(section)
    np.testing.assert_array_equal(section.obsm["spacex_pixel"], expected)


@pytest.mark.parametrize("column", [np.nan, "a", 0.5])
def test_invalid_array_coordinates_are_ignored(section: AnnData, column: object) -> None:
    section.obs["array_row"] = section.obs["array_row"].astype(object)
    section.obs.iloc[3, section.obs.columns.get_loc("array_row")] = column
    assert _adata.read_array_positions(section) is None
    sx.pp.rasterize(section)
    assert section.uns["spacex"]["grid"]["kind"].tolist() == ["hex"]


# -- grid and several sections -----------------------------------------------------------------------------


def two_libraries(simulated: AnnData, names: tuple = ("s2", "s1")) -> AnnData:
    other = sx.datasets.simulate_section(n_genes=40, n_spots=250, n_modules=3, depth=0.5, seed=3, technology="st")
    other.obs_names = [f"other{i}" for i in range(250)]
    both = ad.concat([simulated, other], join="outer")  # the second has no array coordinates
    both.obs["library"] = pd.Categorical.from_codes(np.repeat([0, 1], [300, 250]), categories=list(names))
    return both[np.random.default_rng(0).permutation(550)].copy()


@pytest.mark.parametrize("names", [("s2", "s1"), (10, 9)])
def test_every_library_has_a_grid(simulated: AnnData, names: tuple) -> None:
    both = two_libraries(simulated, names)
    sx.pp.rasterize(both, library_key="library")
    grids, pixel, section = _adata.read_grid(both)
    assert sorted(g.kind for g in grids) == ["hex", "square"]
    written = [str(n) for n in both.uns["spacex"]["grid"]["section"]]
    assert [written[s] for s in section] == both.obs["library"].astype(str).tolist()
    for s, grid in enumerate(grids):
        alone = both[section == s].copy()
        sx.pp.rasterize(alone)
        (single,), lone_pixel, _ = _adata.read_grid(alone)
        assert (single.kind, single.shape) == (grid.kind, grid.shape)
        np.testing.assert_array_equal(pixel[section == s], lone_pixel)
    for slot in ("height", "width", "kind", "aspect", "pitch"):
        assert len(both.uns["spacex"]["grid"][slot]) == 2


def test_images_of_libraries_equal_separate_images(simulated: AnnData) -> None:
    both = two_libraries(simulated)
    sx.pp.rasterize(both, library_key="library")
    images = images_of(both)
    assert images.counts.sum() == both.X.sum()
    for s, name in enumerate(both.uns["spacex"]["grid"]["section"]):
        alone = images_of(both[both.obs["library"] == name].copy())
        np.testing.assert_array_equal(images.library[images.layout.section == s], alone.library)
        np.testing.assert_allclose(images.residuals()[:, images.layout.section == s], alone.residuals(), atol=1e-4)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_grid_survives_the_disk(simulated: AnnData, tmp_path: Path, suffix: str) -> None:
    both = two_libraries(simulated)
    sx.pp.rasterize(both, library_key="library")
    back = through_disk(both, tmp_path, suffix)
    for before, after in zip(_adata.read_grid(both), _adata.read_grid(back), strict=True):
        if isinstance(before, list):
            assert before == after
        else:
            np.testing.assert_array_equal(before, after)
    assert_same_images(images_of(both), images_of(back))


def test_spots_can_be_removed_after_rasterizing(section: AnnData) -> None:
    sx.pp.rasterize(section)
    mask = np.random.default_rng(1).random(300) < 0.5
    whole, part = images_of(section), images_of(section[mask])
    assert part.shape == whole.shape  # the grid is that of the whole section
    assert part.n_pixels == mask.sum()
    assert part.library.sum() == section.X[mask].sum()
    spot = _adata.read_pixel_of_spot(section[mask], part)
    np.testing.assert_array_equal(part.layout.pixel[spot], section.obsm["spacex_pixel"][mask])


def test_sections_can_be_removed_after_rasterizing(simulated: AnnData) -> None:
    both = two_libraries(simulated)
    sx.pp.rasterize(both, library_key="library")
    one = both[both.obs["library"] == "s2"].copy()
    images = images_of(one)
    assert len(images.layout.grids) == 1
    assert images.layout.grids[0].kind == "hex"
    assert images.n_pixels == 300
    assert (images.layout.section == 0).all()


def test_pixel_of_spot_reproduces_library_sizes(simulated: AnnData) -> None:
    both = two_libraries(simulated)
    counts = both.X.toarray()
    counts[5] = 0
    both.X = counts
    sx.pp.rasterize(both, library_key="library")
    images = images_of(both)
    number = _adata.read_pixel_of_spot(both, images)
    assert number[5] == -1
    total = np.zeros(images.n_pixels)
    np.add.at(total, number[number >= 0], counts.sum(1)[number >= 0])
    np.testing.assert_allclose(total, images.library)


def test_section_without_grid_raises(simulated: AnnData) -> None:
    both = two_libraries(simulated)
    sx.pp.rasterize(both, library_key="library")
    both.obs["library"] = both.obs["library"].cat.rename_categories({"s1": "new"})
    with pytest.raises(InputError, match=r"section\(s\) new have no grid; call sx.pp.rasterize"):
        images_of(both)


def test_missing_grid_raises(section: AnnData) -> None:
    with pytest.raises(InputError, match=r'obsm\["spacex_pixel"\] is missing; call sx.pp.rasterize'):
        _adata.read_grid(section)
    assert not _adata.has_grid(section)


def test_second_rasterize_replaces_the_grid(section: AnnData) -> None:
    sx.pp.rasterize(section)
    sx.pp.rasterize(section, grid=8)
    assert section.obsm["spacex_pixel"].max() == 7
    assert section.obsm["spacex_pixel"].dtype.kind == "i"
    assert section.uns["spacex"]["grid"]["kind"].tolist() == ["bins"]
    assert images_of(section).counts.sum() == section.X.sum()


def test_config_limits_the_grid() -> None:
    cells = sx.datasets.simulate_section(n_genes=30, n_spots=2000, n_modules=2, technology="cells")
    sx.pp.rasterize(cells, config=Config(max_side=12))
    assert cells.obsm["spacex_pixel"].max() == 11


# -- results -----------------------------------------------------------------------------------------------


def through_disk(adata: AnnData, folder: Path, suffix: str) -> AnnData:
    if suffix == ".h5ad":
        adata.write_h5ad(folder / "a.h5ad")
        return ad.read_h5ad(folder / "a.h5ad")
    adata.write_zarr(folder / "a.zarr")
    return ad.read_zarr(folder / "a.zarr")


def assert_equal_values(a: object, b: object, path: str = "uns") -> None:
    """The same nested values, in any container that the file format returns."""
    if isinstance(a, dict):
        assert isinstance(b, dict), path
        assert set(a) == set(b), path
        for key in a:
            assert_equal_values(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, (str, bool, int, float)):
        assert np.asarray(b).item() == a, path
    else:
        first, second = np.asarray(a), np.asarray(b)
        assert first.shape == second.shape, path
        np.testing.assert_array_equal(first.astype(second.dtype), second, err_msg=path)


@pytest.fixture(scope="module")
def embedded(simulated: AnnData) -> AnnData:
    adata = simulated.copy()
    counts = adata.X.toarray()
    counts[:, 7] = 0  # a gene that is not embedded
    adata.X = counts
    sx.tl.embed(adata, n_modules=3, config=Config(epochs=1, boost_rounds=1), progress=False, seed=5)
    return adata


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_every_slot_survives_the_disk(embedded: AnnData, tmp_path: Path, suffix: str) -> None:
    section = embedded.copy()
    back = through_disk(section, tmp_path, suffix)
    np.testing.assert_array_equal(back.obsm["spacex_pixel"], section.obsm["spacex_pixel"])
    np.testing.assert_array_equal(back.varm["X_spacex"], section.varm["X_spacex"])
    assert back.varm["X_spacex"].dtype == np.float32
    assert back.obsm["spacex_pixel"].dtype.kind == "i"
    pd.testing.assert_series_equal(back.var["spacex_module"], section.var["spacex_module"])
    pd.testing.assert_series_equal(back.var["spacex_module_prob"], section.var["spacex_module_prob"])
    assert_equal_values(section.uns["spacex"], back.uns["spacex"])
    for adata in (section, back):
        sx.tl.modules(adata, n_modules=2)
    pd.testing.assert_series_equal(back.var["spacex_module"], section.var["spacex_module"])
    pd.testing.assert_frame_equal(sx.tl.similar_genes(back, "gene0002"), sx.tl.similar_genes(section, "gene0002"))


def test_uns_records_settings_and_versions(section: AnnData) -> None:
    section.uns["spacex"] = {"mine": 1}
    config = Config(epochs=1, boost_rounds=1, theta=50, n_dims=8)
    sx.tl.embed(section, n_modules=3, config=config, progress=False, seed=5)
    uns = section.uns["spacex"]
    assert {"parameters", "grid", "history", "versions", "seed", "mine"} <= set(uns)
    assert uns["seed"] == 5
    assert Config.from_dict(uns["parameters"]) == config
    assert uns["versions"]["spacex-st"] == sx.__version__
    assert {"numpy", "torch", "anndata", "scipy"} <= set(uns["versions"])
    for stage in ("pretrain", "mixture", "boosting"):
        assert len(uns["history"][stage]) > 1
        assert len({len(column) for column in uns["history"][stage].values()}) == 1
    objective = uns["history"]["mixture"]["objective"]
    assert np.isfinite(objective).all()
