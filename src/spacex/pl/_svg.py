"""Spatially variable genes: calibration of the p-values, scores and maps."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from spacex import _adata, get
from spacex._infra.validation import check_int, check_number
from spacex.get._gene_values import Value
from spacex.pl._gene_images import draw_gene, map_size
from spacex.pl._panels import (
    MAX_MAPS,
    AxesLike,
    Path,
    check_drawing,
    despine,
    panels,
    rows_of_boxes,
    save_or_show,
    title,
)
from spacex.pl.colors import GRAY, SEQUENTIAL


def svg(
    adata: AnnData,
    *,
    n_genes: int = 8,
    alpha: float = 0.05,
    value: Value = "lognorm",
    smooth: float = 0.0,
    cmap: str | Colormap = SEQUENTIAL,
    columns: int = 4,
    image: bool = False,
    library_key: str | None = None,
    ax: AxesLike = None,
    show: bool | None = None,
    save: Path | None = None,
) -> Axes | list[Axes]:
    """Draw a QQ plot of the p-values, the score against mean expression, and maps of the top genes.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.svg`.
    n_genes
        Number of maps, 500 at most: the genes with the highest scores.
    alpha
        Genes with a q-value below this level count as spatially variable.
    value, smooth, cmap
        Values and color map of the maps, as in `spacex.pl.gene_images`.
    columns
        Number of maps in a row.
    image
        Whether to draw discs over the photograph of the tissue in ``uns["spatial"]``, if it has one.
    library_key
        Column of ``obs`` that names the sections, which are drawn in rows and columns of one map; by default the column
        that `spacex.pp.rasterize` used.
    ax
        Axes to draw on: one, or one for the QQ plot, one for the scores and one for each gene.
    show, save
        Whether to open the window of the figure; file to save the figure to.

    Returns
    -------
    A list of Axes in that order; `ax` itself if one Axes was passed.

    Raises
    ------
    InputError
        If `spacex.tl.svg` was not called.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> sx.tl.svg(adata)
    >>> len(sx.pl.svg(adata, n_genes=2))
    4
    """
    _adata.prepare_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    check_drawing(ax, show, save, cmap=cmap, columns=columns, smooth=smooth, image=image, library_key=library_key)
    check_int(n_genes, name="n_genes", low=0, high=MAX_MAPS)
    alpha = check_number(alpha, name="alpha", above=0.0, at_most=1.0)
    top = _ranked_genes(adata)[:n_genes]
    empty = np.empty((0, adata.n_obs))
    values, label = get.gene_values(adata, top, value=value, smooth=smooth) if len(top) else (empty, "")
    tissue = get.spot_map(adata, library_key=library_key, resolution=600 if image else 400, image=image)
    width, height = map_size(tissue.aspect, 2.0)
    maps, (total, below) = rows_of_boxes(
        len(top), columns=columns, width=width, height=height, gap=(0.65, 0.35), margin=(0.1, 0.15, 0.75, 0.3)
    )
    total, below = max(total, 7.2), below if len(top) else 0.0
    half = (total - 1.5) / 2
    charts = [(0.55, below + 0.5, half, 2.4), (1.4 + half, below + 0.5, half, 2.4)]
    drawn = panels(ax, [*charts, *maps], (total, below + 3.2))
    _draw_qq(drawn[0], adata)
    _draw_scores(drawn[1], adata, alpha=alpha)
    for one, name, row in zip(drawn[2:], _adata.read_gene_names(adata).labels[top], values, strict=True):
        draw_gene(one, tissue, row, label, cmap=cmap, zero=value != "residual" and not smooth)
        title(one, name, fontstyle="italic")
    return save_or_show(ax, drawn, show=show, save=save)


def _ranked_genes(adata: AnnData) -> np.ndarray:
    """Positions of the tested genes in ``var``, the highest score first."""
    score = _adata.read_svg(adata, "score")
    order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
    return order[np.isfinite(score[order])]


def _draw_qq(ax: Axes, adata: AnnData) -> None:
    """Draw observed p-values against those expected without patterns, (i - ½) / n for the i-th smallest of n."""
    score = _adata.read_svg(adata, "score")  # finite where p-values underflow
    score = np.sort(score[np.isfinite(score)])[::-1]
    expected = -np.log10((np.arange(len(score)) + 0.5) / max(len(score), 1))
    ax.plot([0, expected.max(initial=1.0)], [0, expected.max(initial=1.0)], color="0.5", lw=1, ls="--")
    ax.scatter(expected, score, s=7, c="#0072B2", lw=0, rasterized=True)
    # On a linear scale the small p-values of a section with many patterns would hide the diagonal.
    ax.set_yscale("symlog", linthresh=float(expected.max(initial=1.0)))
    ax.set_ylim(bottom=0)
    ax.set_xlabel("expected −log10 p")
    ax.set_ylabel("observed −log10 p")
    title(ax, f"QQ plot · {len(score)} genes tested", fontsize=10)
    despine(ax)


def _draw_scores(ax: Axes, adata: AnnData, *, alpha: float) -> None:
    """Draw the score of each tested gene against its mean expression."""
    score, qvalue, mean = _adata.read_svg(adata, "score"), _adata.read_svg(adata, "qvalue"), get.mean_expression(adata)
    tested = np.isfinite(score) & (mean > 0)
    variable = tested & (qvalue < alpha)
    for selected, color, name in (
        (tested & ~variable, GRAY, f"q ≥ {alpha:g}"),
        (variable, "#0072B2", f"q < {alpha:g}"),
    ):
        label = f"{name} ({selected.sum()})"
        ax.scatter(mean[selected], score[selected], s=7, c=color, lw=0, label=label, rasterized=True)
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=3.0)  # a few strong genes would compress the others on a linear scale
    ax.set_ylim(bottom=0)
    ax.set_xlabel("mean count per spot")
    ax.set_ylabel("SVG score (−log10 p)")
    legend = ax.legend(frameon=False, fontsize=7.5, markerscale=2, handletextpad=0.2)
    for handle in legend.legend_handles:
        handle.set_alpha(1)  # type: ignore[union-attr]
    title(ax, "Score against expression", fontsize=10)
    despine(ax)
