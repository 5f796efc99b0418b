"""Axes for the panels of a figure: new Axes, those that the user passes, or parts of one Axes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.colors import Colormap

from spacex._infra.atomic_write import atomic_path
from spacex._infra.errors import InputError, safe_repr
from spacex._infra.validation import check_bool, check_int, check_name, check_number, check_output_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AxesLike = Axes | Sequence[Axes] | None
Path = str | os.PathLike[str]
MAX_MAPS = 500
"""Maximum number of maps in a figure if only their number is passed."""

DPI, MAX_DOTS = 200, 2**16
"""Dots per inch of a saved figure; matplotlib cannot draw a figure with a side of `MAX_DOTS` or more."""

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
    """Boxes of `n` equal panels in rows, and the size of their figure, in inches.

    `gap` is the space between columns and between rows; `margin` is left, bottom, right and top.
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


def panels(ax: AxesLike, boxes: Sequence[Box], size: tuple[float, float]) -> list[Axes]:
    """One Axes for each box: in a new figure of `size`, inside the one Axes passed, or the Axes passed."""
    if isinstance(ax, Axes):
        if len(boxes) == 1:
            return [ax]
        ax.set_axis_off()
        return [ax.inset_axes(_fraction(box, size)) for box in boxes]
    if ax is not None:
        axes = list(ax.ravel()) if hasattr(ax, "ravel") else list(ax)
        if len(axes) != len(boxes) or not all(isinstance(one, Axes) for one in axes):
            raise InputError(
                f"ax has {len(axes)} item(s) for {len(boxes)} panel(s); pass one Axes for each panel, or one for all"
            )
        return axes
    if max(size) * DPI >= MAX_DOTS:
        raise InputError(
            f"a figure of {len(boxes)} panels would be {size[0]:.0f} × {size[1]:.0f} inches large; the limit is "
            f"{MAX_DOTS // DPI} inches: draw fewer panels, or change columns="
        )
    figure = plt.figure(figsize=size)
    return [figure.add_axes(_fraction(box, size)) for box in boxes]


def _fraction(box: Box, size: tuple[float, float]) -> tuple[float, float, float, float]:
    return box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]


def check_drawing(
    ax: Any,
    show: Any,
    save: Any,
    *,
    cmap: Any = None,
    columns: Any = 1,
    smooth: Any = 0.0,
    image: Any = False,
    library_key: Any = None,
) -> None:
    """Raise `InputError` for invalid drawing arguments, before anything is drawn."""
    check_bool(image, name="image")
    check_name(library_key, name="library_key")
    if show is not None:
        check_bool(show, name="show")
    if ax is not None and not isinstance(ax, Axes) and (isinstance(ax, (str, bytes)) or not isinstance(ax, Iterable)):
        raise InputError(f"ax={safe_repr(ax)} is not allowed; pass one Axes, or one for each panel")
    if cmap is not None and not isinstance(cmap, Colormap) and (not isinstance(cmap, str) or cmap not in colormaps):
        raise InputError(f"cmap={safe_repr(cmap)} is not the name of a color map; pass one, such as 'viridis'")
    check_int(columns, name="columns", low=1)
    check_number(smooth, name="smooth", at_least=0.0)
    if save is None:
        return
    path = check_output_file(save, name="save", example="figure.png")
    formats = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix and path.suffix[1:].lower() not in formats:
        raise InputError(f"save='{save}' is not a format of figures; pass a name that ends in {', '.join(formats)}")


def save_or_show(ax: AxesLike, drawn: list[Axes], *, show: bool | None, save: Path | None) -> Axes | list[Axes]:
    """Save and show the figure; return the one Axes that was passed or drawn on, else the list of Axes."""
    figure: Figure = drawn[0].get_figure(root=True)  # type: ignore[assignment]
    if save is not None:
        path = check_output_file(save, name="save", example="figure.png")
        path = path if path.suffix else path.with_name(f"{path.name}.png")
        with atomic_path(path) as draft:
            figure.savefig(draft, format=path.suffix[1:].lower(), dpi=DPI, bbox_inches="tight", facecolor="white")
    if show:
        plt.show()
    if isinstance(ax, Axes):
        return ax
    return drawn[0] if len(drawn) == 1 else drawn


def title(ax: Axes, text: str, **style: object) -> None:
    """Set a title without math mode: a dollar sign in the name of a gene is a dollar sign."""
    ax.set_title(text, **{"fontsize": 9, **style}).set_parse_math(False)  # type: ignore[arg-type]


def despine(ax: Axes) -> None:
    """Hide the top and right axes of a chart and set its font sizes."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    ax.xaxis.label.set_fontsize(9)
    ax.yaxis.label.set_fontsize(9)
