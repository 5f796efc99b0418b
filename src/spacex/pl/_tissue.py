"""Drawing on maps of the tissue."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, to_rgba
from matplotlib.image import AxesImage

from spacex.get import SpotMap

MISSING_COLOR = (0.5, 0.5, 0.5, 0.18)
"""Color of spots without a value."""

MAX_FONT_SIZE, LETTER_WIDTH = 7.0, 0.62
"""Maximum font size of a section's name in points; mean width of a letter relative to the font size."""


def draw_values(ax: Axes, tissue: SpotMap, values: np.ndarray, *, cmap: str | Colormap, norm: Normalize) -> AxesImage:
    """Draw numbers (S,) of the spots; over a photograph as discs, with the tissue between them."""
    _draw_background(ax, tissue)
    picture = tissue.to_picture(values)
    if tissue.image is not None and tissue.in_disc is not None:
        picture[~tissue.in_disc] = np.ma.masked
    return ax.imshow(picture, cmap=cmap, norm=norm, interpolation="nearest")


def draw_categories(ax: Axes, tissue: SpotMap, codes: np.ndarray, colors: list[str], *, alpha: float = 1.0) -> None:
    """Draw categories (S,) of the spots, given as positions in `colors`; -1 is transparent."""
    _draw_background(ax, tissue)
    table = np.array([to_rgba(color) for color in colors] + [(0.0, 0.0, 0.0, 0.0)])
    picture = np.where(tissue.index < 0, -1, codes[np.maximum(tissue.index, 0)])
    ax.imshow(table[picture], interpolation="nearest", alpha=alpha)


def _draw_background(ax: Axes, tissue: SpotMap) -> None:
    """Draw the photograph, else all spots in gray, and the names of the sections."""
    if tissue.image is not None:
        ax.imshow(tissue.image, interpolation="nearest")
    else:
        background = np.zeros((*tissue.index.shape, 4))
        background[tissue.index >= 0] = MISSING_COLOR
        ax.imshow(background, interpolation="nearest")
    ax.set_axis_off()
    box, (height, width) = ax.get_window_extent(), tissue.index.shape
    scale = min(box.width / width, box.height / height) * 72 / ax.figure.dpi
    for name in tissue.labels:
        size = min(MAX_FONT_SIZE, 0.8 * name.height * scale)
        text = shorten_name(name.text, int(name.width * scale / (LETTER_WIDTH * size)))
        ax.text(name.x, name.y, text, ha="center", va="top", fontsize=size, parse_math=False)


def shorten_name(text: str, n: int) -> str:
    """Shorten a text to `n` characters, 3 at least, keeping its beginning and its end."""
    half = max(n - 1, 2) / 2
    return text if len(text) <= max(n, 3) else f"{text[: int(np.ceil(half))]}…{text[-int(half) :]}"
