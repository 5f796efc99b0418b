"""Metrics of scores and p-values."""

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
    scores = []
    for part in (deciles(total) == d for d in range(10)):
        rank, is_real = rankdata(score[part]), real[part]
        n_real, n_null = is_real.sum(), (~is_real).sum()
        if n_real and n_null:
            scores.append((rank[is_real].sum() - n_real * (n_real + 1) / 2) / (n_real * n_null))
    return float(np.mean(scores))


def null_rates(log_p: np.ndarray, null: np.ndarray, total: np.ndarray) -> dict[str, float]:
    """Shares of null genes below each level; for 0.05 and 0.001 also in the lower and upper three deciles."""
    tested = null & ~np.isnan(log_p)
    decile = deciles(total)
    rates = {f"p<{level:g}": _share(log_p[tested], level) for level in LEVELS}
    for name, part in (("low", decile < 3), ("high", decile > 6)):
        rates |= {f"p<{level:g} {name}": _share(log_p[tested & part], level) for level in (LEVELS[0], LEVELS[-1])}
    return rates


def _share(log_p: np.ndarray, level: float) -> float:
    return float(np.mean(log_p < np.log(level))) if len(log_p) else np.nan


def mixing_tau(score: np.ndarray, mix: np.ndarray, base: np.ndarray) -> float:
    """Kendall's τ between a gene's score and the weight of its pattern, mean over base genes."""
    score = np.where(np.isnan(score), -np.inf, score)
    taus = [kendalltau(score[base == g], mix[base == g]).statistic for g in range(base.max() + 1)]
    return float(np.nanmean(taus))


def power(score: np.ndarray, kind: np.ndarray) -> dict[str, float]:
    """Share of the genes of each kind above the 95th percentile of the null genes, independent of p-values."""
    score = np.where(np.isnan(score), -np.inf, score)
    limit = np.quantile(score[kind == "none"], 0.95)
    return {
        f"power {name}": float(np.mean(score[kind == name] > limit)) for name in dict.fromkeys(kind[kind != "none"])
    }


def matched_auroc(score: np.ndarray, positive: np.ndarray, negative: np.ndarray, total: np.ndarray) -> float:
    """Share of the `NEAREST` negative genes of the nearest expression that a positive gene (numbers) outranks, mean."""
    score = np.where(np.isnan(score), -np.inf, score)
    level = np.log(total)
    shares = []
    for gene in positive:
        near = negative[np.argsort(np.abs(level[negative] - level[gene]), kind="stable")[:NEAREST]]
        shares.append(np.mean(score[gene] > score[near]) + 0.5 * np.mean(score[gene] == score[near]))
    return float(np.mean(shares))
