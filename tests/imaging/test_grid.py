"""Assignment of spots to pixels: lattices are detected, free positions are binned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from spacex._infra.errors import InputError
from spacex.imaging.grid import HEX_ASPECT, MAX_LATTICE_SIDE, Grid, _shorten_gaps, assign_pixels

TURNS = st.floats(0, 2 * np.pi)
SCALES = st.floats(1e-3, 1e5)
SHIFTS = st.floats(-1e4, 1e4)


def lattice(kind: str, rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (S, 2) at unit pitch, and array coordinates (S, 2), as in Space Ranger for ``"hex"``."""
    row, col = (index.ravel() for index in np.mgrid[:rows, :cols])
    if kind == "hex":
        return np.column_stack([col + 0.5 * (row % 2), row * HEX_ASPECT]), np.column_stack([row, 2 * col + row % 2])
    return np.column_stack([col, row]).astype(float), np.column_stack([row, col])


def moved(xy: np.ndarray, turn: float, scale: float, shift: tuple[float, float], mirror: bool) -> np.ndarray:
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    xy = xy * [-1, 1] if mirror else xy
    return scale * (xy @ rotation.T + np.asarray(shift))


def neighbor_pairs(xy: np.ndarray, pitch: float) -> set[tuple[int, int]]:
    return cKDTree(xy).query_pairs(1.2 * pitch)


def assert_same_lattice(xy: np.ndarray, grid: Grid, pixel: np.ndarray, pitch: float) -> None:
    """One spot per pixel, and the neighbors on the grid are exactly the true neighbors."""
    assert len(np.unique(pixel, axis=0)) == len(xy)
    assert (pixel >= 0).all()
    assert (pixel < grid.shape).all()
    assert neighbor_pairs(grid.positions(pixel), 1.0) == neighbor_pairs(xy, pitch)
    assert grid.pitch == pytest.approx(pitch, rel=0.05)


def affine_error(xy: np.ndarray, grid: Grid, pixel: np.ndarray) -> float:
    """Largest distance, in pitches, between grid positions and spots after the best similarity transform."""
    on_grid = grid.positions(pixel) - grid.positions(pixel).mean(0)
    of_spots = (xy - xy.mean(0)) / grid.pitch
    u, _, v = np.linalg.svd(on_grid.T @ of_spots)
    return float(np.linalg.norm(on_grid @ u @ v - of_spots, axis=1).max())


@pytest.mark.parametrize("start", [0, 1, 6, 7])
def test_visium_array_coordinates_give_hexagonal_grid(start: int) -> None:
    xy, array = lattice("hex", 9, 11)
    array = array + np.array([start, start % 2])  # sections rarely start at the corner of the slide
    grid, pixel = assign_pixels(xy, array=array)
    assert grid.kind == "hex"
    assert grid.staggered
    assert grid.aspect == pytest.approx(np.sqrt(3) / 2)
    assert_same_lattice(xy, grid, pixel, 1.0)
    assert (pixel[:, 0] % 2 == array[:, 0] % 2).all()  # parity determines which rows are staggered
    if start % 2 == 0:
        assert affine_error(xy, grid, pixel) < 1e-9


