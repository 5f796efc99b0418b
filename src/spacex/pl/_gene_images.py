"""Maps of genes over the tissue."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize

from spacex import _adata, get
from spacex._infra.errors import InputError
from spacex._infra.validation import check_names, check_number
from spacex.get import SpotMap
from spacex.get._gene_values import Value
from spacex.pl._panels import AxesLike, Path, check_drawing, panels, rows_of_boxes, save_or_show, title
from spacex.pl._tissue import LETTER_WIDTH, draw_values
from spacex.pl.colors import SEQUENTIAL, robust_norm

MAX_DETAILED = 4
"""Maximum number of maps in a figure that are drawn in detail."""

MAX_INCHES = 10.0
BAR_INCHES, BAR_FONT_SIZE = 0.08, 6.5
"""Width of a color bar, and of the space before it; font size of its labels in points."""

MIN_LETTERS = 16
"""Minimum number of letters in a line of a color bar's label."""


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
    """Draw genes over the tissue, each spot at its position.

    Parameters
    ----------
    adata
        Spots × genes, with coordinates.
    genes
        One gene or several, by name or symbol.
    value
        ``"lognorm"``: log1p of counts scaled to the median library size; ``"counts"``; or ``"residual"``: analytic
        Pearson residuals with the settings of the embedding. The color bar is labeled accordingly.
    smooth
        Standard deviation in pixel pitches of a Gaussian that smooths the maps; 0 turns it off.
        ``"residual"`` and smoothing need the pixels of `spacex.pp.rasterize`.
    layer
        Layer to draw; by default the embedded layer, else ``X``.
    cmap, vmin, vmax
        Color map and its limits; by default the 1st (0 for expression) and 99th percentile of each gene.
    columns
        Number of maps in a row.
    image
        Whether to draw discs over the photograph of the tissue in ``uns["spatial"]``, if it has one; by default with
        one to four maps, which are large enough for it.
    library_key
        Column of ``obs`` that names the sections, which are drawn in rows and columns of one map; by default the column
        that `spacex.pp.rasterize` used.
    ax
        Axes to draw on: one, or one for each gene.
    show, save
        Whether to open the window of the figure; file to save the figure to.

    Returns
    -------
    The Axes of one gene, or a list of them; `ax` itself if one Axes was passed.

    Raises
    ------
    InputError
        If a gene is unknown (the message lists similar names) or ambiguous, or the coordinates or counts are invalid.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> axes = sx.pl.gene_images(adata, ["gene0001", "gene0002"])
    >>> [ax.get_title() for ax in axes]
    ['gene0001', 'gene0002']
    """
    _adata.prepare_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    names = check_names(genes, name="genes")
    is_detailed = len(names) <= MAX_DETAILED
    image = is_detailed if image is None else image
    check_drawing(ax, show, save, cmap=cmap, columns=columns, smooth=smooth, image=image, library_key=library_key)
    vmin, vmax = _limits(vmin, vmax)
    if not names:
        raise InputError("genes is empty; pass one gene or several")
    gene_names = _adata.read_gene_names(adata)
    index = [gene_names.index(name) for name in names]
    values, label = get.gene_values(adata, index, value=value, smooth=smooth, layer=layer)
    side = 4.0 if len(names) == 1 else 2.2
    tissue = get.spot_map(adata, library_key=library_key, resolution=900 if is_detailed else 400, image=image)
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
    for one, name, row in zip(drawn, gene_names.labels[index], values, strict=True):
        draw_gene(one, tissue, row, label, cmap=cmap, zero=value != "residual" and not smooth, vmin=vmin, vmax=vmax)
        title(one, name, fontsize=10, fontstyle="italic")
    return save_or_show(ax, drawn, show=show, save=save)


def _limits(vmin: float | None, vmax: float | None) -> tuple[float | None, float | None]:
    """Both as floats, or `InputError`."""
    low = None if vmin is None else check_number(vmin, name="vmin")
    high = None if vmax is None else check_number(vmax, name="vmax")
    if low is not None and high is not None and low >= high:
        raise InputError(f"vmin={vmin!r} is not below vmax={vmax!r}; pass vmin < vmax, or omit them")
    return low, high


def draw_gene(
    ax: Axes, tissue: SpotMap, values: np.ndarray, label: str, *, cmap: str | Colormap, zero: bool,
    vmin: float | None = None, vmax: float | None = None,
) -> None:  # fmt: skip
    """Draw values (S,) of a gene with a color bar; limits as in `robust_norm`."""
    norm = robust_norm(values, zero=zero, vmin=vmin, vmax=vmax)
    color_bar(ax, draw_values(ax, tissue, values, cmap=cmap, norm=norm), label)


def map_size(aspect: float, side: float) -> tuple[float, float]:
    """Width and height in inches of a map with the area of a square of `side`; neither exceeds 10 inches."""
    width = side * float(np.sqrt(aspect))
    width *= min(1.0, MAX_INCHES / max(width, width / aspect))
    return width, width / aspect


def color_bar(ax: Axes, image: ScalarMappable, label: str) -> None:
    """Draw a narrow color bar to the right of the map."""
    norm: Normalize = image.norm  # type: ignore[assignment]
    width, height = np.asarray(ax.get_window_extent().size) / ax.figure.dpi
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1 + BAR_INCHES / width, 0.1, BAR_INCHES / width, 0.8)))
    bar.outline.set_visible(False)
    bar.set_ticks(_few_ticks(float(norm.vmin or 0.0), float(norm.vmax or 0.0)))
    bar.ax.tick_params(labelsize=BAR_FONT_SIZE, length=2, pad=1.5)
    # The space between rows adds 0.3 inches.
    letters = max(int((height + 0.3) * 72 / (LETTER_WIDTH * BAR_FONT_SIZE)), MIN_LETTERS)
    bar.set_label(textwrap.fill(label, letters, break_long_words=False), fontsize=BAR_FONT_SIZE)


def _few_ticks(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    return [tick for tick in MaxNLocator(nbins=4).tick_values(low, high) if low <= tick <= high]
