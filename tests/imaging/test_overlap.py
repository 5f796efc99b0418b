"""Shared positions, labels that separate them, and areas of groups."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spacex.imaging.overlap import are_evenly_spaced, in_area, is_chance, largest_overlap, separates, shared_positions

POSITIONS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=40)


def lattice(n: int, at: tuple[float, float] = (0.0, 0.0), pitch: float = 1.0) -> np.ndarray:
    row, column = np.divmod(np.arange(n * n), n)
    return np.column_stack([column, row]) * pitch + np.array(at)


@given(POSITIONS)
def test_shared_positions_occur_twice_in_a_section(rows: list[tuple[int, int, int]]) -> None:
    xy, section = np.array([row[:2] for row in rows], dtype=float), np.array([row[2] for row in rows])
    number = shared_positions(xy, section)
    for i, row in enumerate(rows):
        assert (number[i] >= 0) == (rows.count(row) > 1)
        for j, other in enumerate(rows):
            if number[i] >= 0 and number[j] >= 0:
                assert (number[i] == number[j]) == (row == other)


@given(POSITIONS, st.data())
def test_distinct_labels_separate_positions(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    label = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=len(rows), max_size=len(rows))))
    position = shared_positions(np.array([row[:2] for row in rows], dtype=float), np.zeros(len(rows), dtype=int))
    at = [list(label[position == p]) for p in set(position) - {-1}]
    expected = bool(at) and all(min(labels) >= 0 and len(set(labels)) == len(labels) for labels in at)
    assert separates(label, position) == expected


def test_few_positions_may_be_separated_by_chance() -> None:
    for n_pairs, n_labels, chance in ((5, 2, True), (20, 2, False), (20, 20, True), (300, 20, False)):
        label = np.arange(n_pairs * 2 * n_labels) % n_labels
        position = np.full(len(label), -1)
        position[: 2 * n_pairs] = np.repeat(np.arange(n_pairs), 2)
        assert is_chance(label, position) == chance


def test_spots_in_area_of_another_group() -> None:
    large, small, beside = lattice(20), lattice(5, (3.3, 7.4)), lattice(20, (20.0, 0.0))
    xy, group = np.vstack([large, small, beside]), np.repeat([0, 1, 2], [400, 25, 400])
    inside = in_area(xy, group, np.arange(len(xy)))
    assert inside[group == 1, 0].all()
    assert not inside[np.arange(len(group)), group].any()  # never in the spot's own group
    assert inside[group == 2, 0].mean() == 0.05  # the first of twenty columns
    assert largest_overlap(xy, group) == 1.0
    assert largest_overlap(xy[group != 1], np.repeat([0, 1], 400)) == 0.05


@given(st.permutations(range(50)))
def test_overlap_does_not_depend_on_the_order_of_spots(order: list[int]) -> None:
    xy, group = np.vstack([lattice(5), lattice(5, (2.5, 0.0))]), np.repeat([0, 1], 25)
    assert largest_overlap(xy[order], group[order]) == largest_overlap(xy, group)


def test_overlapping_lattices_are_not_evenly_spaced() -> None:
    hexagonal = lattice(12) * [1.0, np.sqrt(0.75)] + 0.5 * (np.arange(144) // 12 % 2)[:, None] * [1.0, 0.0]
    for xy in (lattice(12), hexagonal):
        assert are_evenly_spaced(xy)
        assert are_evenly_spaced(np.vstack([xy, xy + np.array([40.0, 3.3])]))  # side by side
        for shift in ([0.0, 0.0], [0.2, 0.1], [3.3, 2.6], [0.5, 0.28]):
            assert not are_evenly_spaced(np.vstack([xy, xy + shift]))
    assert not are_evenly_spaced(np.random.default_rng(0).random((200, 2)))
    assert not are_evenly_spaced(np.zeros((3, 2)))
