"""Rows and columns of several sections in one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MAX_ASPECT = 2.0
"""Maximum width divided by height of several sections; a wider row is split into several rows."""

GAP = 0.06
"""Distance between sections, relative to the side of a square with the mean area of a section."""

NAME_HEIGHT = 0.045
"""Height of the line for the names below a row, relative to the picture's longer side: 15 of 340 pixels."""


class SectionName(NamedTuple):
    """Name of a section and the area for it, in points of the picture.

    Attributes
    ----------
    text
        The name.
    x, y
        Middle and top of the area.
    width, height
        Size of the area.

    Examples
    --------
    >>> import spacex as sx
    >>> sx.get.SectionName("left", x=10.0, y=30.0, width=20.0, height=2.0).text
    'left'
    """

    text: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Arrangement:
    """Positions of sections in a picture; the upper left corner is (0, 0) and y runs downwards.

    Attributes
    ----------
    columns
        Number of sections in a row; the last row may have fewer.
    corner
        (n, 2) x and y of the upper left corner of each section.
    names
        (n, 4) left, top, width and height of the area for the name below each section; height 0 for a single section.
    size
        (2,) width and height of the picture.
    """

    columns: int
    corner: np.ndarray
    names: np.ndarray
    size: np.ndarray

    @property
    def aspect(self) -> float:
        """Width of the picture divided by its height."""
        return float(self.size[0] / self.size[1])


def arrange(sizes: np.ndarray, *, min_gap: float = 0.0) -> Arrangement:
    """Arrange sections of given widths and heights (n, 2) in rows and columns, in reading order.

    A single section keeps its proportions. Several sections form one row if it is at most `MAX_ASPECT` times as wide as
    high; otherwise the table whose longer side is smallest, or one column if two columns are too wide. `min_gap` is
    the minimum distance between sections.

    Examples
    --------
    >>> import numpy as np
    >>> from spacex.get._arrangement import arrange
    >>> [arrange(np.ones((n, 2))).columns for n in (1, 2, 3, 8)]
    [1, 2, 2, 3]
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    n = len(sizes)
    gap = max(GAP * float(np.sqrt(sizes.prod(axis=1)).mean()), min_gap)
    # For each number of rows the fewest columns: more would only leave the last row emptier.
    choices = [_table(sizes, columns, gap) for columns in sorted({-(-n // rows) for rows in range(1, n + 1)})]
    if choices[-1].aspect <= MAX_ASPECT:
        return choices[-1]
    narrow = [choice for choice in choices if choice.aspect <= MAX_ASPECT]
    return min(narrow, key=lambda choice: float(choice.size.max())) if narrow else choices[0]


def _table(sizes: np.ndarray, columns: int, gap: float) -> Arrangement:
    """Sections in rows of `columns`: centered in their column, at the bottom of their row, above their names."""
    n = len(sizes)
    row, column = np.divmod(np.arange(n), columns)
    widths, heights = np.zeros(columns), np.zeros(int(row[-1]) + 1)
    np.maximum.at(widths, column, sizes[:, 0])
    np.maximum.at(heights, row, sizes[:, 1])
    gaps = gap * np.array([len(widths) - 1, len(heights) - 1])
    total = np.array([widths.sum(), heights.sum()]) + gaps
    below = NAME_HEIGHT * float(total.max()) if n > 1 else 0.0
    left = np.cumsum(widths + gap) - widths - gap
    top = np.cumsum(heights + below + gap) - heights - below - gap
    bottom = (top + heights)[row]
    corner = np.column_stack([left[column] + (widths[column] - sizes[:, 0]) / 2, bottom - sizes[:, 1]])
    names = np.column_stack([left[column], bottom, widths[column], np.full(n, below)])
    return Arrangement(columns, corner, names, total + np.array([0.0, below * len(heights)]))
