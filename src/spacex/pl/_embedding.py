"""The map of all genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.patheffects import withStroke

from spacex import _adata, get
from spacex._infra.errors import InputError
from spacex._infra.validation import check_names, check_number
from spacex.get._spot_categories import text_categories
from spacex.pl._gene_images import color_bar
from spacex.pl._panels import AxesLike, Path, check_drawing, panels, rows_of_boxes, save_or_show, title
from spacex.pl.colors import GRAY, SEQUENTIAL, Palette, category_colors, robust_norm

HALO = [withStroke(linewidth=2.0, foreground="white")]


def embedding(
    adata: AnnData,
    *,
    color: str | Sequence[str] = "module",
    genes: Sequence[str] = (),
    palette: Palette = None,
    cmap: str | Colormap = SEQUENTIAL,
    size: float | None = None,
    columns: int = 3,
    ax: AxesLike = None,
    show: bool | None = None,
    save: Path | None = None,
) -> Axes | list[Axes]:
    """Draw all embedded genes in two dimensions: genes that lie close have similar maps.

    The coordinates are those of `spacex.get.gene_layout`: ``varm["X_spacex_umap"]`` (G, 2) if it is present, else a
    UMAP, which takes seconds and is not stored.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    color
        Values that color the genes: ``"module"``, ``"svg"`` (score of spatial variability), ``"expression"`` (log10 of
        the mean count), ``"strength"`` (norm of the embedding) or a column of ``var``. Each value gets a panel. Gray:
        no module has a probability above `Config.min_module_prob`; the gene has no clear spatial pattern, too few
        counts to tell, or lies between modules.
    genes
        Genes to label, by name or symbol.
    palette, cmap
        Colors of categories, and color map of numbers.
    size
        Area of a point; by default it decreases with the number of genes.
    columns
        Number of panels in a row.
    ax
        Axes to draw on: one, or one for each value.
    show, save
        Whether to open the window of the figure; file to save the figure to.

    Returns
    -------
    The Axes, or a list of them for several values; `ax` itself if one Axes was passed.

    Raises
    ------
    InputError
        If there is no embedding, or a value or a gene is unknown.

    Examples
    --------
    >>> import numpy as np, spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2]  # any layout works
    >>> sx.pl.embedding(adata, color="expression").get_title()
    'log10 mean expression'
    """
    _adata.prepare_adata(adata)
    check_drawing(ax, show, save, cmap=cmap, columns=columns)
    names = check_names(color, name="color")
    if not names:
        raise InputError("color is empty; pass 'module', 'svg', 'expression', 'strength' or a column of adata.var")
    if size is not None:
        size = check_number(size, name="size", above=0.0)
    values = [_values(adata, name) for name in names]
    gene_names = _adata.read_gene_names(adata)
    labeled = [gene_names.index(gene) for gene in check_names(genes, name="genes")]
    xy = get.gene_layout(adata)
    boxes, figure_size = rows_of_boxes(
        len(names), columns=columns, width=3.8, height=3.8, gap=(0.8, 0.4), margin=(0.15, 0.15, 0.85, 0.35)
    )
    drawn = panels(ax, boxes, figure_size)
    area = size if size is not None else float(np.clip(14000 / max(len(xy), 1), 2.5, 30))
    for one, (label, column) in zip(drawn, values, strict=True):
        _frame(one, label)
        if column.dtype == float:
            _draw_numbers(one, xy, column.to_numpy(), area, cmap, label)
        else:
            _draw_categories(one, xy, text_categories(column), area, palette)
        for gene in labeled:
            _label_gene(one, xy[gene], gene_names.labels[gene])
    return save_or_show(ax, drawn, show=show, save=save)


def _values(adata: AnnData, color: str) -> tuple[str, pd.Series]:
    """Title and values (G,) of `color`: floats or categories."""
    index = adata.var_names
    if color == "module":
        return "module", _adata.read_modules(adata)
    if color == "expression":
        with np.errstate(divide="ignore"):
            mean = np.log10(get.mean_expression(adata))
        return "log10 mean expression", pd.Series(np.where(np.isfinite(mean), mean, np.nan), index)
    if color == "strength":
        strength = np.linalg.norm(_adata.read_embedding(adata).astype(np.float64), axis=1)
        return "strength of the spatial signal", pd.Series(strength, index)
    column = _adata.keys.svg_column("score") if color == "svg" else color
    if column not in adata.var:
        hint = (
            "call sx.tl.svg(adata)" if color == "svg" else "pass 'module', 'svg', 'expression', 'strength' or a column"
        )
        raise InputError(f"color={color!r}: var[{column!r}] is missing; {hint}")
    values = adata.var[column]
    number = pd.api.types.is_float_dtype(values)
    return "SVG score" if color == "svg" else color, values.astype(float) if number else values


def _frame(ax: Axes, label: str) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.margins(0.08)
    title(ax, label, fontsize=10)


def _draw_numbers(ax: Axes, xy: np.ndarray, values: np.ndarray, area: float, cmap: str | Colormap, label: str) -> None:
    """Color points by numbers, the highest on top; points without a number are gray."""
    missing = ~np.isfinite(values)
    x, y = xy.T
    ax.scatter(x[missing], y[missing], s=area, c=GRAY, lw=0, rasterized=True)
    order = np.flatnonzero(~missing)[np.argsort(values[~missing], kind="stable")]
    norm = robust_norm(values)
    points = ax.scatter(x[order], y[order], s=area, c=values[order], cmap=cmap, norm=norm, lw=0, rasterized=True)
    color_bar(ax, points, label)


def _draw_categories(ax: Axes, xy: np.ndarray, labels: pd.Categorical, area: float, palette: Palette) -> None:
    """Color points by categories and label each category at its median gene; unassigned points lie below the others."""
    colors = category_colors(list(labels.categories), palette)
    table = np.array([*colors.values(), GRAY])
    rest = np.isin(np.asarray(labels), [_adata.keys.UNASSIGNED]) | (labels.codes < 0)
    x, y = xy.T
    ax.scatter(x[rest], y[rest], s=area * 0.7, c=GRAY, alpha=0.5, lw=0, rasterized=True)
    ax.scatter(x[~rest], y[~rest], s=area, c=table[labels.codes[~rest]], lw=0, rasterized=True)
    for code, name in enumerate(labels.categories):
        member = xy[(labels.codes == code) & np.isfinite(xy[:, 0])]
        if name == _adata.keys.UNASSIGNED or not len(member):
            continue
        center = np.median(member, axis=0)
        left, up = map(float, member[np.argmin(np.linalg.norm(member - center, axis=1))])
        text = ax.text(left, up, name, fontsize=8, weight="bold", ha="center", va="center", path_effects=HALO)
        text.set_parse_math(False)


def _label_gene(ax: Axes, point: np.ndarray, gene: str) -> None:
    if not np.isfinite(point).all():
        return
    ax.plot(*point, "o", ms=4, mfc="none", mec="black", mew=0.9)
    ax.annotate(
        gene, tuple(point), xytext=(4, 4), textcoords="offset points", fontsize=8, fontstyle="italic",
        path_effects=HALO, parse_math=False,
    )  # fmt: skip
