"""The map of spots preserves positions and proportions, and is aligned with photographs."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.get.positions import lattice, photographed, sections_at

import spacex as sx
from spacex.get import SpotMap, spot_map
from spacex.get._arrangement import MAX_ASPECT


@pytest.mark.parametrize("technology", ["visium", "st", "cells"])
def test_spots_are_drawn_at_their_positions(technology):
    adata = sx.datasets.simulate_section(n_genes=30, n_spots=300, n_modules=2, technology=technology)
    tissue = spot_map(adata, resolution=600)
    shown = np.unique(tissue.index)
    assert np.isin(np.arange(adata.n_obs), shown).all()
    row, col = np.indices(tissue.index.shape)
    on = tissue.index >= 0
    for axis, at in ((0, col), (1, row)):  # positions are shifted and scaled, y downwards
        center = np.bincount(tissue.index[on], at[on]) / np.bincount(tissue.index[on])
        assert np.corrcoef(center, adata.obsm["spatial"][:, axis])[0, 1] > 0.999
    assert 0.02 < np.mean(~on) < 0.7  # neither a filled square nor isolated dots


def test_spots_of_an_array_have_equal_areas():
    adata = sx.datasets.simulate_section(n_genes=30, n_spots=300, n_modules=2)
    index = spot_map(adata, resolution=800).index
    area = np.bincount(index[index >= 0])
    assert np.median(np.abs(area / np.median(area) - 1)) < 0.05


def test_sections_are_side_by_side(toy):
    toy.obs["slide"] = np.where(np.arange(toy.n_obs) % 2, "right", "left")
    tissue = spot_map(toy, library_key="slide")
    half = tissue.index.shape[1] // 2
    on_left = np.unique(tissue.index[:, : half - 1])
    assert (toy.obs["slide"].to_numpy()[on_left[on_left >= 0]] == "left").all()
    assert [name.text for name in tissue.labels] == ["left", "right"]


def test_photograph_is_aligned_with_the_spots(toy):
    xy = toy.obsm["spatial"] - toy.obsm["spatial"].min(axis=0)
    toy.obsm["spatial"] = xy
    assert spot_map(toy, image=True).image is None
    toy.uns["spatial"] = {"any": photographed(xy, 0.5)}
    assert spot_map(toy).image is None
    tissue = spot_map(toy, image=True)
    on = tissue.index >= 0
    for axis in (0, 1):
        seen = np.bincount(tissue.index[on], tissue.image[on, axis]) / np.bincount(tissue.index[on])
        inner = (xy > 0.05 * xy.max(axis=0)).all(axis=1) & (xy < 0.95 * xy.max(axis=0)).all(axis=1)
        np.testing.assert_allclose(seen[inner], (xy[:, axis] / xy[:, axis].max())[inner], atol=0.02)
    np.testing.assert_array_equal(tissue.image[0, 0], 1)  # white beyond the image


def test_each_section_has_a_photograph(toy):
    xy = toy.obsm["spatial"] - toy.obsm["spatial"].min(axis=0)
    toy.obsm["spatial"] = xy
    toy.obs["slide"] = np.where(np.arange(toy.n_obs) % 2, "right", "left")
    left = photographed(xy, 1.0, "lowres")
    left["images"]["lowres"] = np.uint8(255 * left["images"]["lowres"])[..., 0]  # gray, in bytes
    toy.uns["spatial"] = {"left": left}
    tissue = spot_map(toy, library_key="slide", image=True)
    half = tissue.index.shape[1] // 2
    assert (tissue.image[:, half + 5 :] == 1).all()
    assert tissue.image[:, : half - 5].min() < 0.1
    np.testing.assert_array_equal(tissue.image[..., 0], tissue.image[..., 1])


def scales(tissue: SpotMap, xy: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """Return the scale (x, y) of the picture at some spots, and check that it is neither rotated nor sheared."""
    design = np.column_stack([xy[spots], np.ones(spots.sum())])
    matrix = np.linalg.lstsq(design, tissue.position[spots], rcond=None)[0][:2]
    np.testing.assert_allclose(matrix - np.diag(np.diag(matrix)), 0, atol=1e-6 * np.abs(matrix).max())
    return np.diag(matrix)


@given(st.integers(1, 80), st.integers(2, 80), st.booleans(), st.floats(1e-3, 1e4), st.sampled_from([50, 200, 640]))
@settings(deadline=None, max_examples=40)
def test_a_section_keeps_its_proportions(width, height, hexagonal, unit, resolution):
    assume(not (hexagonal and (width, height) == (1, 2)))  # two points on a diagonal do not determine two scales
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
def test_arrays_scanned_at_several_resolutions_have_one_scale(sizes_and_units, hexagonal):
    positions = [unit * lattice(w, h, hexagonal=hexagonal) for w, h, unit in sizes_and_units]
    adata = sections_at(*positions)
    tissue = spot_map(adata, library_key="sample", resolution=600)
    xy, section = adata.obsm["spatial"], adata.obs["sample"].astype(int).to_numpy()
    scale = np.array([scales(tissue, xy, section == s) * unit for s, (*_, unit) in enumerate(sizes_and_units)])
    np.testing.assert_allclose(scale, scale[0, 0], rtol=1e-6)
    assert [name.text for name in tissue.labels] == [str(s) for s in range(len(positions))]
    centers = [tissue.position[section == s].mean(axis=0) for s in range(len(positions))]
    for s, name in enumerate(tissue.labels):  # a name is below the spots of its section and above those of others
        xy_section = tissue.position[section == s]
        assert xy_section[:, 1].max() < name.y
        assert xy_section[:, 0].min() <= name.x <= xy_section[:, 0].max()
        assert name.x - name.width / 2 + 0.5 >= -1e-6
        assert name.y + name.height <= tissue.index.shape[0]
        below = tissue.index[int(name.y) + 1 : int(name.y + name.height), int(name.x)]
        assert (below == -1).all()
    rows = [(round(name.y), center[0]) for name, center in zip(tissue.labels, centers, strict=True)]
    assert rows == sorted(rows)
    assert tissue.aspect <= MAX_ASPECT * 1.02 or len({round(center[0]) for center in centers}) == 1


def test_free_positions_keep_their_unit():
    rng = np.random.default_rng(0)
    small, large = (side * rng.random((400, 2)) for side in (100, 300))
    adata = sections_at(small, large)
    tissue = spot_map(adata, library_key="sample")
    scale = np.array([scales(tissue, adata.obsm["spatial"], (adata.obs["sample"] == s).to_numpy()) for s in "01"])
    np.testing.assert_allclose(scale, scale[0, 0], rtol=1e-6)
    adata = sections_at(small, 1000 * large)  # micrometers and nanometers
    tissue = spot_map(adata, library_key="sample")
    assert np.isin(np.arange(adata.n_obs), tissue.index).mean() > 0.95


def test_indices_of_a_hexagonal_array_are_scaled_to_hexagons():
    row, column = (index.ravel() for index in np.divmod(np.arange(20 * 40), 40))
    even = (row + column) % 2 == 0
    adata = sections_at(np.column_stack([column, row])[even].astype(float))
    adata.obs["array_row"], adata.obs["array_col"] = row[even], column[even]
    for order in ([0, 1], [1, 0]):
        adata.obsm["spatial"] = np.column_stack([column, row])[even][:, order].astype(float)
        position = spot_map(adata).position[:, order]
        across, down = np.ptp(position, axis=0) / [39 / 2, 19 * np.sqrt(0.75)]
        assert across == pytest.approx(down)
    adata.obsm["spatial"] = (
        137.0 * np.column_stack([column / 2, row * np.sqrt(0.75)])[even]
    )  # pixels are already isotropic
    across, down = scales(spot_map(adata), adata.obsm["spatial"], np.ones(adata.n_obs, dtype=bool))
    assert across == pytest.approx(down)


def test_section_with_one_position_is_drawn_next_to_others():
    adata = sections_at(lattice(10, 10), np.zeros((12, 2)))
    tissue = spot_map(adata, library_key="sample")
    assert np.isfinite(tissue.position).all()
    with pytest.raises(sx.InputError, match="same position"):
        spot_map(sections_at(np.zeros((12, 2)), np.ones((12, 2))), library_key="sample")


def test_photographs_are_aligned_at_any_resolution():
    units = (1.0, 2.5)
    positions = [unit * lattice(20, 12) for unit in units]
    adata = sections_at(*positions)
    adata.uns["spatial"] = {}
    for s, xy in enumerate(positions):  # red is x and green is y, relative to the section
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
