"""What is read from an AnnData is the same however it is stored, and what is written comes back from disk."""

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


def pictured(adata: AnnData, **settings: object) -> GeneImages:
    return sx.pp.gene_images(adata, **settings)


def assert_same_images(a: GeneImages, b: GeneImages) -> None:
    np.testing.assert_array_equal(a.counts.toarray(), b.counts.toarray())
    np.testing.assert_array_equal(a.counts.indptr, b.counts.indptr)  # nothing is stored where nothing is
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
    """The same matrix, with a stored zero wherever the first spot has nothing."""
    rows = [sp.csr_matrix((x[[0]].toarray()[0], np.arange(x.shape[1]), [0, x.shape[1]]), (1, x.shape[1])), x[1:]]
    return sp.vstack(rows, format="csr")


@pytest.mark.parametrize("form", FORMS)
def test_the_images_do_not_depend_on_how_the_matrix_is_stored(section: AnnData, simulated: AnnData, form: str) -> None:
    section.X = FORMS[form](simulated.X)
    assert_same_images(pictured(section), pictured(simulated.copy()))


@pytest.mark.parametrize("form", ["csr float32", "csc", "dense", "float64", "int64"])
def test_backed_files_give_the_same_images(section: AnnData, simulated: AnnData, tmp_path: Path, form: str) -> None:
    section.X = FORMS[form](simulated.X)
    section.write_h5ad(tmp_path / "section.h5ad")
    backed = ad.read_h5ad(tmp_path / "section.h5ad", backed="r")
    assert backed.isbacked
    assert_same_images(pictured(backed), pictured(simulated.copy()))


@pytest.mark.parametrize("form", FORMS)
def test_layers_are_read_like_x(section: AnnData, simulated: AnnData, form: str) -> None:
    section.layers["raw"] = FORMS[form](simulated.X)
    section.X = np.log1p(section.X.toarray())
    assert_same_images(pictured(section, layer="raw"), pictured(simulated.copy()))


def test_the_caller_s_matrix_is_left_alone(section: AnnData) -> None:
    before = section.X.copy()
    pictured(section).thin(0.5, np.random.default_rng(0))
    assert section.X.dtype == before.dtype
    assert section.X.data.tobytes() == before.data.tobytes()


def test_large_counts_stay_what_they_are(section: AnnData) -> None:
    counts = section.X.toarray().astype(np.int64)
    counts[0, 0] = 2**33
    section.X = counts
    images = pictured(section)
    assert images.counts.max() == 2.0**33
    assert images.library.max() == pytest.approx(2**33, rel=1e-6)
    assert np.isfinite(images.residuals()).all()
    assert max(half.counts.max() for half in images.thin(0.5, np.random.default_rng(0))) == pytest.approx(
        2**32, rel=1e-3
    )


# -- counts or not -----------------------------------------------------------------------------------------


