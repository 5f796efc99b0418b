"""Cards of modules: the mean map of each and the maps of its strongest genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_names
from spacex.pl._colors import SEQUENTIAL
from spacex.pl._gene_images import color_bar, map_size
from spacex.pl._maps import MAP_LABEL, MEAN_LABEL, N_MEAN, ModuleMaps, module_maps, module_sizes, robust_norm
from spacex.pl._panels import AxesLike, Box, Path, check_drawing, despine, panels, rows_of_boxes, save_or_show, title
from spacex.pl._tissue import Tissue, tissue_of

MAX_TERM = 70
TERM_SIZE = 7


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
    """Draw the sizes of all modules, and a card of the largest: the mean map and the maps of the strongest genes.

    A map is the gene's Pearson residuals smoothed with a width of one spot pitch, as the linear start of the model
    sees them, scaled to a standard deviation of one; the mean is over the module's 50 strongest genes.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    modules
        Modules to draw a card of; by default the `n_modules` largest.
    n_modules
        Number of cards.
    n_genes
        Genes on a card, 50 at most, by probability times strength of the spatial signal.
    enriched
        Table of `spacex.tl.enrich`, whose best terms of each module are written on its card.
    n_terms
        Terms on a card, of those with q < .05.
    cmap
        Colour map.
    image
        Whether to draw discs over the photograph of the tissue, where ``uns["spatial"]`` holds one.
    library_key
        Column of ``obs`` that names the sections, drawn in rows and columns of one map; by default the rasterized one.
    ax
        Axes to draw on: one; or one for the sizes and then, card by card, one for the mean and one for each gene
        (``1 + n_modules * (1 + n_genes)`` in all).
    show, save
        Whether to open the figure's window; file to write the figure to.

    Returns
    -------
    A list of Axes in that order; `ax` itself where it is one Axes.

    Raises
    ------
    InputError
        If there are no modules yet, or a module that is asked for does not exist.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=2, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=2, progress=False)
    >>> axes = sx.pl.modules(adata, modules=["0"], n_genes=2)
    >>> len(axes)
    4
    """
    _adata.check_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    check_drawing(ax, show, save, cmap=cmap, image=image, library_key=library_key)
    check_int(n_modules, name="n_modules", low=1)
    check_int(n_genes, name="n_genes", low=0, high=N_MEAN)
    check_int(n_terms, name="n_terms", low=1)
    is_table = isinstance(enriched, pd.DataFrame)
    if enriched is not None and not (is_table and {"module", "term", "qvalue"} <= set(enriched.columns)):
        raise InputError(
            "enriched lacks the columns module, term and qvalue; pass the table of sx.tl.enrich(adata, ...)"
        )
    sizes = module_sizes(adata)
    if not len(sizes):
        raise InputError("no gene has a module: all are unassigned; call sx.tl.modules(adata, n_modules=...)")
    chosen = check_names(modules, name="modules") if modules is not None else list(sizes.index[:n_modules])
    cards = module_maps(adata, chosen, n_genes=n_genes)
    tissue = tissue_of(adata, library_key=library_key, resolution=600 if image else 350, image=image)
    boxes, size = _boxes(tissue.aspect, len(cards), n_genes, 0 if enriched is None else n_terms)
    drawn = panels(ax, boxes, size)
    _draw_sizes(drawn[0], sizes, chosen)
    for i, card in enumerate(cards):
        first = 1 + i * (1 + n_genes)
        _draw_card(drawn[first : first + 1 + n_genes], card, tissue, cmap)
        for row, term in enumerate(best_terms(enriched, card.name, n_terms)):
            write_term(drawn[first], term, row)
    return save_or_show(ax, drawn, show=show, save=save)


def best_terms(enriched: pd.DataFrame | None, module: str, n: int) -> list[str]:
    """The module's terms with q < .05, the best first."""
    if enriched is None:
        return []
    here = enriched[(enriched["module"].astype(str) == module) & (enriched["qvalue"] < 0.05)]
    return [str(term) for term in here.sort_values("pvalue", kind="stable")["term"].head(n)]


def write_term(ax: Axes, term: str, row: int) -> None:
    """A term in words below the map, in the row of its rank."""
    words = term.removeprefix("HALLMARK_").replace("_", " ").split(" Homo sapiens")[0]
    words = words if not words.isupper() else words.lower()
    words = words if len(words) <= MAX_TERM else f"{words[:MAX_TERM]}…"
    place = (0, -9 - 9 * row)
    ax.annotate(
        words, (0, 0), xytext=place, xycoords="axes fraction", textcoords="offset points", va="center", color="0.25",
        fontsize=TERM_SIZE,
    )  # fmt: skip


def _boxes(aspect: float, n_cards: int, n_genes: int, n_terms: int) -> tuple[list[Box], tuple[float, float]]:
    width, height = map_size(aspect, 1.7)
    below = 0.13 * n_terms
    maps, (figure_width, maps_height) = rows_of_boxes(
        n_cards * (1 + n_genes), columns=1 + n_genes, width=width, height=height, gap=(0.12, 0.35 + below),
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


def _draw_card(axes: list[Axes], card: ModuleMaps, tissue: Tissue, cmap: str | Colormap) -> None:
    """Mean and members of one module, on one scale each, so that members can be compared."""
    maps = list(card.maps) + [np.full_like(card.mean, np.nan)] * (len(axes) - 1 - len(card.maps))
    names = card.labels + [""] * (len(maps) - len(card.maps))
    tissue.draw(axes[0], card.mean, cmap=cmap, norm=robust_norm(card.mean))
    title(axes[0], f"module {card.name} · {len(card.genes)} genes", weight="bold", fontsize=8.5)
    norm: Normalize = robust_norm(card.maps)
    for one, name, row in zip(axes[1:], names, maps, strict=True):
        if not name:
            one.set_axis_off()
            continue
        image = tissue.draw(one, row, cmap=cmap, norm=norm)
        title(one, name, fontstyle="italic", fontsize=8.5)
    if card.maps.size:
        color_bar(axes[len(card.maps)], image, MAP_LABEL)
    axes[0].set_label(MEAN_LABEL)
