"""The two plots that answer the mouse, made with Bokeh: all genes, and the tissue.

Bokeh draws on a canvas, not by WebGL: with 20,000 points that is faster where there is no graphics card, and its WebGL
compiles code at run time, which the page's content security policy forbids (docs/method.md has the measurement).
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from spacex.report._display_units import DisplayUnits

LABEL: dict[str, Any] = {
    "background_fill_color": "white",
    "background_fill_alpha": 0.8,
    "padding": 2,
    "border_radius": 3,
}
"""Ground of names, so that they can be read over points in both lights."""


def library_script() -> str:
    """Bokeh's own script, of the installed release."""
    return files("bokeh").joinpath("server/static/js/bokeh.min.js").read_text(encoding="utf-8")


def gene_plot(layout: np.ndarray, genes: pd.DataFrame, modules: list[dict[str, Any]]) -> dict[str, Any]:
    """The map of all genes as a JSON item; sources "genes", "chosen gene" and the names of modules."""
    from bokeh.models import ColumnDataSource, HoverTool

    shown = np.flatnonzero(np.isfinite(layout).all(axis=1))
    x, y = layout[shown].T
    source = ColumnDataSource(
        {"x": x, "y": y, "gene": genes["gene"].to_numpy()[shown].astype(object), "number": shown.astype(np.int32),
         "module": genes["module"].to_numpy()[shown].astype(object), "color": ["#888888"] * len(shown)},
        name="genes",
    )  # fmt: skip
    plot = _figure(_range(x), _range(y), 1.0, "pan,wheel_zoom,box_zoom,tap,reset,save", "genes plot")
    size = float(np.clip(220 / np.sqrt(max(len(shown), 1)), 3, 8))
    points = plot.scatter(
        "x", "y", size=size, fill_color="color", fill_alpha=0.85, line_color=None, source=source,
        nonselection_fill_alpha=0.85, nonselection_line_color=None, hover_line_color="black",
    )  # fmt: skip
    plot.add_tools(HoverTool(renderers=[points], tooltips=[("gene", "@gene"), ("module", "@module")]))
    ring = ColumnDataSource({key: [] for key in ("x", "y", "gene", "side", "gap")}, name="chosen gene")
    plot.scatter("x", "y", size=size + 8, fill_color=None, line_color="#d00000", line_width=2.5, source=ring)
    plot.text(
        "x", "y", text="gene", text_align={"field": "side"}, x_offset={"field": "gap"}, y_offset=-8,
        text_font_style="bold italic", text_color="#c00000", source=ring, **LABEL,
    )  # fmt: skip
    place = [np.median(layout[(genes["module"] == m["name"]).to_numpy()], axis=0) for m in modules]
    names = ColumnDataSource(
        {"x": [float(p[0]) for p in place], "y": [float(p[1]) for p in place], "name": [m["name"] for m in modules]},
        name="module names",
    )
    plot.text(
        "x", "y", text="name", text_align="center", text_baseline="middle", text_font_style="bold",
        text_font_size="11px", text_color="black", source=names, **LABEL,
    )  # fmt: skip
    return _item(plot)


def tissue_plot(places: DisplayUnits) -> dict[str, Any]:
    """The tissue as a JSON item; sources "picture", "spots", whose selection is a lasso's, and "section names"."""
    from bokeh.models import ColumnDataSource, HoverTool

    height, width = places.picture.shape
    plot = _figure((0, width), (height, 0), places.aspect, "pan,wheel_zoom,tap,reset,save", "tissue plot")
    picture = ColumnDataSource({"image": [np.zeros((height, width), dtype=np.uint32)]}, name="picture")
    plot.image_rgba("image", x=0, y=0, dw=width, dh=height, source=picture)
    x, y = places.xy.T.astype(np.float32) + 0.5
    spots = ColumnDataSource({"x": x, "y": y, "value": [""] * len(places)}, name="spots")
    points = plot.circle(
        "x", "y", radius=max(0.5 * places.spacing, 0.5), fill_alpha=0, line_alpha=0, source=spots,
        selection_fill_alpha=0.0, selection_line_alpha=1.0, selection_line_color="#ff2d2d", nonselection_fill_alpha=0,
        nonselection_line_alpha=0, hover_line_alpha=1, hover_line_color="black",
    )  # fmt: skip
    plot.add_tools(HoverTool(renderers=[points], tooltips="@value"), *_lassos(points))
    if places.labels:
        name, x, y, room, _ = (np.array(values) for values in zip(*places.labels, strict=True))
        source = ColumnDataSource(
            {"x": x + 0.5, "y": y + 0.5, "room": room, "name": name.astype(object), "whole": name.astype(object)},
            name="section names",
        )
        names = plot.text(
            "x", "y", text="name", text_align="center", text_baseline="top", text_color="black", source=source,
            text_font_size="11px", **LABEL,
        )  # fmt: skip
        plot.add_tools(HoverTool(renderers=[names], tooltips="@whole", visible=False))
    return _item(plot)


def _lassos(points: Any) -> list[Any]:
    from bokeh.models import BoxSelectTool, LassoSelectTool

    return [LassoSelectTool(renderers=[points], continuous=False), BoxSelectTool(renderers=[points])]


def _figure(x_range: tuple[float, float], y_range: tuple[float, float], aspect: float, tools: str, name: str) -> Any:
    """A plot without axes, on the colours of the page, which gives it the shape that `aspect` tells."""
    from bokeh.models import Range1d
    from bokeh.plotting import figure

    plot = figure(
        x_range=Range1d(start=x_range[0], end=x_range[1]), y_range=Range1d(start=y_range[0], end=y_range[1]),
        tools=tools, active_scroll=None, toolbar_location="above", name=name, sizing_mode="stretch_width",
        aspect_ratio=aspect, background_fill_alpha=0, border_fill_alpha=0, outline_line_color=None,
        output_backend="canvas",
    )  # fmt: skip
    plot.axis.visible = False
    plot.grid.visible = False
    plot.toolbar.logo = None
    return plot


def _range(values: np.ndarray) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    pad = 0.06 * max(float(np.ptp(values)), 1e-6)
    return float(values.min()) - pad, float(values.max()) + pad


def _item(plot: Any) -> dict[str, Any]:
    """The plot for the page, its parts numbered from one, so that the same result gives the same bytes."""
    from bokeh.embed import json_item

    numbers: dict[str, str] = {}

    def renumbered(part: Any) -> Any:
        if isinstance(part, dict):
            return {
                key: numbers.setdefault(value, f"p{len(numbers) + 1}")
                if key in ("id", "root_id") and isinstance(value, str)
                else renumbered(value)
                for key, value in part.items()
            }
        return [renumbered(value) for value in part] if isinstance(part, (list, tuple)) else part

    return dict(renumbered(json_item(plot)))
