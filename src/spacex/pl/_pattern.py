"""A designated pattern and the genes with the most similar maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from spacex import _adata, get
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int
from spacex.get._gene_values import Value
from spacex.pl._gene_images import draw_gene, map_size
from spacex.pl._panels import MAX_MAPS, AxesLike, Path, check_drawing, panels, rows_of_boxes, save_or_show, title
from spacex.pl.colors import SEQUENTIAL


def pattern(
    adata: AnnData,
    matches: pd.DataFrame,
    *,
    n_genes: int = 7,
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
    """Draw the pattern of the last call of `spacex.tl.pattern` and the genes in its table.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.pattern`.
    matches
        The table that `spacex.tl.pattern` returned.
    n_genes
        Number of genes to draw, 500 at most, the most similar first.
    value, smooth, cmap
        Values and color map of the genes, as in `spacex.pl.gene_images`.
    columns
        Number of maps in a row.
    image
        Whether to draw discs over the photograph of the tissue in ``uns["spatial"]``, if it has one.
    library_key
        Column of ``obs`` that names the sections, which are drawn in rows and columns of one map; by default the column
        that `spacex.pp.rasterize` used.
    ax
        Axes to draw on: one, or one for the pattern and one for each gene.
    show, save
        Whether to open the window of the figure; file to save the figure to.

    Returns
    -------
    A list of Axes in that order; `ax` itself if one Axes was passed.

    Raises
    ------
    InputError
        If `spacex.tl.pattern` was not called, or `matches` is not its table.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> matches = sx.tl.pattern(adata, {"domain": ["domain1"]})
    >>> len(sx.pl.pattern(adata, matches, n_genes=3))
    4
    """
    _adata.prepare_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    check_drawing(ax, show, save, cmap=cmap, columns=columns, smooth=smooth, image=image, library_key=library_key)
    check_int(n_genes, name="n_genes", low=0, high=MAX_MAPS)
    if not isinstance(matches, pd.DataFrame) or not {"gene", "similarity", "qvalue"} <= set(matches.columns):
        raise InputError(
            "matches is not a table with gene, similarity and qvalue; pass the table of sx.tl.pattern(adata, ...)"
        )
    weights = _adata.read_pattern(adata)
    top = matches.head(n_genes)
    gene_names = _adata.read_gene_names(adata)
    genes = [gene_names.index(gene) for gene in top["gene"]]
    empty = np.empty((0, adata.n_obs))
    values, label = get.gene_values(adata, genes, value=value, smooth=smooth) if genes else (empty, "")
    tissue = get.spot_map(adata, library_key=library_key, resolution=600 if image else 400, image=image)
    width, height = map_size(tissue.aspect, 2.0)
    boxes, size = rows_of_boxes(
        1 + len(top), columns=columns, width=width, height=height, gap=(0.65, 0.5), margin=(0.1, 0.15, 0.75, 0.45)
    )
    drawn = panels(ax, boxes, size)
    draw_gene(drawn[0], tissue, weights, "weight", cmap=cmap, zero=False)
    title(drawn[0], "designated pattern", weight="bold")
    for one, row, name, (_, match) in zip(drawn[1:], values, gene_names.labels[genes], top.iterrows(), strict=True):
        draw_gene(one, tissue, row, label, cmap=cmap, zero=value != "residual" and not smooth)
        title(one, f"{name}\nsimilarity {match['similarity']:.2f}, q {match['qvalue']:.1g}", fontsize=8)
    return save_or_show(ax, drawn, show=show, save=save)
