"""Layout of the tissue pixels of one or several sections, and means over sections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacex.imaging.grid import Grid


@dataclass(frozen=True)
class SectionLayout:
    """One or several sections side by side in one image.

    Attributes
    ----------
    grids
        The grid of each section.
    section
        (P,) section of every tissue pixel.
    pixel
        (P, 2) row and column of every tissue pixel in the grid of its section.
    """

    grids: tuple[Grid, ...]
    section: np.ndarray
    pixel: np.ndarray

    @property
    def offsets(self) -> np.ndarray:
        """First column of each section in the layout; sections are one column apart."""
        n_columns = [grid.shape[1] + 1 for grid in self.grids]
        return np.concatenate([[0], np.cumsum(n_columns)[:-1]]).astype(int)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns (H, W) of the layout."""
        height = max(grid.shape[0] for grid in self.grids)
        return height, sum(grid.shape[1] for grid in self.grids) + len(self.grids) - 1

    @property
    def flat(self) -> np.ndarray:
        """(P,) position of every tissue pixel in the flattened layout."""
        return self.pixel[:, 0] * self.shape[1] + self.pixel[:, 1] + self.offsets[self.section]

    @property
    def mask(self) -> np.ndarray:
        """(H, W) whether a pixel of the layout lies on tissue."""
        mask = np.zeros(self.shape[0] * self.shape[1], dtype=bool)
        mask[self.flat] = True
        return mask.reshape(self.shape)

    def to_images(self, values: np.ndarray) -> np.ndarray:
        """Values (B, P) of tissue pixels as images (B, H, W), zero off the tissue."""
        images = np.zeros((len(values), self.shape[0] * self.shape[1]), dtype=values.dtype)
        images[:, self.flat] = values
        return images.reshape(-1, *self.shape)


def section_parts(section: np.ndarray, n_sections: int) -> list[slice | np.ndarray]:
    """Index of the pixels of each section, from the section (P,) of each pixel.

    Slices if pixels are sorted by section, as in layouts made from spots; index arrays otherwise.
    """
    if np.all(section[1:] >= section[:-1]):
        ends = np.cumsum(np.bincount(section, minlength=n_sections))
        return [slice(start, end) for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]
    return [np.flatnonzero(section == s) for s in range(n_sections)]


def section_means(values: np.ndarray, section: np.ndarray, n_sections: int) -> np.ndarray:
    """Means (B, n_sections) of values (B, P) over the pixels of each section, in the precision of the values.

    Faster than `spacex.stats.group_mean` for batches of maps, because pixels are sorted by section.
    """
    if n_sections == 1:
        return values.mean(axis=1, keepdims=True)
    sums = np.stack([values[:, part].sum(axis=1) for part in section_parts(section, n_sections)], axis=1)
    return sums / np.maximum(np.bincount(section, minlength=n_sections), 1)


def center_sections(values: np.ndarray, section: np.ndarray, n_sections: int) -> np.ndarray:
    """Subtract the mean over each section from values (B, P), in place; return the values."""
    values -= section_means(values, section, n_sections)[:, section]
    return values
