"""History of the fit."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spacex import _adata, get
from spacex._infra.errors import InputError
from spacex.pl._panels import AxesLike, Path, check_drawing, despine, panels, rows_of_boxes, save_or_show, title

# Metrics on held-out counts, drawn as gain over the first record in percent.
HELD_OUT = ("correlation", "retrieval")

# stage -> title, label of x, label of y, columns to draw
STAGES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "pretrain": ("Masked autoencoder", "epoch", "gain on held-out counts (%)", HELD_OUT),
    "modules": ("Number of modules", "modules", "score on held-out genes", ("score",)),
    "mixture": ("Student's t mixture", "EM iteration", "log likelihood per gene", ("objective",)),
    "boosting": ("Boosting", "round", "gain on held-out counts (%)", HELD_OUT),
}
LINES = {"correlation": ("reconstruction", "#0072B2", "-"), "retrieval": ("retrieval of the gene", "#D55E00", "--")}


def training(
    adata: AnnData, *, ax: AxesLike = None, show: bool | None = None, save: Path | None = None
) -> Axes | list[Axes]:
    """Draw the history of the fit: one panel for each stage, in the order in which the stages ran.

    A dotted line marks the number of modules of the fit.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    ax
        Axes to draw on: one, or one for each stage.
    show, save
        Whether to open the window of the figure; file to save the figure to.

    Returns
    -------
    A list of Axes; `ax` itself if one Axes was passed.

    Raises
    ------
    InputError
        If no history is stored.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, config=sx.Config(epochs=1, boost_rounds=0), progress=False)
    >>> [ax.get_title() for ax in sx.pl.training(adata)][0]
    'Masked autoencoder'
    """
    _adata.prepare_adata(adata)
    check_drawing(ax, show, save)
    history = get.training_history(adata)
    if not history:
        raise InputError('no history of a fit is stored: uns["spacex"]["history"] is missing; call sx.tl.embed(adata)')
    boxes, size = rows_of_boxes(
        len(history), columns=4, width=2.2, height=1.7, gap=(1.35, 0.7), margin=(0.75, 0.5, 0.8, 0.35)
    )
    drawn = panels(ax, boxes, size)
    for one, (stage, table) in zip(drawn, history.items(), strict=True):
        _draw(one, stage, table)
        if stage == "modules" and "n_modules" in (embed := _adata.read_uns_entry(adata, "embed")):
            one.axvline(float(embed["n_modules"]), color="0.6", lw=0.8, ls=":")
    return save_or_show(ax, drawn, show=show, save=save)


def _draw(ax: Axes, stage: str, table: pd.DataFrame) -> None:
    """Draw the columns of one stage as lines."""
    name, x_label, y_label, columns = STAGES[stage]
    x = table.iloc[:, 0].to_numpy()
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    title(ax, name, fontsize=10)
    for column in (column for column in columns if column in table):
        y = table[column].to_numpy(dtype=float)
        label, color, style = LINES.get(column, (y_label, "#0072B2", "-"))
        if column in HELD_OUT:
            y = 100 * (y / y[0] - 1)
        ax.plot(x, y, style, color=color, marker="o" if len(y) <= 30 else None, ms=3.5, lw=1.4, label=label)
    despine(ax)
    if columns == HELD_OUT:
        ax.axhline(0, color="0.6", lw=0.8, ls=":")
        ax.legend(frameon=False, fontsize=7)
