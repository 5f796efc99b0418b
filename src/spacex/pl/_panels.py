"""Axes for the panels of a figure: new ones, given ones, or parts of a given one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from .._check import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Target = Axes | Sequence[Axes] | None
Path = str | os.PathLike[str]
Box = tuple[float, float, float, float]
"""Left, bottom, width and height of a panel, in inches from the lower left corner."""


def rows_of_boxes(
    n: int,
    *,
    columns: int,
    width: float,
    height: float,
    gap: tuple[float, float],
    margin: tuple[float, float, float, float],
) -> tuple[list[Box], tuple[float, float]]:
    """Boxes of `n` equal panels in rows, and the size of the figure that holds them.

    `gap` is between columns and between rows; `margin` is left, bottom, right and top.
    """
    columns = max(1, min(n, columns))
    rows = -(-n // columns)
    left, bottom, right, top = margin
    size = (
        left + columns * width + (columns - 1) * gap[0] + right,
        bottom + rows * height + (rows - 1) * gap[1] + top,
    )
    boxes = []
    for i in range(n):
        row, column = divmod(i, columns)
        x, y = left + column * (width + gap[0]), size[1] - top - height - row * (height + gap[1])
        boxes.append((x, y, width, height))
    return boxes, size


def panels(ax: Target, boxes: Sequence[Box], size: tuple[float, float]) -> list[Axes]:
    """One Axes for every box: of a new figure of `size`, inside the one Axes given, or the Axes given."""
    if isinstance(ax, Axes):
        if len(boxes) == 1:
            return [ax]
        ax.set_axis_off()
        return [ax.inset_axes(_fraction(box, size)) for box in boxes]
    if ax is not None:
        given = list(ax.ravel()) if hasattr(ax, "ravel") else list(ax)
        if len(given) != len(boxes) or not all(isinstance(one, Axes) for one in given):
            raise InputError(
                f"ax has {len(given)} item(s) for {len(boxes)} panel(s); pass one Axes a panel, or one for all"
            )
        return given
    figure = plt.figure(figsize=size)
    return [figure.add_axes(_fraction(box, size)) for box in boxes]


def _fraction(box: Box, size: tuple[float, float]) -> tuple[float, float, float, float]:
    return box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]


def finish(ax: Target, drawn: list[Axes], *, show: bool | None, save: Path | None) -> Axes | list[Axes]:
    """Save and show the figure; return the one Axes that was given or drawn on, else the list of them."""
    figure: Figure = drawn[0].get_figure(root=True)  # type: ignore[assignment]
    if save is not None:
        figure.savefig(save, dpi=200, bbox_inches="tight", facecolor="white")
    if show:
        plt.show()
    if isinstance(ax, Axes):
        return ax
    return drawn[0] if len(drawn) == 1 else drawn


def title(ax: Axes, text: str, **style: object) -> None:
    """Set a title in which a dollar sign is a dollar sign: names of genes are not formulas."""
    ax.set_title(text, **{"fontsize": 9, **style}).set_parse_math(False)  # type: ignore[arg-type]


def plain(ax: Axes) -> None:
    """Leave a chart the two axes that are read."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    ax.xaxis.label.set_fontsize(9)
    ax.yaxis.label.set_fontsize(9)
