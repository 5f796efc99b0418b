"""Sizes of the modules, and cards with the mean map and the maps of the strongest genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize

from spacex import _adata, get
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_names
from spacex.get import ModuleMaps, SpotMap
from spacex.get._module_terms import check_enrichment
from spacex.pl._gene_images import color_bar, map_size
from spacex.pl._panels import AxesLike, Box, Path, check_drawing, despine, panels, rows_of_boxes, save_or_show, title
from spacex.pl._tissue import draw_values
from spacex.pl.colors import SEQUENTIAL, robust_norm

MAX_TERM_LENGTH = 70
TERM_FONT_SIZE = 7


def modules(
    adata: AnnData,
    *,
    modules: Sequence[str | int] | None = None,
    n_modules: int = 6,
    n_genes: int = 4,
    enriched: pd.DataFrame | None = None,
    n_terms: int = 2,
    cmap: str | Colormap = SEQUENTIAL,
    image: bool = False,
    library_key: str | None = None,
    ax: AxesLike = None,
    show: bool | None = None,
    save: Path | None = None,
) -> Axes | list[Axes]:
    """Draw the sizes of all modules, and cards of the first with their mean map and the maps of their top genes.

    Maps are those of `spacex.get.module_maps`: smoothed Pearson residuals with the settings of the embedding, scaled to
    a standard deviation of 1; the mean is over the 50 strongest genes of the module. Modules that
    `spacex.tl.module_stability` found to be unstable are marked.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    modules
        Modules with a card; by default the first `n_modules`, which are those with the most evidence.
    n_modules
        Number of cards.
    n_genes
        Number of genes on a card, 50 at most, by probability times strength of the spatial signal.
    enriched
        Table of `spacex.tl.enrich`; the most significant terms of a module are written on its card.
    n_terms
        Maximum number of terms on a card; their q-values are below 0.05.
    cmap
        Color map.
    image
        Whether to draw discs over the photograph of the tissue in ``uns["spatial"]``, if it has one.
    library_key
        Column of ``obs`` that names the sections, which are drawn in rows and columns of one map; by default the column
        that `spacex.pp.rasterize` used.
    ax
        Axes to draw on: one, or one for the sizes and then, card by card, one for the mean and one for each gene
        (``1 + n_modules * (1 + n_genes)`` in total).
    show, save
        Whether to open the window of the figure; file to save the figure to.

    Returns
    -------
    A list of Axes in that order; `ax` itself if one Axes was passed.

    Raises
    ------
    InputError
        If there are no modules, or a module does not exist.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> axes = sx.pl.modules(adata, modules=["0"], n_genes=2)
    >>> len(axes)
    4
    """
    _adata.prepare_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    check_drawing(ax, show, save, cmap=cmap, image=image, library_key=library_key)
    check_int(n_modules, name="n_modules", low=1)
    check_int(n_genes, name="n_genes", low=0, high=ModuleMaps.MAX_MEAN_GENES)
    check_int(n_terms, name="n_terms", low=1)
    if enriched is not None:
        check_enrichment(enriched, name="enriched")
    sizes = get.module_sizes(adata)
    if not len(sizes):
        raise InputError("no gene has a module: all are unassigned; call sx.tl.modules(adata, n_modules=...)")
    chosen = check_names(modules, name="modules") if modules is not None else list(sizes.index[:n_modules])
    cards = get.module_maps(adata, chosen, n_genes=n_genes)
    tissue = get.spot_map(adata, library_key=library_key, resolution=600 if image else 350, image=image)
    unstable = _adata.unstable_modules(adata)
    n_lines = 2 if unstable.intersection(card.name for card in cards) else 1
    boxes, size = _boxes(tissue.aspect, len(cards), n_genes, 0 if enriched is None else n_terms, n_lines)
    drawn = panels(ax, boxes, size)
    _draw_sizes(drawn[0], sizes, chosen)
    for i, card in enumerate(cards):
        first = 1 + i * (1 + n_genes)
        _draw_card(drawn[first : first + 1 + n_genes], card, tissue, cmap, is_unstable=card.name in unstable)
        terms = [] if enriched is None else get.module_terms(enriched, card.name, n=n_terms)["term"]
        for row, term in enumerate(terms):
            _write_term(drawn[first], str(term), row)
    return save_or_show(ax, drawn, show=show, save=save)


def _write_term(ax: Axes, term: str, row: int) -> None:
    """Write a term below the map in plain text, in the row of its rank."""
    words = term.removeprefix("HALLMARK_").replace("_", " ").split(" Homo sapiens")[0]
    words = words if not words.isupper() else words.lower()
    words = words if len(words) <= MAX_TERM_LENGTH else f"{words[:MAX_TERM_LENGTH]}…"
    offset = (0, -9 - 9 * row)
    ax.annotate(
        words, (0, 0), xytext=offset, xycoords="axes fraction", textcoords="offset points", va="center", color="0.25",
        fontsize=TERM_FONT_SIZE,
    )  # fmt: skip


def _boxes(
    aspect: float, n_cards: int, n_genes: int, n_terms: int, n_lines: int
) -> tuple[list[Box], tuple[float, float]]:
    """Return the boxes of the axes for terms below the maps and lines of their titles, and the size of the figure."""
    width, height = map_size(aspect, 1.7)
    below, above = 0.13 * n_terms, 0.14 * (n_lines - 1)
    maps, (figure_width, maps_height) = rows_of_boxes(
        n_cards * (1 + n_genes), columns=1 + n_genes, width=width, height=height, gap=(0.12, 0.35 + below + above),
        margin=(0.1, 0.1 + below, 0.75, 0.4),
    )  # fmt: skip
    figure_width = max(figure_width, 5.0)
    sizes = (0.55, maps_height + 0.5, figure_width - 0.75, 1.1)
    return [sizes, *maps], (figure_width, maps_height + 1.9)


def _draw_sizes(ax: Axes, sizes: pd.Series, chosen: list[str]) -> None:
    colors = ["#0072B2" if name in chosen else "#9DB9CC" for name in sizes.index]
    ax.bar(np.arange(len(sizes)), sizes.to_numpy(), color=colors, width=0.8)
    ax.set_xticks(np.arange(len(sizes)), list(sizes.index))
    despine(ax)
    ax.tick_params(axis="x", labelsize=8 if len(sizes) <= 30 else 6, length=0)
    ax.set_xlim(-0.6, len(sizes) - 0.4)
    ax.set_xlabel("module")
    ax.set_ylabel("genes")


def _draw_card(axes: list[Axes], card: ModuleMaps, tissue: SpotMap, cmap: str | Colormap, *, is_unstable: bool) -> None:
    """Draw the mean map and the maps of the genes, which share one color scale."""
    maps = list(card.maps) + [np.full_like(card.mean, np.nan)] * (len(axes) - 1 - len(card.maps))
    names = card.labels + [""] * (len(maps) - len(card.maps))
    draw_values(axes[0], tissue, card.mean, cmap=cmap, norm=robust_norm(card.mean))
    mark = "\nunstable" if is_unstable else ""
    title(axes[0], f"module {card.name} · {len(card.genes)} genes{mark}", weight="bold", fontsize=8.5)
    norm: Normalize = robust_norm(card.maps)
    for one, name, row in zip(axes[1:], names, maps, strict=True):
        if not name:
            one.set_axis_off()
            continue
        image = draw_values(one, tissue, row, cmap=cmap, norm=norm)
        title(one, name, fontstyle="italic", fontsize=8.5)
    if card.maps.size:
        color_bar(axes[len(card.maps)], image, "z-score of smoothed residuals")
