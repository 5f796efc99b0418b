"""What the page says in words: key figures, warnings, seconds of the stages, settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata

ALPHA = 0.05
KINDS = {"hex": "hexagonal array", "square": "square array", "bins": "free positions, binned"}


def key_figures(adata: AnnData, genes: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Name, value and a remark of each figure at the top."""
    grid = _adata.read_uns_entry(adata, "grid")
    kind = str(np.atleast_1d(grid["kind"])[0])
    sections = len(np.atleast_1d(grid["section"]))
    shape = f"{np.atleast_1d(grid['height'])[0]} × {np.atleast_1d(grid['width'])[0]} pixels"
    embedded = int(genes["strength"].notna().sum())
    assigned = int(((genes["module"] != _adata.keys.UNASSIGNED) & genes["strength"].notna()).sum())
    n_modules = genes.loc[genes["module"] != _adata.keys.UNASSIGNED, "module"].nunique()
    figures = [
        (
            "spots",
            f"{adata.n_obs:,}",
            KINDS.get(kind, kind) + (f", {sections} sections" if sections > 1 else f", {shape}"),
        ),
        (
            "genes",
            f"{adata.n_vars:,}",
            f"{embedded:,} embedded, {adata.n_vars - embedded:,} with too few counts",
        ),
        (
            "modules",
            f"{n_modules}",
            f"{assigned:,} genes in them, {embedded - assigned:,} without a clear pattern",
        ),
    ]
    if "svg_qvalue" in genes:
        tested = int(genes["svg_pvalue"].notna().sum())
        found = int((genes["svg_qvalue"] < ALPHA).sum())
        figures.append(("spatially variable genes", f"{found:,}", f"q < {ALPHA:g}, of {tested:,} tested"))
    if _adata.keys.DOMAIN in adata.obs:
        figures.append(("domains", f"{adata.obs[_adata.keys.DOMAIN].nunique()}", "of the tissue"))
    return figures


def warnings_of(adata: AnnData) -> list[str]:
    """What a reader must know before believing the page."""
    notes = []
    if not bool(_adata.read_uns_entry(adata, "embed").get("is_count", True)):
        notes.append(
            "The input does not hold counts. It was treated as intensities: z-scores take the place of Pearson "
            "residuals, and p-values rest on weaker ground."
        )
    history = _adata.read_uns_entry(adata, "history").get("pretrain", {})
    correlation, retrieval = (np.atleast_1d(history.get(name, ())) for name in ("correlation", "retrieval"))
    gain = correlation / correlation[:1] + retrieval / retrieval[:1] - 2 if len(correlation) else np.zeros(0)
    if len(gain) > 1 and gain[1:].max() <= 0:
        notes.append("Pre-training gained nothing on the held-out counts: the embedding is that of the linear start.")
    return notes


def seconds_of(run: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Stage, seconds and share of the longest stage."""
    seconds = {str(stage): float(value) for stage, value in dict(run.get("seconds", {})).items()}
    longest = max(seconds.values(), default=1.0) or 1.0
    return [(stage, value, value / longest) for stage, value in seconds.items()]


def parameters_of(adata: AnnData) -> list[tuple[str, str]]:
    """Every setting that was used, the choices of the call before the numbers of the method."""
    found = _adata.read_uns_entry(adata, "embed")  # such as the number of modules, where "auto" was asked for
    # Sorted, as HDF5 gives them back: a report that is written later is the same.
    merged = dict(sorted(found.items())) | dict(sorted({**_adata.read_uns_entry(adata, "parameters"), **found}.items()))
    return [(name, _plain(value)) for name, value in merged.items() if _plain(value)]


def _plain(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return ", ".join(map(str, value.tolist())) if value.ndim else str(value.item())
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.6g}"
    return str(value)
