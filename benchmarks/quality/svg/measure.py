"""What is measured of a method's scores and p-values."""

from __future__ import annotations

import numpy as np
from scipy.stats import kendalltau, rankdata

LEVELS = (0.05, 0.01, 0.001)
NEAREST = 20


def deciles(total: np.ndarray) -> np.ndarray:
    """Decile (G,) of expression of every gene, 0 to 9."""
    return rankdata(total, method="ordinal") * 10 // (len(total) + 1)


def auroc(score: np.ndarray, real: np.ndarray, total: np.ndarray) -> float:
    """AUROC of real against null genes, mean over deciles of expression; a gene without a score ranks last."""
    score = np.where(np.isnan(score), -np.inf, score)
    found = []
    for part in (deciles(total) == d for d in range(10)):
        rank, here = rankdata(score[part]), real[part]
        n_real, n_null = here.sum(), (~here).sum()
        if n_real and n_null:
            found.append((rank[here].sum() - n_real * (n_real + 1) / 2) / (n_real * n_null))
    return float(np.mean(found))


def null_rates(log_p: np.ndarray, null: np.ndarray, total: np.ndarray) -> dict[str, float]:
    """Shares of null genes below each level; of 0.05 and 0.001 also in the lower and upper three deciles."""
    tested = null & ~np.isnan(log_p)
    decile = deciles(total)
    found = {f"p<{level:g}": _share(log_p[tested], level) for level in LEVELS}
    for name, part in (("low", decile < 3), ("high", decile > 6)):
        found |= {f"p<{level:g} {name}": _share(log_p[tested & part], level) for level in (LEVELS[0], LEVELS[-1])}
    return found


def _share(log_p: np.ndarray, level: float) -> float:
    return float(np.mean(log_p < np.log(level))) if len(log_p) else np.nan


def mixing_tau(score: np.ndarray, mix: np.ndarray, base: np.ndarray) -> float:
    """Kendall's τ between a gene's score and the weight of its own pattern, mean over base genes."""
    score = np.where(np.isnan(score), -np.inf, score)
    found = [kendalltau(score[base == g], mix[base == g]).statistic for g in range(base.max() + 1)]
    return float(np.nanmean(found))


def power(score: np.ndarray, kind: np.ndarray) -> dict[str, float]:
    """Share of the genes of each kind above the 95th percentile of the null genes, whatever their p-values say."""
    score = np.where(np.isnan(score), -np.inf, score)
    limit = np.quantile(score[kind == "none"], 0.95)
    return {
        f"power {name}": float(np.mean(score[kind == name] > limit)) for name in dict.fromkeys(kind[kind != "none"])
    }


def matched_auroc(score: np.ndarray, positive: np.ndarray, negative: np.ndarray, total: np.ndarray) -> float:
    """Share of the `NEAREST` negative genes of the nearest expression that a positive gene (numbers) outranks, mean."""
    score = np.where(np.isnan(score), -np.inf, score)
    level = np.log(total)
    found = []
    for gene in positive:
        near = negative[np.argsort(np.abs(level[negative] - level[gene]), kind="stable")[:NEAREST]]
        found.append(np.mean(score[gene] > score[near]) + 0.5 * np.mean(score[gene] == score[near]))
    return float(np.mean(found))
