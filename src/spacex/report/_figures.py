"""Images inside the report: maps as PNG, charts as SVG in the colors of the report."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from anndata import AnnData
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from spacex import pl
from spacex.get import SpotMap
from spacex.pl.colors import SEQUENTIAL

N_COLORS = 64
"""Number of colors of a map: more are not distinguishable at its size."""

TEXT_COLOR_PLACEHOLDER = "#010203"
"""Placeholder color of text, replaced by the text color of the report."""

Draw = Callable[[list[Axes]], object]
Box = tuple[float, float, float, float]


def map_uri(tissue: SpotMap, values: np.ndarray, norm: Normalize) -> str:
    """Return a map of values (S,) as a PNG data URI: transparent off the tissue, gray for missing values."""
    level = np.rint(np.ma.filled(norm(tissue.to_picture(values)), 0.0) * (N_COLORS - 1)).astype(np.int64)
    is_missing = ~np.isfinite(np.asarray(values, dtype=float))[np.maximum(tissue.index, 0)]
    code = np.where(is_missing, N_COLORS, np.clip(level, 0, N_COLORS - 1))
    colors = mpl.colormaps[SEQUENTIAL](np.linspace(0, 1, N_COLORS))[:, :3]
    return _png_uri(np.where(tissue.index < 0, N_COLORS + 1, code), [*colors, (0.6, 0.6, 0.6)])


def _png_uri(codes: np.ndarray, colors: Sequence[Sequence[float]]) -> str:
    """Return codes (H, W) below 256 as a PNG with these colors; the code after the last color is transparent."""
    image = Image.fromarray(codes.astype(np.uint8), mode=None)
    image.putpalette(np.rint(255 * np.array([*colors, (1.0, 1.0, 1.0)])).astype(np.uint8).tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True, transparency=len(colors))
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _chart(draw: Draw, boxes: Sequence[Box], size: tuple[float, float], name: str) -> Markup:
    """Return an SVG without fixed size, drawn on axes in boxes (x, y, width, height in inches)."""
    text_colors = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: dict[Any, Any] = {**dict.fromkeys(text_colors, TEXT_COLOR_PLACEHOLDER), "axes.facecolor": "none"}
    with mpl.rc_context({**style, "svg.fonttype": "none", "svg.hashsalt": name}):
        figure = Figure(figsize=size)
        axes = [figure.add_axes((x / size[0], y / size[1], w / size[0], h / size[1])) for x, y, w, h in boxes]
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, dpi=150, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    head, rest = text.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.S)
    rest = (
        rest.replace(TEXT_COLOR_PLACEHOLDER, "currentColor")
        .replace("#ffffff", "var(--card)")
        .replace("#0072b2", "var(--accent)")
    )
    # matplotlib escapes the texts in its SVG
    return Markup(f'{head} role="img" style="max-width:{size[0]:.2f}in">{rest}')  # nosec B704


def svg_chart(adata: AnnData, *, alpha: float) -> Markup:
    """Return the QQ plot of the p-values and the SVG scores by expression."""
    return _chart(
        lambda axes: pl.svg(adata, n_genes=0, alpha=alpha, ax=axes),
        [(0.6, 0.5, 3.6, 2.6), (5.0, 0.5, 3.6, 2.6)],
        (8.8, 3.4),
        "svg",
    )


def training_chart(adata: AnnData, n_stages: int) -> Markup:
    """Return the training curves."""
    boxes = [(0.75 + 3.4 * (i % 2), 0.5 + 2.5 * ((n_stages - 1) // 2 - i // 2), 2.0, 1.6) for i in range(n_stages)]
    size = (7.0 if n_stages > 1 else 3.6, 2.5 * -(-n_stages // 2))
    return _chart(lambda axes: pl.training(adata, ax=axes), boxes, size, "training")