def test_counts_need_no_warning(section: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    section.layers["counts"] = 2 * section.X
    with caplog.at_level(logging.WARNING, logger="spacex"):
        images = pictured(section)
    assert images.is_count
    assert images.counts.sum() == section.X.sum()  # X holds counts: the layer is not asked
    assert not caplog.records


def test_the_layer_of_counts_stands_in_for_x(
    section: AnnData, simulated: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    section.layers["counts"] = section.X.copy()
    section.X = section.X.log1p()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        images = pictured(section)
    assert [r.getMessage() for r in caplog.records] == ["X does not hold counts; layers['counts'] is used"]
    assert_same_images(images, pictured(simulated.copy()))


@pytest.mark.parametrize("with_layer", [False, True])
def test_intensities_are_never_taken_for_counts(
    section: AnnData, caplog: pytest.LogCaptureFixture, with_layer: bool
) -> None:
    section.X = section.X.log1p()
    if with_layer:
        section.layers["counts"] = section.X * 1.5  # a layer of that name that holds none either
    with caplog.at_level(logging.WARNING, logger="spacex"):
        images = pictured(section)
    assert not images.is_count
    assert any("X does not hold counts" in r.getMessage() and "layer=" in r.getMessage() for r in caplog.records)
    maps = images.residuals()
    np.testing.assert_allclose(maps.std(axis=1), 1, atol=1e-3)


def test_a_layer_that_is_asked_for_is_used_or_said_to_be_intensities(
    section: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    section.layers["norm"], section.layers["counts"] = section.X.log1p(), section.X.copy()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        images = pictured(section, layer="norm")
    assert not images.is_count
    assert any("layers['norm'] does not hold counts" in r.getMessage() for r in caplog.records)
    with pytest.raises(InputError, match=r"layer='raw' is not in adata.layers \(available: 'norm', 'counts'\)"):
        pictured(section, layer="raw")


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
def test_coordinates_may_be_stored_in_many_ways(section: AnnData, form: Callable) -> None:
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


def test_a_third_coordinate_is_left_out_with_a_warning(section: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    xy = section.obsm["spatial"]
    section.obsm["other"] = np.column_stack([xy, np.full(len(xy), np.nan)])
    with caplog.at_level(logging.WARNING, logger="spacex"):
        _, read = _adata.choose_positions(section, "other")
    np.testing.assert_array_equal(read, xy)
    assert "3 columns; the first two are used" in caplog.text


@pytest.mark.parametrize("column", [np.nan, "a", 0.5])
def test_array_coordinates_that_cannot_be_used_are_left_aside(section: AnnData, column: object) -> None:
    section.obs["array_row"] = section.obs["array_row"].astype(object)
    section.obs.iloc[3, section.obs.columns.get_loc("array_row")] = column
    assert _adata.read_array_positions(section) is None
    sx.pp.rasterize(section)
    assert section.uns["spacex"]["grid"]["kind"].tolist() == ["hex"]


# -- the grid, and several sections ------------------------------------------------------------------------


def two_libraries(simulated: AnnData, names: tuple = ("s2", "s1")) -> AnnData:
    other = sx.datasets.simulate_section(n_genes=40, n_spots=250, n_modules=3, depth=0.5, seed=3, technology="st")
    other.obs_names = [f"other{i}" for i in range(250)]
    both = ad.concat([simulated, other], join="outer")  # the second has no array coordinates
    both.obs["library"] = pd.Categorical.from_codes(np.repeat([0, 1], [300, 250]), categories=list(names))
    return both[np.random.default_rng(0).permutation(550)].copy()


@pytest.mark.parametrize("names", [("s2", "s1"), (10, 9)])
def test_every_library_gets_a_grid_of_its_own(simulated: AnnData, names: tuple) -> None:
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


def test_images_of_several_libraries_are_those_of_each(simulated: AnnData) -> None:
    both = two_libraries(simulated)
    sx.pp.rasterize(both, library_key="library")
    images = pictured(both)
    assert images.counts.sum() == both.X.sum()
    for s, name in enumerate(both.uns["spacex"]["grid"]["section"]):
        alone = pictured(both[both.obs["library"] == name].copy())
        np.testing.assert_array_equal(images.library[images.layout.section == s], alone.library)
        np.testing.assert_allclose(images.residuals()[:, images.layout.section == s], alone.residuals(), atol=1e-4)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_grid_read_from_disk_is_the_same_grid(simulated: AnnData, tmp_path: Path, suffix: str) -> None:
    both = two_libraries(simulated)
    sx.pp.rasterize(both, library_key="library")
    back = through_disk(both, tmp_path, suffix)
    for before, after in zip(_adata.read_grid(both), _adata.read_grid(back), strict=True):
        if isinstance(before, list):
            assert before == after
        else:
            np.testing.assert_array_equal(before, after)
    assert_same_images(pictured(both), pictured(back))


def test_spots_can_be_left_out_after_rasterizing(section: AnnData) -> None:
    sx.pp.rasterize(section)
    kept = np.random.default_rng(1).random(300) < 0.5
    whole, part = pictured(section), pictured(section[kept])
    assert part.shape == whole.shape  # the grid is that of the whole section
    assert part.n_pixels == kept.sum()
    assert part.library.sum() == section.X[kept].sum()
    spot = _adata.read_pixel_of_spot(section[kept], part)
    np.testing.assert_array_equal(part.layout.pixel[spot], section.obsm["spacex_pixel"][kept])


def test_whole_sections_can_be_left_out_after_rasterizing(simulated: AnnData) -> None:
    both = two_libraries(simulated)
    sx.pp.rasterize(both, library_key="library")
    one = both[both.obs["library"] == "s2"].copy()
    images = pictured(one)
    assert len(images.layout.grids) == 1
    assert images.layout.grids[0].kind == "hex"
    assert images.n_pixels == 300
    assert (images.layout.section == 0).all()


def test_pixels_of_spots_point_back_to_their_counts(simulated: AnnData) -> None:
    both = two_libraries(simulated)
    counts = both.X.toarray()
    counts[5] = 0
    both.X = counts
    sx.pp.rasterize(both, library_key="library")
    images = pictured(both)
    number = _adata.read_pixel_of_spot(both, images)
    assert number[5] == -1
    total = np.zeros(images.n_pixels)
    np.add.at(total, number[number >= 0], counts.sum(1)[number >= 0])
    np.testing.assert_allclose(total, images.library)


def test_a_section_that_was_never_rasterized_is_named(simulated: AnnData) -> None:
    both = two_libraries(simulated)
    sx.pp.rasterize(both, library_key="library")
    both.obs["library"] = both.obs["library"].cat.rename_categories({"s1": "new"})
    with pytest.raises(InputError, match=r"section\(s\) new have no grid; call sx.pp.rasterize"):
        pictured(both)


def test_no_grid_names_the_call(section: AnnData) -> None:
    with pytest.raises(InputError, match=r'obsm\["spacex_pixel"\] is missing; call sx.pp.rasterize'):
        _adata.read_grid(section)
    assert not _adata.has_grid(section)


def test_rasterize_again_replaces_the_grid(section: AnnData) -> None:
    sx.pp.rasterize(section)
    sx.pp.rasterize(section, grid=8)
    assert section.obsm["spacex_pixel"].max() == 7
    assert section.obsm["spacex_pixel"].dtype.kind == "i"
    assert section.uns["spacex"]["grid"]["kind"].tolist() == ["bins"]
    assert pictured(section).counts.sum() == section.X.sum()


def test_config_bounds_the_grid() -> None:
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
    """The same nested values, whatever container of numbers or text the file format gives back."""
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
    # And what is read can be worked on as if it had never left.
    for adata in (section, back):
        sx.tl.modules(adata, n_modules=2)
    pd.testing.assert_series_equal(back.var["spacex_module"], section.var["spacex_module"])
    pd.testing.assert_frame_equal(sx.tl.similar_genes(back, "gene0002"), sx.tl.similar_genes(section, "gene0002"))


def test_uns_tells_how_the_result_was_made(section: AnnData) -> None:
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


def test_modules_are_written_for_all_genes_and_readable(section: AnnData) -> None:
    embedded = np.ones(40, dtype=bool)
    embedded[[3, 8]] = False
    module = np.arange(38) % 4 - 1
    _adata.write_modules(section, embedded, module, np.full(38, 0.75))
    column = section.var["spacex_module"]
    assert column.cat.categories.tolist() == ["0", "1", "2", "unassigned"]
    assert (column[~embedded] == "unassigned").all()
    assert column[embedded].tolist() == ["unassigned" if m < 0 else str(m) for m in module]
    assert section.var["spacex_module_prob"].isna().tolist() == (~embedded).tolist()
    _adata.write_modules(section, embedded, np.full(38, -1), np.ones(38))
    assert section.var["spacex_module"].cat.categories.tolist() == ["unassigned"]


def test_domains_and_tests_are_written(section: AnnData) -> None:
    label = np.arange(300) % 3
    label[7] = -1
    _adata.write_domains(section, label, np.linspace(0, 1, len(label)), np.zeros((len(label), 3)))
    assert section.obs["spacex_domain"].cat.categories.tolist() == ["0", "1", "2"]
    assert section.obs["spacex_domain"].isna().sum() == 1
    _adata.write_svg(section, score=np.arange(40), pvalue=np.full(40, np.nan))
    assert section.var["spacex_svg_score"].dtype == np.float64
    assert section.var["spacex_svg_pvalue"].isna().all()


def test_missing_results_name_the_call_that_makes_them(section: AnnData) -> None:
    for read, slot in (
        (_adata.read_embedding, r'varm\["X_spacex"\]'),
        (_adata.read_modules, r'var\["spacex_module"\]'),
    ):
        with pytest.raises(InputError, match=rf"{slot} is missing; call sx.tl.embed"):
            read(section)
    assert _adata.read_uns_entry(section, "embed") == {}


def test_unknown_genes_are_met_with_near_ones(section: AnnData) -> None:
    assert _adata.gene_index(section, "gene0004") == 3
    with pytest.raises(InputError, match=r"gene 'GENE004' is not among the 40 genes.*close to it: gene00"):
        _adata.gene_index(section, "GENE004")
    with pytest.raises(InputError, match=r"gene 'xyz' is not among the 40 genes of this section$"):
        _adata.gene_index(section, "xyz")
