"""Maps keep the proportions of the tissue: of one section, and of several in rows and columns."""

import json
import re

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import spacex as sx
from spacex import report
from spacex.get import SpotMap, spot_map
from spacex.get._arrangement import MAX_ASPECT, arrange
from spacex.pl._tissue import shorten_name

EVIL = "<script>alert(1)</script>"


def lattice(width: int, height: int, *, hexagonal: bool = False) -> np.ndarray:
    """Coordinates (width * height, 2) of an array with a spacing of one."""
    row, column = np.divmod(np.arange(width * height), width)
    return np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)] if hexagonal else [column, row]).astype(
        float
    )


def sections_at(*positions: np.ndarray, names: list[str] | None = None, n_genes: int = 3) -> anndata.AnnData:
    """Sections with spots at the given positions, named "0", "1", ... in ``obs["sample"]``."""
    names = names if names is not None else [str(s) for s in range(len(positions))]
    xy = np.vstack(positions)
    counts = np.random.default_rng(0).poisson(2.0, (len(xy), n_genes)).astype(np.float32)
    label = np.repeat(names, [len(one) for one in positions])
    obs = pd.DataFrame({"sample": label}, index=[f"spot{i}" for i in range(len(xy))])
    adata = anndata.AnnData(sp.csr_matrix(counts), obs=obs, obsm={"spatial": xy})
    adata.var_names = [f"gene{i}" for i in range(n_genes)]
    return adata


