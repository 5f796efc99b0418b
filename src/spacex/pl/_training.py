"""What happened while the model was fitted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spacex import _adata
from spacex._infra.errors import InputError
from spacex.pl._panels import AxesLike, Path, check_drawing, despine, panels, rows_of_boxes, save_or_show, title

# What the held-out counts say: drawn as gain over the first record, in per cent, on one axis.
HELD_OUT = ("correlation", "retrieval")

# stage -> title, the column along x, its name, what y is, the columns drawn
STAGES: dict[str, tuple[str, str, str, str, tuple[str, ...]]] = {
    "pretrain": ("Masked autoencoder", "epoch", "epoch", "gain on held-out counts (%)", HELD_OUT),
    "modules": ("Number of modules", "n_modules", "modules", "score on held-out genes", ("score",)),
    "mixture": ("Student's t mixture", "iteration", "EM iteration", "MAP objective", ("objective",)),
    "boosting": ("Boosting", "round", "round", "gain on held-out counts (%)", HELD_OUT),
}
LINES = {"correlation": ("reconstruction", "#0072B2", "-"), "retrieval": ("retrieval of the gene", "#D55E00", "--")}


def training(
    adata: AnnData, *, ax: AxesLike = None, show: bool | None = None, save: Path | None = None
) -> Axes | list[Axes]:
    """Draw the history of the fit: one panel a stage, in the order in which they ran.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    ax
        Axes to draw on: one, or one for each stage.
    show, save
        Whether to open the figure's window; file to write the figure to.

    Returns
    -------
    A list of Axes; `ax` itself where it is one Axes.

    Raises
    ------
    InputError
        If no history was kept.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=4)
    >>> model = sx.tl.embed(adata, config=sx.Config(epochs=1, boost_rounds=0), progress=False)
    >>> [ax.get_title() for ax in sx.pl.training(adata)][0]
    'Masked autoencoder'
    """
    _adata.check_adata(adata)
    check_drawing(ax, show, save)
    history, stages = _adata.read_uns_entry(adata, "history"), stages_of(adata)
    if not stages:
        raise InputError('no history of a fit is kept: uns["spacex"]["history"] is missing; call sx.tl.embed(adata)')
    boxes, size = rows_of_boxes(
        len(stages), columns=4, width=2.2, height=1.7, gap=(1.35, 0.7), margin=(0.75, 0.5, 0.8, 0.35)
    )
    drawn = panels(ax, boxes, size)
    for one, stage in zip(drawn, stages, strict=True):
        _draw(one, stage, history[stage])
    return save_or_show(ax, drawn, show=show, save=save)


def stages_of(adata: AnnData) -> list[str]:
    """Stages of which a history is kept, in their order."""
    history = _adata.read_uns_entry(adata, "history")
    return [stage for stage in STAGES if stage in history and len(_along(history[stage], stage))]


def _along(columns: Mapping[str, np.ndarray], stage: str) -> np.ndarray:
    return np.atleast_1d(columns.get(STAGES[stage][1], ()))


def _draw(ax: Axes, stage: str, columns: Mapping[str, np.ndarray]) -> None:
    """One stage: its columns as lines; a dotted line marks the number of modules that was chosen."""
    name, _, x_label, y_label, shown = STAGES[stage]
    x = _along(columns, stage)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    title(ax, name, fontsize=10)
    for column in (column for column in shown if column in columns):
        y = np.atleast_1d(columns[column]).astype(float)
        label, color, style = LINES.get(column, (y_label, "#0072B2", "-"))
        if column in HELD_OUT:
            y = 100 * (y / y[0] - 1)
        ax.plot(x[: len(y)], y, style, color=color, marker="o" if len(y) <= 30 else None, ms=3.5, lw=1.4, label=label)
    despine(ax)
    if shown == HELD_OUT:
        ax.axhline(0, color="0.6", lw=0.8, ls=":")
        ax.legend(frameon=False, fontsize=7)
    if stage == "modules" and "standard_error" in columns:
        score, error = np.atleast_1d(columns["score"]), np.atleast_1d(columns["standard_error"])
        best = int(np.nanargmax(score))
        chosen = int(np.flatnonzero(score >= score[best] - error[best])[0])
        ax.axvline(x[chosen], color="0.6", lw=0.8, ls=":")
