"""The two interactive plots, made with Bokeh: gene map and tissue.

Bokeh draws on a canvas, not with WebGL: a canvas is faster for 20,000 points without a graphics card, and WebGL
compiles code at run time, which the content security policy of the report forbids (measured in docs/method.md).
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from spacex.report._display_units import DisplayUnits

LABEL_STYLE: dict[str, Any] = {
    "background_fill_color": "white",
    "background_fill_alpha": 0.8,
    "padding": 2,
    "border_radius": 3,
}
"""Background of labels, which keeps them readable over points in light and dark mode."""


def library_script() -> str:
    """Return the script of the installed Bokeh."""
    return files("bokeh").joinpath("server/static/js/bokeh.min.js").read_text(encoding="utf-8")


def gene_plot(layout: np.ndarray, genes: pd.DataFrame, modules: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the gene map as a JSON item with the sources "genes", "selected gene" and "module names".

    Parameters
    ----------
    layout
        (G, 2) positions of the genes, NaN for genes that were not embedded.
    genes
        Gene table with the labels of the genes.
    modules
        Name of each module.
    """
    from bokeh.models import ColumnDataSource, HoverTool

    drawn = np.flatnonzero(np.isfinite(layout).all(axis=1))
    x, y = layout[drawn].T
    source = ColumnDataSource(
        {"x": x, "y": y, "gene": genes["gene"].to_numpy()[drawn].astype(object), "gene_index": drawn.astype(np.int32),
         "module": genes["module"].to_numpy()[drawn].astype(object), "color": ["#888888"] * len(drawn)},
        name="genes",
    )  # fmt: skip
    plot = _figure(_range(x), _range(y), 1.0, "pan,wheel_zoom,box_zoom,tap,reset,save", "genes plot")
    size = float(np.clip(220 / np.sqrt(max(len(drawn), 1)), 3, 8))
    points = plot.scatter(
        "x", "y", size=size, fill_color="color", fill_alpha=0.85, line_color=None, source=source,
        nonselection_fill_alpha=0.85, nonselection_line_color=None, hover_line_color="black",
    )  # fmt: skip
    plot.add_tools(HoverTool(renderers=[points], tooltips=[("gene", "@gene"), ("module", "@module")]))
    ring = ColumnDataSource({key: [] for key in ("x", "y", "gene", "align", "offset")}, name="selected gene")
    plot.scatter("x", "y", size=size + 8, fill_color=None, line_color="#d00000", line_width=2.5, source=ring)
    plot.text(
        "x", "y", text="gene", text_align={"field": "align"}, x_offset={"field": "offset"}, y_offset=-8,
        text_font_style="bold italic", text_color="#c00000", source=ring, **LABEL_STYLE,
    )  # fmt: skip
    center = [np.median(layout[(genes["module"] == m["name"]).to_numpy()], axis=0) for m in modules]
    names = ColumnDataSource(
        {"x": [float(p[0]) for p in center], "y": [float(p[1]) for p in center], "name": [m["name"] for m in modules]},
        name="module names",
    )
    plot.text(
        "x", "y", text="name", text_align="center", text_baseline="middle", text_font_style="bold",
        text_font_size="11px", text_color="black", source=names, **LABEL_STYLE,
    )  # fmt: skip
    return _item(plot)


def tissue_plot(units: DisplayUnits) -> dict[str, Any]:
    """Return the tissue as a JSON item with the sources "picture", "units" and "section names"."""
    from bokeh.models import ColumnDataSource, HoverTool

    height, width = units.picture.shape
    plot = _figure((0, width), (height, 0), units.aspect, "pan,wheel_zoom,tap,reset,save", "tissue plot")
    picture = ColumnDataSource({"image": [np.zeros((height, width), dtype=np.uint32)]}, name="picture")
    plot.image_rgba("image", x=0, y=0, dw=width, dh=height, source=picture)
    x, y = units.xy.T.astype(np.float32) + 0.5
    source = ColumnDataSource({"x": x, "y": y, "value": [""] * len(units)}, name="units")
    points = plot.circle(
        "x", "y", radius=max(0.5 * units.spacing, 0.5), fill_alpha=0, line_alpha=0, source=source,
        selection_fill_alpha=0.0, selection_line_alpha=1.0, selection_line_color="#ff2d2d", nonselection_fill_alpha=0,
        nonselection_line_alpha=0, hover_line_alpha=1, hover_line_color="black",
    )  # fmt: skip
    plot.add_tools(HoverTool(renderers=[points], tooltips="@value"), *_selection_tools(points))
    if units.section_names:
        name, x, y, max_width, _ = (np.array(values) for values in zip(*units.section_names, strict=True))
        source = ColumnDataSource(
            {
                "x": x + 0.5,
                "y": y + 0.5,
                "max_width": max_width,
                "text": name.astype(object),
                "name": name.astype(object),
            },
            name="section names",
        )
        names = plot.text(
            "x", "y", text="text", text_align="center", text_baseline="top", text_color="black", source=source,
            text_font_size="11px", **LABEL_STYLE,
        )  # fmt: skip
        plot.add_tools(HoverTool(renderers=[names], tooltips="@name", visible=False))
    return _item(plot)


def _selection_tools(points: Any) -> list[Any]:
    from bokeh.models import BoxSelectTool, LassoSelectTool

    return [LassoSelectTool(renderers=[points], continuous=False), BoxSelectTool(renderers=[points])]


def _figure(x_range: tuple[float, float], y_range: tuple[float, float], aspect: float, tools: str, name: str) -> Any:
    """Return a plot without axes on the background of the report; `aspect` is width divided by height."""
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
    """Return the plot as JSON, with ids numbered from one, so that the report is reproducible."""
    from bokeh.embed import json_item

    new_ids: dict[str, str] = {}

    def renumber(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: new_ids.setdefault(value, f"p{len(new_ids) + 1}")
                if key in ("id", "root_id") and isinstance(value, str)
                else renumber(value)
                for key, value in node.items()
            }
        return [renumber(value) for value in node] if isinstance(node, (list, tuple)) else node

    return dict(renumber(json_item(plot)))
