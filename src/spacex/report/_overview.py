"""Key figures, warnings, stage times and parameters of the report."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata

ALPHA = 0.05
"""q-value below which a gene is spatially variable and a gene set enriched."""

GRID_KINDS = {"hex": "hexagonal array", "square": "square array", "bins": "free positions, binned"}


class KeyFigure(NamedTuple):
    """A figure at the top of the report."""

    name: str
    value: str
    remark: str


def unassigned_text(adata: AnnData) -> str:
    """Return what it means that a gene is in no module."""
    minimum = _adata.read_config(adata).min_module_prob
    return (
        f"no module has a probability above {minimum:g}; the gene has no clear spatial pattern, too few counts to "
        "tell, or lies between modules"
    )


def key_figures(adata: AnnData, genes: pd.DataFrame) -> list[KeyFigure]:
    """Return the numbers of spots, genes, modules, spatially variable genes and domains."""
    grid = _adata.read_uns_entry(adata, "grid")
    kind = str(np.atleast_1d(grid["kind"])[0])
    n_sections = len(np.atleast_1d(grid["section"]))
    shape = f"{np.atleast_1d(grid['height'])[0]} × {np.atleast_1d(grid['width'])[0]} pixels"
    is_embedded, is_assigned = genes["strength"].notna(), genes["module"] != _adata.keys.UNASSIGNED
    n_embedded, n_assigned = int(is_embedded.sum()), int((is_assigned & is_embedded).sum())
    figures = [
        KeyFigure(
            "spots",
            f"{adata.n_obs:,}",
            f"{GRID_KINDS.get(kind, kind)}, {f'{n_sections} sections' if n_sections > 1 else shape}",
        ),
        KeyFigure(
            "genes", f"{adata.n_vars:,}", f"{n_embedded:,} embedded, {adata.n_vars - n_embedded:,} with too few counts"
        ),
        KeyFigure(
            "modules",
            f"{genes.loc[is_assigned, 'module'].nunique()}",
            f"with {n_assigned:,} genes; {n_embedded - n_assigned:,} genes are in no module",
        ),
    ]
    if "svg_qvalue" in genes:
        n_significant, n_tested = int((genes["svg_qvalue"] < ALPHA).sum()), int(genes["svg_pvalue"].notna().sum())
        figures.append(
            KeyFigure("spatially variable genes", f"{n_significant:,}", f"q < {ALPHA:g}, {n_tested:,} genes tested")
        )
    reference = _adata.read_uns_entry(adata, "reference")
    if reference:
        figures.append(KeyFigure("reference", str(reference["name"]), _reference_remark(reference)))
    if _adata.keys.DOMAIN in adata.obs:
        figures.append(KeyFigure("domains", f"{adata.obs[_adata.keys.DOMAIN].nunique()}", "of the tissue"))
    return figures


def _reference_remark(reference: dict[str, Any]) -> str:
    without, with_reference = float(reference["agreement_without"]), float(reference["agreement_with"])
    if not reference["weight"]:
        return f"weight 0 in the embedding; agreement of halves {without:.2f} without it"
    return (
        f"weight {reference['weight']:.3g}; agreement of halves {without:.2f} without it, {with_reference:.2f} with it"
    )


def reference_text(adata: AnnData) -> str:
    """Return whether a reference was used, and its effect; empty for results of versions without references."""
    reference = _adata.read_uns_entry(adata, "reference")
    if not reference:
        is_known = _adata.keys.COFUNCTION in adata.varm
        return "No reference was used: the embedding is computed from this section alone." if is_known else ""
    without, with_reference = float(reference["agreement_without"]), float(reference["agreement_with"])
    weight, n_sections = float(reference["weight"]), int(reference["n_sections"])
    text = (
        f"The reference “{reference['name']}” summarizes {n_sections} section{'' if n_sections == 1 else 's'} and "
        f"knows {int(reference['n_genes']):,} of the embedded genes. "
    )
    if "left_out" in reference:
        text += (
            "It contains this section too; all its sections of the same tissue and technology are left out "
            f"({', '.join(np.atleast_1d(reference['left_out']))}). "
        )
    if not weight:
        return text + (
            "It is used for genes of similar function only. Its weight in the embedding is 0, because it did not "
            "clearly increase the agreement of the similarities of genes in independent halves of the counts, which is "
            f"{without:.3f} without it."
        )
    return text + (
        f"Its weight in the embedding is {weight:.3g}, chosen on independent halves of the counts. The agreement of "
        f"the similarities of genes in the two halves is {without:.3f} without the reference and {with_reference:.3f} "
        "with it. "
        "Modules, strengths and spatially variable genes are computed without the reference."
    )


def warning_texts(adata: AnnData) -> list[str]:
    """Return warnings about the input and the training."""
    warnings = []
    if not bool(_adata.read_uns_entry(adata, "embed").get("is_count", True)):
        warnings.append(
            "The input does not hold counts and is treated as intensities: z-scores replace Pearson residuals, and "
            "p-values are less reliable."
        )
    history = _adata.read_uns_entry(adata, "history").get("pretrain", {})
    correlation, retrieval = (np.atleast_1d(history.get(name, ())) for name in ("correlation", "retrieval"))
    gain = correlation / correlation[:1] + retrieval / retrieval[:1] - 2 if len(correlation) else np.zeros(0)
    if len(gain) > 1 and gain[1:].max() <= 0:
        warnings.append(
            "Pre-training did not improve the agreement with held-out counts: the embedding is the linear "
            "initialization."
        )
    return warnings


def stage_times(run: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return name, seconds and share of the longest time for each stage."""
    seconds = {str(stage): float(value) for stage, value in dict(run.get("seconds", {})).items()}
    longest = max(seconds.values(), default=1.0) or 1.0
    return [(stage, value, value / longest) for stage, value in seconds.items()]


def parameter_texts(adata: AnnData) -> list[tuple[str, str]]:
    """Return name and value of all parameters: arguments of `spacex.tl.embed` first, then the settings.

    Both are sorted, because HDF5 sorts them: the report of a stored result is the same.
    """
    arguments = _adata.read_uns_entry(adata, "embed")  # resolved, such as the number of modules for "auto"
    settings = {**_adata.read_uns_entry(adata, "parameters"), **arguments}
    values = dict(sorted(arguments.items())) | dict(sorted(settings.items()))
    return [(name, text) for name, value in values.items() if (text := _to_text(value))]


def _to_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return ", ".join(map(str, value.tolist())) if value.ndim else str(value.item())
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.6g}"
    return str(value)
