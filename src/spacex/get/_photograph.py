"""Photographs of the tissue under a picture of the spots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from anndata import AnnData

from spacex import _adata


class Frame(NamedTuple):
    """Coordinates of a picture.

    Attributes
    ----------
    x, y
        (W,) and (H,) positions of the points in the picture.
    shift, unit
        (n, 2) offset and scale of each section: position in the picture = coordinate × unit + shift.
    """

    x: np.ndarray
    y: np.ndarray
    shift: np.ndarray
    unit: np.ndarray


def photograph(adata: AnnData, libraries: Sequence[str | None], section: np.ndarray, frame: Frame) -> np.ndarray | None:
    """Images of the sections at the points of a picture, from the section (H, W) of each point.

    Returns
    -------
    (H, W, 3) colors from 0 to 1, white beyond the images; None if no section has an image.
    """
    picture, has_image = np.ones((*section.shape, 3)), False
    for s, library in enumerate(libraries):
        read = _adata.read_tissue_image(adata, library)
        if read is None:
            continue
        has_image, (image, scale) = True, read
        column, row = (
            np.rint((points - shift) / unit * scale).astype(int)
            for points, shift, unit in zip((frame.x, frame.y), frame.shift[s], frame.unit[s], strict=True)
        )
        rows, columns = np.nonzero(
            (section == s)
            & ((row >= 0) & (row < image.shape[0]))[:, None]
            & ((column >= 0) & (column < image.shape[1]))
        )
        picture[rows, columns] = image[row[rows], column[columns]]
    return picture if has_image else None
