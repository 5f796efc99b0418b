"""Scores of a run: the metrics that apply to each section and part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score

from .genesets import egad, gene_sets
from .halves import halves
from .layers import KEY, agreed_peaks, peak_purity
from .neighbors import follows_expression, overlap, reciprocal_rank
from .planted import direction_ari, module_ari, planted_purity
from .sections import PAIRS, Section

MIN_COUNTS = 5
"""Counts that a gene must have in both halves, or in both sections of a pair, to be scored."""


@dataclass(frozen=True)
class Case:
    """A section with one seed, and its truths, which are computed lazily."""

    section: Section
    seed: int
    resources: Path | None = None
    partner: Section | None = None

    @cached_property
    def adata(self) -> AnnData:
        return self.section.load(self.seed)

    @cached_property
    def total(self) -> np.ndarray:
        return total_of(self.adata)

    @cached_property
    def planted(self) -> np.ndarray | None:
        return self.adata.var["module"].to_numpy() if self.section.simulated else None

    @cached_property
    def gene_sets(self) -> dict[str, list[np.ndarray]]:
        return {} if self.section.simulated else gene_sets(list(self.adata.var_names), self.resources)

    @cached_property
    def peaks(self) -> pd.Series | None:
        """Peak layers, if the section and its partner have layers."""
        if self.partner is None or KEY not in self.adata.obs:
            return None
        other = self.partner.load(self.seed)
        return agreed_peaks(self.adata, other) if KEY in other.obs else None

    @cached_property
    def scored_genes(self) -> np.ndarray:
        """Positions of the genes with enough counts in both halves: the same for all entries."""
        first, second = (total_of(half) for half in halves(self.adata, self.seed))
        return np.flatnonzero((first >= MIN_COUNTS) & (second >= MIN_COUNTS))


def total_of(adata: AnnData) -> np.ndarray:
    """Counts (G,) of every gene."""
    return np.asarray(adata.X.sum(axis=0), dtype=np.float64).ravel()


def partner_of(section: Section, others: list[Section]) -> Section | None:
    """Another section of the same tissue, if available."""
    names = {b if a == section.name else a for a, b in PAIRS if section.name in (a, b)}
    return next((other for other in others if other.name in names), None)


def score_whole(case: Case, z: np.ndarray | None, module: np.ndarray | None) -> dict[str, float]:
    """Metrics of an embedding, and of modules, of all counts."""
    scores: dict[str, float] = {}
    if case.planted is not None:
        if z is not None:
            scores |= planted_purity(z, case.planted, case.total)
            scores["K-means ARI"] = direction_ari(z, case.planted, case.seed)
            scores["K-means all-gene ARI"] = direction_ari(z, case.planted, case.seed, all_genes=True)
        if module is not None:
            scores |= module_ari(module, case.planted)
    if z is not None:
        for metric, sets in case.gene_sets.items():
            scores[metric] = egad(z, sets)
        if case.peaks is not None:
            scores |= peak_purity(z, case.adata.var_names, case.peaks)
        scores["r expression"] = follows_expression(z, case.total)
    return scores


def score_half(case: Case, z: np.ndarray | None, projected: np.ndarray | None) -> dict[str, float]:
    """Metrics of an embedding of one half, queried with the counts of the other half."""
    if z is None or projected is None:
        return {}
    return {"MRR": reciprocal_rank(z, projected, case.scored_genes)}


def score_agreement(
    case: Case, z: tuple[np.ndarray | None, np.ndarray | None], module: tuple[np.ndarray | None, np.ndarray | None]
) -> dict[str, float]:
    """Agreement of embeddings and of modules of the two halves, which are embedded separately.

    For modules: the adjusted Rand index between the halves, with ``"unassigned"`` as one more label (stability of
    clusterings: Lange et al. 2004).
    """
    scores: dict[str, float] = {}
    if z[0] is not None and z[1] is not None:
        scores["neighbor agreement"] = overlap(z[0][case.scored_genes], z[1][case.scored_genes])
    if module[0] is not None and module[1] is not None:
        scores["label stability"] = float(
            adjusted_rand_score(module[0][case.scored_genes], module[1][case.scored_genes])
        )
    return scores


def score_pair(cases: tuple[Case, Case], z: tuple[np.ndarray | None, np.ndarray | None]) -> dict[str, float]:
    """Agreement of the embeddings of two sections of one tissue, over the genes with enough counts in both."""
    if z[0] is None or z[1] is None:
        return {}
    first, second = cases
    shared = first.adata.var_names.intersection(second.adata.var_names)
    rows = [case.adata.var_names.get_indexer(shared) for case in cases]
    has_counts = np.all([case.total[row] >= MIN_COUNTS for case, row in zip(cases, rows, strict=True)], axis=0)
    return {"section overlap": overlap(z[0][rows[0][has_counts]], z[1][rows[1][has_counts]])}
