"""Neighbors of pixels, and numbering of labels."""

import numpy as np
from tests.domains.data import square_layout

from spacex.domains import pixel_neighbors, relabel_by_size


def test_neighbors_are_in_the_same_section():
    neighbors = pixel_neighbors(square_layout(3, n_sections=2))
    assert neighbors.shape == (18, 6)
    assert (neighbors[:9] < 9).all()
    assert (neighbors[9:] >= 9).all()
    assert all(pixel not in row for pixel, row in enumerate(neighbors))


def test_small_sections_have_fewer_neighbors():
    assert pixel_neighbors(square_layout(2)).shape == (4, 3)


def test_labels_are_numbered_by_size():
    label = np.array([7, 3, 3, 5, 5, 3, 9])
    np.testing.assert_array_equal(relabel_by_size(label), [2, 0, 0, 1, 1, 0, 3])