def scales(tissue: SpotMap, xy: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """Points of the picture per unit of the coordinates in x and in y, from all given spots; no turn, no shear."""
    design = np.column_stack([xy[spots], np.ones(spots.sum())])
    turn = np.linalg.lstsq(design, tissue.position[spots], rcond=None)[0][:2]
    np.testing.assert_allclose(turn - np.diag(np.diag(turn)), 0, atol=1e-6 * np.abs(turn).max())
    return np.diag(turn)


# -- rows and columns ------------------------------------------------------------------------------------

sizes_of_sections = st.integers(1, 30).flatmap(lambda n: arrays(float, (n, 2), elements=st.floats(0.1, 100)))


@given(sizes_of_sections, st.floats(0, 5))
@settings(deadline=None)
def test_sections_lie_apart_within_the_picture_in_reading_order(sizes, min_gap):
    found = arrange(sizes, min_gap=min_gap)
    tolerance = 1e-9 * found.size.max()
    low, high = found.corner, found.corner + sizes
    assert (low >= -tolerance).all()
    assert (high <= found.size + tolerance).all()
    left, top, width, height = found.names.T
    assert (left >= -tolerance).all()
    assert (left + width <= found.size[0] + tolerance).all()
    assert (top + height <= found.size[1] + tolerance).all()
    np.testing.assert_allclose(top, high[:, 1], atol=tolerance)  # a name is right below its section, in its middle
    np.testing.assert_allclose(left + width / 2, (low + high)[:, 0] / 2, atol=tolerance)
    for i in range(len(sizes)):
        for j in range(i + 1, len(sizes)):
            same_row = i // found.columns == j // found.columns
            if same_row:
                assert low[j, 0] >= max(high[i, 0], left[i] + width[i]) + min_gap - tolerance
                assert top[i] == pytest.approx(top[j])
            elif (j - i) % found.columns == 0 or low[j, 0] < high[i, 0]:
                assert low[j, 1] >= top[i] + height[i] + min_gap - tolerance


@given(sizes_of_sections)
@settings(deadline=None)
def test_several_sections_are_at_most_twice_as_wide_as_high(sizes):
    found = arrange(sizes)
    if len(sizes) == 1:
        np.testing.assert_array_equal(found.size, sizes[0])
    elif found.columns > 1:
        assert found.aspect <= MAX_ASPECT
    assert (found.names[:, 3] > 0).all() == (len(sizes) > 1)
    assert arrange(1000 * sizes).columns == found.columns


@pytest.mark.parametrize(
    ("size", "n", "columns"),
    [
        ((1, 1), 1, 1), ((1, 1), 2, 2), ((1, 1), 3, 2), ((1, 1), 4, 2), ((1, 1), 5, 3), ((1, 1), 8, 3), ((1, 1), 9, 3),
        ((1, 1), 12, 4), ((20, 1), 1, 1), ((1, 20), 1, 1), ((4, 1), 2, 1), ((20, 1), 3, 1), ((0.3, 1), 5, 5),
        ((0.1, 1), 8, 8), ((1, 2), 3, 3), ((1, 2), 8, 4),
    ],
)  # fmt: skip
def test_rows_and_columns_of_sections_alike(size, n, columns):
    found = arrange(np.tile(size, (n, 1)))
    assert found.columns == columns
    assert 0.4 < found.aspect <= 2 or n == 1 or columns == 1


def test_names_are_shortened_in_the_middle():
    assert shorten_name("GSM5494475_biopsy_1", 30) == "GSM5494475_biopsy_1"
    assert shorten_name("GSM5494475_biopsy_1", 10) == "GSM54…sy_1"
    assert [len(shorten_name("abcdefgh", n)) for n in (-2, 0, 3, 4, 7, 8)] == [3, 3, 3, 4, 7, 8]


# -- the picture -----------------------------------------------------------------------------------------


@given(st.integers(1, 80), st.integers(2, 80), st.booleans(), st.floats(1e-3, 1e4), st.sampled_from([50, 200, 640]))
@settings(deadline=None, max_examples=40)
def test_a_section_keeps_its_proportions(width, height, hexagonal, unit, resolution):
    xy = unit * lattice(width, height, hexagonal=hexagonal)
    tissue = spot_map(sections_at(xy), resolution=resolution)
    across, down = scales(tissue, xy, np.ones(len(xy), dtype=bool))
    assert across == pytest.approx(down, rel=1e-6) or width == 1
    rows, columns = tissue.index.shape
    assert columns / rows == pytest.approx(
        (np.ptp(xy, axis=0) + 1.5 * unit)[0] / (np.ptp(xy, axis=0) + 1.5 * unit)[1], rel=0.15
    )
    assert rows * columns <= 1.1 * resolution**2 + 4 * resolution
    assert tissue.labels == []


@given(
    st.lists(st.tuples(st.integers(4, 30), st.integers(4, 30), st.floats(0.01, 100)), min_size=2, max_size=9),
    st.booleans(),
)
@settings(deadline=None, max_examples=30)
def test_arrays_scanned_at_several_resolutions_have_one_scale(given_sections, hexagonal):
    positions = [unit * lattice(w, h, hexagonal=hexagonal) for w, h, unit in given_sections]
    adata = sections_at(*positions)
    tissue = spot_map(adata, library_key="sample", resolution=600)
    xy, section = adata.obsm["spatial"], adata.obs["sample"].astype(int).to_numpy()
    found = np.array([scales(tissue, xy, section == s) * unit for s, (*_, unit) in enumerate(given_sections)])
    np.testing.assert_allclose(found, found[0, 0], rtol=1e-6)
    assert [name.text for name in tissue.labels] == [str(s) for s in range(len(positions))]
    middles = [tissue.position[section == s].mean(axis=0) for s in range(len(positions))]
    for s, name in enumerate(tissue.labels):  # each name is below the spots of its section, before those of others
        own = tissue.position[section == s]
        assert own[:, 1].max() < name.y
        assert own[:, 0].min() <= name.x <= own[:, 0].max()
        assert name.x - name.width / 2 + 0.5 >= -1e-6
        assert name.y + name.height <= tissue.index.shape[0]
        beneath = tissue.index[int(name.y) + 1 : int(name.y + name.height), int(name.x)]
        assert (beneath == -1).all()
    rows = [(round(name.y), middle[0]) for name, middle in zip(tissue.labels, middles, strict=True)]
    assert rows == sorted(rows)
    assert tissue.aspect <= MAX_ASPECT * 1.02 or len({round(middle[0]) for middle in middles}) == 1


def test_free_positions_have_the_unit_that_they_come_in():
    rng = np.random.default_rng(0)
    small, large = (side * rng.random((400, 2)) for side in (100, 300))
    adata = sections_at(small, large)
    tissue = spot_map(adata, library_key="sample")
    found = np.array([scales(tissue, adata.obsm["spatial"], (adata.obs["sample"] == s).to_numpy()) for s in "01"])
    np.testing.assert_allclose(found, found[0, 0], rtol=1e-6)
    adata = sections_at(small, 1000 * large)  # micrometres and nanometres
    tissue = spot_map(adata, library_key="sample")
    assert np.isin(np.arange(adata.n_obs), tissue.index).mean() > 0.95


def test_indices_of_a_hexagonal_array_are_no_squares():
    row, column = (index.ravel() for index in np.divmod(np.arange(20 * 40), 40))
    even = (row + column) % 2 == 0
    adata = sections_at(np.column_stack([column, row])[even].astype(float))
    adata.obs["array_row"], adata.obs["array_col"] = row[even], column[even]
    for order in ([0, 1], [1, 0]):
        adata.obsm["spatial"] = np.column_stack([column, row])[even][:, order].astype(float)
        place = spot_map(adata).position[:, order]
        across, down = np.ptp(place, axis=0) / [39 / 2, 19 * np.sqrt(0.75)]
        assert across == pytest.approx(down)
    adata.obsm["spatial"] = 137.0 * np.column_stack([column / 2, row * np.sqrt(0.75)])[even]  # pixels are as they are
    across, down = scales(spot_map(adata), adata.obsm["spatial"], np.ones(adata.n_obs, dtype=bool))
    assert across == pytest.approx(down)


def test_a_section_in_one_place_is_drawn_beside_others():
    adata = sections_at(lattice(10, 10), np.zeros((12, 2)))
    tissue = spot_map(adata, library_key="sample")
    assert np.isfinite(tissue.position).all()
    with pytest.raises(sx.InputError, match="same position"):
        spot_map(sections_at(np.zeros((12, 2)), np.ones((12, 2))), library_key="sample")


def test_photographs_lie_under_sections_of_any_resolution():
    units = (1.0, 2.5)
    positions = [unit * lattice(20, 12) for unit in units]
    adata = sections_at(*positions)
    adata.uns["spatial"] = {}
    for s, xy in enumerate(positions):  # red is x and green is y, in shares of the section
        height, width = (int(n) + 1 for n in 4 * xy.max(axis=0)[::-1])
        image = np.zeros((height, width, 3))
        image[..., 0], image[..., 1] = np.arange(width) / (width - 1), np.arange(height)[:, None] / (height - 1)
        adata.uns["spatial"][str(s)] = {"images": {"hires": image}, "scalefactors": {"tissue_hires_scalef": 4.0}}
    tissue = spot_map(adata, library_key="sample", image=True)
    on = tissue.index >= 0
    for axis in (0, 1):
        seen = np.bincount(tissue.index[on], tissue.image[on, axis]) / np.bincount(tissue.index[on])
        for xy, part in zip(positions, np.split(seen, [len(positions[0])]), strict=True):
            inner = ((xy > 0.1 * xy.max(axis=0)) & (xy < 0.9 * xy.max(axis=0))).all(axis=1)
            np.testing.assert_allclose(part[inner], (xy[:, axis] / xy[:, axis].max())[inner], atol=0.03)


def test_figures_name_their_sections_where_they_stand():
    names = ["a rather long name of a section, number 1", "a rather long name of a section, number 2", "$x_1$"]
    adata = sections_at(*[lattice(12, 12)] * 3, names=names)
    ax = sx.pl.gene_images(adata, "gene0", library_key="sample")
    shown = {text.get_text(): text for text in ax.texts}
    assert next(iter(shown)) == "$x_1$"  # sections are in the order of their names
    assert all(text.startswith("a ra") and text.endswith(tuple("12")) for text in list(shown)[1:])
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in shown.values()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    map_box = ax.get_window_extent()
    assert all(map_box.y0 <= box.y0 and box.y1 <= map_box.y1 for box in boxes)
    assert ax.get_aspect() in (1, "equal")


@pytest.mark.parametrize("shape", [(120, 6), (6, 120)])
def test_colour_bars_of_long_maps_have_a_width_of_their_own(shape):
    ax = sx.pl.gene_images(sections_at(lattice(*shape)), "gene0")
    ax.figure.canvas.draw()
    bar = ax.child_axes[0].get_window_extent()
    assert 0.05 < bar.width / ax.figure.dpi < 0.2
    assert max(ax.figure.get_size_inches()) < 13


# -- the page --------------------------------------------------------------------------------------------


def page_of(adata: anndata.AnnData, key: str | None = None) -> str:
    sx.pp.rasterize(adata, library_key=key)
    sx.tl.embed(adata, n_modules=2, library_key=key, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    adata.varm["X_spacex_umap"] = np.random.default_rng(0).normal(size=(adata.n_vars, 2))
    return report.build(adata)


@pytest.mark.parametrize(
    ("positions", "least", "most"),
    [
        ([lattice(60, 15)], 3.5, 4.2), ([lattice(15, 60)], 0.23, 0.29), ([lattice(120, 6)], 16, 20),
        ([lattice(12, 12)] * 3, 0.8, 1.2), ([lattice(12, 12)] * 8, 0.8, 2.0),
    ],
)  # fmt: skip
def test_the_plot_has_the_shape_of_its_picture(positions, least, most):
    adata = sections_at(*positions, n_genes=25, names=[f"{EVIL} {s}" for s in range(len(positions))])
    page = page_of(adata, "sample" if len(positions) > 1 else None)
    item = json.loads(re.search(r'id="tissue-plot-item">(.*?)</script>', page, re.S)[1])
    width, height = (float(re.search(rf'"{name}": ?.{{0,40}}?([0-9.]+)', json.dumps(item))[1]) for name in ("dw", "dh"))
    attributes = item["doc"]["roots"][0]["attributes"]
    assert least < width / height < most
    assert attributes["aspect_ratio"] == pytest.approx(width / height)
    ranges = [attributes[name]["attributes"] for name in ("x_range", "y_range")]
    assert [(r.get("start", 0), r.get("end", 0)) for r in ranges] == [(0, width), (height, 0)]
    images = re.findall(r'<img src="[^"]*"[^>]*? width="(\d+)" height="(\d+)"', page)
    assert images
    assert all(int(w) / int(h) == pytest.approx(width / height, rel=0.1) for w, h in images)
    assert EVIL not in page
