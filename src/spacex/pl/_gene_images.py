"""Maps of genes over the tissue."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_names, check_number
from spacex.pl._colors import SEQUENTIAL
from spacex.pl._maps import Value, gene_values, robust_norm
from spacex.pl._panels import AxesLike, Path, check_drawing, panels, rows_of_boxes, save_or_show, title
from spacex.pl._tissue import LETTER, Tissue, tissue_of

MAX_LARGE = 4
"""Maps in a figure up to which they are drawn in detail."""

MAX_INCHES = 10.0
BAR_INCHES, BAR_FONT_SIZE = 0.08, 6.5
"""Width of a colour bar, and of the space before it; size of its labels in points."""

MIN_LETTERS = 16
"""Letters in a line of a colour bar's label, however low the map is."""


def gene_images(
    adata: AnnData,
    genes: str | Sequence[str],
    *,
    value: Value = "lognorm",
    smooth: float = 0.0,
    layer: str | None = None,
    cmap: str | Colormap = SEQUENTIAL,
    vmin: float | None = None,
    vmax: float | None = None,
    columns: int = 4,
    image: bool | None = None,
    library_key: str | None = None,
    ax: AxesLike = None,
    show: bool | None = None,
    save: Path | None = None,
) -> Axes | list[Axes]:
    """Draw genes over the tissue, every spot at its true position.

    Parameters
    ----------
    adata
        Spots × genes, with coordinates.
    genes
        One gene or several, by name or symbol.
    value
        ``"lognorm"``: log1p of counts scaled to the median library size; ``"counts"``; or ``"residual"``: analytic
        Pearson residuals, which the model sees. The colour bar says which.
    smooth
        Width of a Gaussian, in spot pitches, that smooths the maps; 0 leaves them as they were measured.
        ``"residual"`` and smoothing need the pixels of `spacex.pp.rasterize`.
    layer
        Layer to draw; else the one that was embedded, else ``X``.
    cmap, vmin, vmax
        Colour map and its limits; by default the 1st and 99th percentile of each gene, and zero for expression.
    columns
        Maps in a row.
    image
        Whether to draw discs over the photograph of the tissue, where ``uns["spatial"]`` holds one; by default with
        one to four maps, which are large enough for it.
    library_key
        Column of ``obs`` that names the sections, drawn in rows and columns of one map; by default the rasterized one.
    ax
        Axes to draw on: one, or one for each gene.
    show, save
        Whether to open the figure's window; file to write the figure to.

    Returns
    -------
    The Axes of one gene, or a list of them; `ax` itself where it is one Axes.

    Raises
    ------
    InputError
        If a gene is unknown (the message has close names) or ambiguous, or coordinates or counts cannot be used.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=40, n_spots=300, n_modules=2)
    >>> axes = sx.pl.gene_images(adata, ["gene0001", "gene0002"])
    >>> [ax.get_title() for ax in axes]
    ['gene0001', 'gene0002']
    """
    _adata.check_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    names = check_names(genes, name="genes")
    large = len(names) <= MAX_LARGE
    image = large if image is None else image
    check_drawing(ax, show, save, cmap=cmap, columns=columns, smooth=smooth, image=image, library_key=library_key)
    vmin, vmax = _limits(vmin, vmax)
    if not names:
        raise InputError("genes is empty; pass one gene or several")
    known = _adata.read_gene_names(adata)
    index = [known.index(name) for name in names]
    values, label = gene_values(adata, index, value=value, smooth=smooth, layer=layer)
    side = 4.0 if len(names) == 1 else 2.2
    tissue = tissue_of(adata, library_key=library_key, resolution=900 if large else 400, image=image)
    width, height = map_size(tissue.aspect, side)
    boxes, size = rows_of_boxes(
        len(names),
        columns=columns,
        width=width,
        height=height,
        gap=(0.65, 0.35),
        margin=(0.1, 0.15, 0.75, 0.3),
    )
    drawn = panels(ax, boxes, size)
    for one, name, row in zip(drawn, known.labels[index], values, strict=True):
        draw_gene(one, tissue, row, label, cmap=cmap, zero=value != "residual" and not smooth, vmin=vmin, vmax=vmax)
        title(one, name, fontsize=10, fontstyle="italic")
    return save_or_show(ax, drawn, show=show, save=save)


def _limits(vmin: float | None, vmax: float | None) -> tuple[float | None, float | None]:
    """Both as floats, or `InputError`."""
    low = None if vmin is None else check_number(vmin, name="vmin")
    high = None if vmax is None else check_number(vmax, name="vmax")
    if low is not None and high is not None and low >= high:
        raise InputError(f"vmin={vmin!r} is not below vmax={vmax!r}; pass rising limits, or leave them out")
    return low, high


def draw_gene(
    ax: Axes, tissue: Tissue, values: np.ndarray, label: str, *, cmap: str | Colormap, zero: bool,
    vmin: float | None = None, vmax: float | None = None,
) -> None:  # fmt: skip
    """Draw values (S,) of a gene with a colour bar, on limits of their own, from zero where `zero`."""
    norm = robust_norm(values, zero=zero, vmin=vmin, vmax=vmax)
    color_bar(ax, tissue.draw(ax, values, cmap=cmap, norm=norm), label)


def map_size(aspect: float, side: float) -> tuple[float, float]:
    """Width and height in inches of a map whose area is that of a square of `side`, with no side above 10 inches."""
    width = side * float(np.sqrt(aspect))
    width *= min(1.0, MAX_INCHES / max(width, width / aspect))
    return width, width / aspect


def color_bar(ax: Axes, image: ScalarMappable, label: str) -> None:
    """Draw a slim colour bar just right of the map."""
    norm: Normalize = image.norm  # type: ignore[assignment]
    width, height = np.asarray(ax.get_window_extent().size) / ax.figure.dpi
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1 + BAR_INCHES / width, 0.1, BAR_INCHES / width, 0.8)))
    bar.outline.set_visible(False)
    bar.set_ticks(_few_ticks(float(norm.vmin or 0.0), float(norm.vmax or 0.0)))
    bar.ax.tick_params(labelsize=BAR_FONT_SIZE, length=2, pad=1.5)
    letters = max(int((height + 0.3) * 72 / (LETTER * BAR_FONT_SIZE)), MIN_LETTERS)  # there is room between rows
    bar.set_label(textwrap.fill(label, letters, break_long_words=False), fontsize=BAR_FONT_SIZE)


def _few_ticks(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    return [tick for tick in MaxNLocator(nbins=4).tick_values(low, high) if low <= tick <= high]