def test_array_coordinates_take_precedence_over_positions(rng: np.random.Generator) -> None:
    xy, array = lattice("hex", 20, 20)
    present = rng.random(len(xy)) < 0.6
    grid, pixel = assign_pixels(rng.random((present.sum(), 2)), array=array[present])
    assert grid.kind == "hex"
    np.testing.assert_array_equal(np.diff(pixel[:, 0]), np.diff(array[present, 0]))
    np.testing.assert_array_equal(pixel[:, 1] - pixel[0, 1], (array[present, 1] // 2) - (array[present, 1] // 2)[0])


def test_square_array_coordinates_give_square_grid() -> None:
    xy, array = lattice("square", 8, 13)
    grid, pixel = assign_pixels(xy * 100, array=array + 4)
    assert (grid.kind, grid.shape, grid.aspect, grid.pitch) == ("square", (8, 13), 1.0, 100.0)
    assert not grid.staggered
    np.testing.assert_array_equal(pixel, array)


def test_repeated_array_coordinates_are_ignored() -> None:
    xy, array = lattice("hex", 12, 12)
    grid, pixel = assign_pixels(xy, array=np.zeros_like(array))
    assert grid.kind == "hex"  # from the positions
    assert_same_lattice(xy, grid, pixel, 1.0)


@pytest.mark.parametrize("kind", ["hex", "square"])
@settings(max_examples=40, deadline=None)
@given(
    turn=TURNS, scale=SCALES, shift=st.tuples(SHIFTS, SHIFTS), mirror=st.booleans(), seed=st.integers(0, 99),
    missing=st.floats(0, 0.35), rows=st.integers(8, 30), cols=st.integers(8, 30),
)  # fmt: skip
def test_lattices_are_detected_from_positions(
    kind: str, turn: float, scale: float, shift: tuple, mirror: bool, seed: int, missing: float, rows: int, cols: int
) -> None:
    """For any rotation, scale, reflection and shift, with missing spots and in any order."""
    rng = np.random.default_rng(seed)
    xy = moved(lattice(kind, rows, cols)[0], turn, scale, shift, mirror)
    xy = rng.permutation(xy[rng.random(len(xy)) >= missing])
    grid, pixel = assign_pixels(xy)
    assert grid.kind == kind
    assert_same_lattice(xy, grid, pixel, scale)
    assert affine_error(xy, grid, pixel) < 0.05


@pytest.mark.parametrize("kind", ["hex", "square"])
@settings(max_examples=25, deadline=None)
@given(turn=TURNS, seed=st.integers(0, 999))
@example(turn=2.0, seed=712)  # the median nearest distance is far below the pitch
def test_lattice_with_jitter_is_detected(kind: str, turn: float, seed: int) -> None:
    true = moved(lattice(kind, 25, 20)[0], turn, 1.0, (0, 0), False)
    xy = true + np.random.default_rng(seed).normal(scale=0.05, size=true.shape)
    grid, pixel = assign_pixels(xy)
    assert grid.kind == kind
    assert_same_lattice(true, grid, pixel, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_errors_do_not_accumulate_over_large_arrays(seed: int) -> None:
    true = moved(lattice("hex", 78, 64)[0], 0.013, 137.0, (5000, 3000), False)
    xy = np.rint(true + np.random.default_rng(seed).normal(scale=7.0, size=true.shape))
    grid, pixel = assign_pixels(xy)
    assert grid.kind == "hex"
    assert_same_lattice(true, grid, pixel, 137.0)


@pytest.mark.parametrize("kind", ["hex", "square"])
def test_two_islands_share_a_lattice(kind: str) -> None:
    xy, _ = lattice(kind, 12, 30)
    xy = xy[(xy[:, 0] < 12) | (xy[:, 0] > 17)]
    grid, pixel = assign_pixels(moved(xy, 0.4, 55.0, (3, 3), False))
    assert grid.kind == kind
    assert affine_error(moved(xy, 0.4, 55.0, (3, 3), False), grid, pixel) < 0.05


def test_large_lattices_are_binned() -> None:
    side = MAX_LATTICE_SIDE + 10
    xy, array = lattice("square", side, side)
    for coordinates in (None, array):
        grid, pixel = assign_pixels(xy, array=coordinates)
        assert grid.kind == "bins"
        assert max(grid.shape) <= 96
        assert pixel.max() < 96
    grid, _ = assign_pixels(*lattice("square", MAX_LATTICE_SIDE, 12)[:1])
    assert (grid.kind, sorted(grid.shape)) == ("square", [12, MAX_LATTICE_SIDE])


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(20, 3000), seed=st.integers(0, 999), stretch=st.floats(0.05, 20), scale=SCALES,
    shift=st.tuples(SHIFTS, SHIFTS),
)  # fmt: skip
def test_free_positions_are_binned(n: int, seed: int, stretch: float, scale: float, shift: tuple) -> None:
    """At most 96 square pixels per side, and every spot lies in its pixel."""
    xy = scale * (np.random.default_rng(seed).random((n, 2)) * [1, stretch] + shift)
    grid, pixel = assign_pixels(xy)
    assert grid.kind == "bins"
    assert not grid.staggered
    assert grid.aspect == pytest.approx(1.0)
    assert max(grid.shape) <= 96
    np.testing.assert_array_equal(pixel.min(0), 0)
    np.testing.assert_array_equal(pixel.max(0) + 1, grid.shape)
    inside = (xy - xy.min(0)) / grid.pitch - pixel[:, ::-1]
    assert inside.min() > -1e-6
    assert inside.max() < 1 + 1e-6


@pytest.mark.parametrize("n", [500, 3000, 12_000])
def test_mean_occupancy_is_two(n: int, rng: np.random.Generator) -> None:
    xy = rng.random((n, 2)) * 1000
    grid, _ = assign_pixels(xy)
    assert n / np.prod(grid.shape) == pytest.approx(2.0, rel=0.2)
    grid, _ = assign_pixels(xy, spots_per_pixel=8.0)
    assert n / np.prod(grid.shape) == pytest.approx(8.0, rel=0.25)


def test_occupancy_is_two_at_median_density(rng: np.random.Generator) -> None:
    dense, plain = rng.random((500, 2)), rng.random((4000, 2)) * [30, 30] + 2
    grid, pixel = assign_pixels(np.vstack([dense, plain]))
    occupied = np.unique(pixel[500:], axis=0, return_counts=True)[1]
    assert len(plain) / (30 / grid.pitch) ** 2 == pytest.approx(2.0, rel=0.25)
    assert 2.0 < occupied.mean() < 3.0  # without empty pixels


def test_number_of_pixels_is_bounded(rng: np.random.Generator) -> None:
    xy = rng.random((60_000, 2)) * [3, 1]
    grid, _ = assign_pixels(xy)
    assert grid.shape[1] == 96
    assert grid.shape[0] == pytest.approx(32, abs=1)
    grid, _ = assign_pixels(xy, max_side=24)
    assert grid.shape[1] == 24


@pytest.mark.parametrize("side", [2, 7, 50, 300])
def test_integer_size_is_the_longer_side(side: int, rng: np.random.Generator) -> None:
    xy = rng.random((400, 2)) * [1, 2]
    grid, pixel = assign_pixels(xy, size=side)
    assert grid.kind == "bins"
    assert grid.shape == (side, -(-side // 2))
    np.testing.assert_array_equal(pixel, np.minimum((xy - xy.min(0)) / grid.pitch, np.array(grid.shape)[::-1] - 1)
                                  .astype(int)[:, ::-1])  # fmt: skip


@pytest.mark.parametrize("size", [(10, 30), (30, 10), (1, 8), (96, 97)])
def test_pair_size_is_rows_and_columns(size: tuple[int, int], rng: np.random.Generator) -> None:
    xy = rng.random((500, 2)) * [4, 1]
    grid, pixel = assign_pixels(xy, size=size)
    assert grid.shape == size
    extent = np.ptp(xy, axis=0)
    assert grid.pitch == pytest.approx(extent[0] / size[1])
    assert grid.aspect == pytest.approx((extent[1] / size[0]) / (extent[0] / size[1]))
    np.testing.assert_array_equal(pixel.max(0) + 1, size)
    row = np.floor((xy[:, 1] - xy[:, 1].min()) / extent[1] * size[0])
    np.testing.assert_array_equal(pixel[:, 0], np.minimum(row, size[0] - 1))


def test_explicit_size_bins_lattices() -> None:
    xy, array = lattice("hex", 20, 20)
    for size in (5, (5, 5)):
        grid, pixel = assign_pixels(xy, array=array, size=size)
        assert grid.kind == "bins"
        assert pixel.max() == 4


@pytest.mark.parametrize("axis", [0, 1])
def test_spots_on_a_line_give_a_line_of_pixels(axis: int, rng: np.random.Generator) -> None:
    xy = np.zeros((200, 2))
    xy[:, axis] = rng.random(200)
    for size in ("auto", 20):
        grid, pixel = assign_pixels(xy, size=size)
        assert grid.shape[axis] == 1
        assert (pixel[:, axis] == 0).all()
    xy[:, axis] = np.arange(200) % 50  # evenly spaced, four spots per position
    grid, pixel = assign_pixels(xy)
    assert sorted(grid.shape) == [1, 50]
    assert len(np.unique(pixel, axis=0)) == 50


def test_duplicate_positions_share_a_pixel(rng: np.random.Generator) -> None:
    xy, _ = lattice("hex", 10, 10)
    twice = np.vstack([xy, xy[:30]])
    grid, pixel = assign_pixels(twice)
    assert grid.kind == "hex"
    np.testing.assert_array_equal(pixel[100:], pixel[:30])
    repeated = np.vstack([np.zeros((300, 2)), rng.random((40, 2))])  # most neighbors at distance zero
    grid, pixel = assign_pixels(repeated)
    assert max(grid.shape) <= 96
    assert len(np.unique(pixel[:300], axis=0)) == 1


@pytest.mark.parametrize("array", [None, np.zeros((20, 2))])
@pytest.mark.parametrize("size", ["auto", 10, (5, 5)])
def test_equal_positions_raise(array: np.ndarray | None, size: object) -> None:
    with pytest.raises(InputError, match=r"one place.*obsm\['spatial'\]"):
        assign_pixels(np.full((20, 2), 7.0), array=array, size=size)


def test_odd_rows_are_shifted_by_half_a_pixel() -> None:
    pixel = np.array([[0, 0], [1, 0], [2, 3]])
    hexagonal = Grid((3, 4), "hex", HEX_ASPECT, 1.0)
    np.testing.assert_allclose(hexagonal.positions(pixel), [[0, 0], [0.5, HEX_ASPECT], [3, 2 * HEX_ASPECT]])
    square = Grid((3, 4), "square", 1.0, 1.0)
    np.testing.assert_allclose(square.positions(pixel), [[0, 0], [0, 1], [3, 2]])


@example(turn=6.0, seed=4)  # two spots are equally near the center
@settings(max_examples=20, deadline=None)
@given(turn=st.one_of(TURNS, st.sampled_from([0, np.pi / 2, np.pi, np.pi / 3])), seed=st.integers(0, 999))
def test_order_of_spots_does_not_matter(turn: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for xy in (moved(lattice("hex", 14, 9)[0], turn, 3.0, (1, 2), False), rng.random((200, 2))):
        order = rng.permutation(len(xy))
        grid, pixel = assign_pixels(xy)
        shuffled_grid, shuffled = assign_pixels(xy[order])
        assert shuffled_grid.shape == grid.shape
        assert shuffled_grid.kind == grid.kind
        np.testing.assert_array_equal(shuffled, pixel[order])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize("kind", ["free", "lattice"])
def test_outlying_spots_do_not_change_pixel_size(kind: str) -> None:
    rng = np.random.default_rng(0)
    xy = rng.random((400, 2)) * 20 if kind == "free" else np.argwhere(np.ones((20, 20))).astype(float)
    alone, pixel = assign_pixels(xy)
    far = np.vstack([xy, [[1e5, 3.0], [4.0, -1e6], [2e7, 2e7]]])
    grid, far_pixel = assign_pixels(far)
    assert max(grid.shape) <= 3 * max(alone.shape) + 3
    assert len(np.unique(far_pixel[:400], axis=0)) >= 0.95 * len(np.unique(pixel, axis=0))
    assert len(np.unique(far_pixel[400:], axis=0)) == 3
    distance = np.abs(far_pixel[400:, None] - far_pixel[None, :400]).max(axis=-1).min(axis=1)
    assert (distance > 5).all(), "outliers are separate from the tissue"


def test_tissue_without_gaps_is_unchanged() -> None:
    xy = np.random.default_rng(0).random((600, 2))
    xy[300:, 0] += 1.3
    np.testing.assert_array_equal(_shorten_gaps(xy), xy)


@pytest.mark.parametrize(
    "changed",
    [{"shape": (0, 3)}, {"shape": (3, 4096)}, {"shape": (3, 3, 3)}, {"kind": "round"}, {"aspect": 0.0},
     {"aspect": np.nan}, {"pitch": -1.0}, {"pitch": np.inf}],
    ids=str,
)  # fmt: skip
def test_invalid_attributes_make_a_grid_invalid(changed):
    valid = Grid((3, 4), "hex", 0.9, 100.0)
    assert valid.is_valid
    assert not replace(valid, **changed).is_valid
