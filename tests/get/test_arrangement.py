"""Sections are arranged in rows and columns without overlap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spacex.get._arrangement import MAX_ASPECT, arrange

sizes_of_sections = st.integers(1, 30).flatmap(lambda n: arrays(float, (n, 2), elements=st.floats(0.1, 100)))


@given(sizes_of_sections, st.floats(0, 5))
@settings(deadline=None)
def test_sections_do_not_overlap_and_are_in_reading_order(sizes, min_gap):
    arrangement = arrange(sizes, min_gap=min_gap)
    tolerance = 1e-9 * arrangement.size.max()
    low, high = arrangement.corner, arrangement.corner + sizes
    assert (low >= -tolerance).all()
    assert (high <= arrangement.size + tolerance).all()
    left, top, width, height = arrangement.names.T
    assert (left >= -tolerance).all()
    assert (left + width <= arrangement.size[0] + tolerance).all()
    assert (top + height <= arrangement.size[1] + tolerance).all()
    np.testing.assert_allclose(top, high[:, 1], atol=tolerance)  # a name is centered below its section
    np.testing.assert_allclose(left + width / 2, (low + high)[:, 0] / 2, atol=tolerance)
    for i in range(len(sizes)):
        for j in range(i + 1, len(sizes)):
            same_row = i // arrangement.columns == j // arrangement.columns
            if same_row:
                assert low[j, 0] >= max(high[i, 0], left[i] + width[i]) + min_gap - tolerance
                assert top[i] == pytest.approx(top[j])
            elif (j - i) % arrangement.columns == 0 or low[j, 0] < high[i, 0]:
                assert low[j, 1] >= top[i] + height[i] + min_gap - tolerance


@given(sizes_of_sections)
@settings(deadline=None)
def test_several_sections_respect_the_maximum_aspect(sizes):
    arrangement = arrange(sizes)
    if len(sizes) == 1:
        np.testing.assert_array_equal(arrangement.size, sizes[0])
    elif arrangement.columns > 1:
        assert arrangement.aspect <= MAX_ASPECT
    assert (arrangement.names[:, 3] > 0).all() == (len(sizes) > 1)
    assert arrange(1000 * sizes).columns == arrangement.columns


@pytest.mark.parametrize(
    ("size", "n", "columns"),
    [
        ((1, 1), 1, 1), ((1, 1), 2, 2), ((1, 1), 3, 2), ((1, 1), 4, 2), ((1, 1), 5, 3), ((1, 1), 8, 3), ((1, 1), 9, 3),
        ((1, 1), 12, 4), ((20, 1), 1, 1), ((1, 20), 1, 1), ((4, 1), 2, 1), ((20, 1), 3, 1), ((0.3, 1), 5, 5),
        ((0.1, 1), 8, 8), ((1, 2), 3, 3), ((1, 2), 8, 4),
    ],
)  # fmt: skip
def test_rows_and_columns_of_equal_sections(size, n, columns):
    arrangement = arrange(np.tile(size, (n, 1)))
    assert arrangement.columns == columns
    assert 0.4 < arrangement.aspect <= 2 or n == 1 or columns == 1
