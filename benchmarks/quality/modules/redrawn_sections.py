"""Modules on real sections of which half of the genes are redrawn without a pattern."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np

import spacex as sx

from ..planted import NONE
from ..redrawn import half_redrawn
from ..sections import find_sections
from .methods import module_numbers, strength
from .two_groups import gamma_shape, local_fdr

MIN_GENES = 1000
MAX_LOCAL_FDR = 0.3
"""Local false discovery rate below which the two groups call a gene spatial."""


def real_sections(data: Path) -> Iterator[tuple[str, ad.AnnData]]:
    """Name and section of every file of a folder with counts, coordinates and enough genes."""
    for section in find_sections(data):
        if not section.simulated:
            adata = section.load(0)
            if adata.n_vars >= MIN_GENES:
                yield section.name, adata


def score_section(adata: ad.AnnData, seed: int) -> dict[str, dict[str, float]]:
    """Scores by method on one draw: `sx.tl.embed` with default settings, and two groups by strength alone.

    The null distribution of the strength is that of the null genes of the fit, which are other draws.
    """
    drawn = half_redrawn(adata, seed, sx.Config().min_counts)
    sx.tl.embed(drawn, seed=seed, progress=False)
    null, probability = drawn.var["null"].to_numpy(), drawn.var["spacex_module_prob"].to_numpy()
    labels, embedded = module_numbers(drawn), np.isfinite(probability)
    redrawn = np.linalg.norm(drawn.uns["spacex"]["null_genes"]["embedding"], axis=1)
    rate = local_fdr(strength(drawn), gamma_shape(redrawn))
    ours = errors(null[embedded], labels[embedded] != NONE, 1 - probability[embedded])
    floor = errors(null[embedded], rate[embedded] < MAX_LOCAL_FDR, rate[embedded])
    return {"SpaCEX": ours | {"modules": float(len(np.unique(labels[labels != NONE])))}, "norm alone": floor}


def errors(null: np.ndarray, in_module: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Redrawn genes (G,) in modules (G,), and the share of wrong genes in modules by probabilities to be wrong (G,).

    The share of redrawn genes is a lower bound of the share of wrong genes, since real genes may have no pattern or be
    in another module.
    """
    return {
        "redrawn in module": float(np.mean(in_module[null])),
        "real in module": float(np.mean(in_module[~null])),
        "predicted": float(np.mean(wrong[in_module])) if in_module.any() else np.nan,
        "redrawn share": float(np.mean(null[in_module])) if in_module.any() else np.nan,
    }
