"""Points with known clusters."""

from __future__ import annotations

import numpy as np

from spacex.domains import pixel_neighbors
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout


def clouds(rng: np.random.Generator, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return 300 points (300, 5) in three Gaussian clouds whose centers lie `distance` along the axes; cloud labels."""
    truth = np.repeat([0, 1, 2], 100)
    return distance * np.eye(3, 5)[truth] + rng.standard_normal((300, 5)), truth


def square_layout(side: int, n_sections: int = 1) -> SectionLayout:
    pixel = np.argwhere(np.ones((side, side), dtype=bool))
    grids = (Grid((side, side), "square", 1.0, 1.0),) * n_sections
    return SectionLayout(grids, np.repeat(np.arange(n_sections), side**2), np.tile(pixel, (n_sections, 1)))


def stripes(side: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of the pixels of a square with four stripes, and the neighbors of each pixel."""
    layout = square_layout(side)
    return layout.pixel[:, 1] * 4 // side, pixel_neighbors(layout)
