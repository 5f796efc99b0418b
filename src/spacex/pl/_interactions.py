"""Heat map of the similarity of genes, with a dendrogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, rgb_to_hsv, to_rgb
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from spacex import _adata, get
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_names
from spacex.pl._panels import AxesLike, Path, check_drawing, panels, save_or_show
from spacex.pl.colors import category_colors
from spacex.stats import l2_normalize

DIVERGING = "RdBu_r"
MAX_GENES = 150
CELL = 0.16
"""Width of a gene in the heat map, in inches."""


def interactions(
    adata: AnnData,
    genes: Sequence[str] | None = None,
    *,
    n_genes: int = 40,
    cmap: str | Colormap = DIVERGING,
    ax: AxesLike = None,
    show: bool | None = None,
    save: Path | None = None,
) -> Axes | list[Axes]:
    """Draw the pairwise similarity of genes, ordered by average linkage, with their modules.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    genes
        Genes to draw, by name or symbol, such as a gene family or a pathway; by default those of
        `spacex.get.connected_genes`, which need `spacex.tl.interactions`.
    n_genes
        Number of genes if `genes` is None: the best connected gene of each module, then the second of each, and so on.
    cmap
        Color map of the cosine, from -1 to 1.
    ax
        Axes to draw on: one, or one each for the dendrogram, the modules and the heat map.
    show, save
        Whether to open the window of the figure; file to save the figure to.

    Returns
    -------
    A list of Axes: dendrogram, modules, heat map; `ax` itself if one Axes was passed.

    Raises
    ------
    InputError
        If there is no embedding, a gene is unknown or not embedded, `genes` has fewer than 3 or more than 150 genes, or
        there are no interactions to select genes by.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> axes = sx.pl.interactions(adata, list(adata.var_names[:12]))
    >>> len(axes)
    3
    """
    _adata.prepare_adata(adata)
    check_drawing(ax, show, save, cmap=cmap)
    check_int(n_genes, name="n_genes", low=3, high=MAX_GENES)
    z = _adata.read_embedding(adata)
    index = get.connected_genes(adata, n=n_genes) if genes is None else _gene_positions(adata, genes)
    direction = l2_normalize(z[index].astype(np.float64))
    cosine = np.clip(direction @ direction.T, -1.0, 1.0)
    tree = linkage(squareform(1.0 - cosine, checks=False), "average", optimal_ordering=True)
    side = CELL * max(len(index), 8)
    labels = _adata.read_gene_names(adata).labels[index]
    names_width = 0.085 * max(map(len, labels)) + 0.15
    size = (names_width + 0.3 + side + 1.0, side + 1.45 + names_width)
    left, bottom = names_width + 0.15, names_width
    boxes = [
        (left, bottom + side + 0.26, side, 0.75), (left, bottom + side + 0.05, side, 0.16), (left, bottom, side, side),
    ]  # fmt: skip
    drawn = panels(ax, boxes, size)
    leaves = _draw_tree(drawn[0], tree)
    _draw_modules(drawn[1], adata, index[leaves])
    _draw_heat(drawn[2], cosine[np.ix_(leaves, leaves)], list(labels[leaves]), cmap)
    return save_or_show(ax, drawn, show=show, save=save)


def _gene_positions(adata: AnnData, genes: Sequence[str]) -> np.ndarray:
    """Positions of the genes in ``var``, without duplicates."""
    names = list(dict.fromkeys(check_names(genes, name="genes")))
    if not 3 <= len(names) <= MAX_GENES:
        raise InputError(f"genes holds {len(names)} gene(s); pass from 3 to {MAX_GENES}")
    return _adata.embedded_gene_indices(adata, names, name="genes")


def _draw_tree(ax: Axes, tree: np.ndarray) -> np.ndarray:
    """Draw the dendrogram and return the order of its leaves."""
    drawn = dendrogram(tree, ax=ax, no_labels=True, color_threshold=0, above_threshold_color="0.35")
    for line in ax.collections:
        line.set_linewidth(0.8)
    ax.set_axis_off()
    return np.asarray(drawn["leaves"])


def _draw_modules(ax: Axes, adata: AnnData, index: np.ndarray) -> None:
    """Draw a strip with the colors of the modules, and the names of runs of two genes or more."""
    column = _adata.read_modules(adata)
    color = category_colors([str(name) for name in column.cat.categories])
    names = column.astype(str).to_numpy()[index]
    for i, name in enumerate(names):
        ax.add_patch(_cell(i, color[name]))
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    for start, end in zip(starts, np.append(starts[1:], len(names)), strict=True):
        if names[start] != _adata.keys.UNASSIGNED and end - start >= 2:
            text_color = "white" if rgb_to_hsv(to_rgb(color[names[start]]))[2] < 0.75 else "0.1"
            ax.text((start + end - 1) / 2, 0.5, names[start], ha="center", va="center", fontsize=6, color=text_color)
    ax.set_xlim(-0.5, len(index) - 0.5)
    ax.set_ylim(0, 1)
    ax.set_axis_off()
    ax.text(len(index) - 0.3, 0.5, "module", fontsize=7, va="center", clip_on=False)


def _cell(i: int, color: str):  # type: ignore[no-untyped-def]
    from matplotlib.patches import Rectangle

    return Rectangle((i - 0.5, 0), 1, 1, facecolor=color, lw=0)


def _draw_heat(ax: Axes, cosine: np.ndarray, names: list[str], cmap: str | Colormap) -> None:
    image = ax.imshow(cosine, cmap=cmap, norm=Normalize(-1, 1), interpolation="nearest", aspect="auto")
    ax.set_xticks(np.arange(len(names)), names, rotation=90)
    ax.set_yticks(np.arange(len(names)), names)
    for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        label.set_parse_math(False)
    ax.tick_params(labelsize=6.5, length=0)
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0.0, 0.12 / (CELL * max(len(names), 8)), 0.35)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=6.5, length=2)
    bar.set_label("cosine of embeddings", fontsize=7)
