"""From a panel to the genes that it lacks: linear prediction by covariances of the reference, chosen on shared genes.

The value of a gene is predicted from those of the panel as a Gaussian process over genes (Rasmussen & Williams 2006,
eq. 2.25): w = (K + ridge I)^-1 k, where K holds the covariances of the panel's genes in the reference and k those with
the gene. Everything that is asked of a prediction on the shared genes (its correlation with the truth, its spread, the
agreement of two) follows from two matrices of the panel, so that no prediction of a cell is made for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import scipy.linalg

from spacex.stats import l2_normalize

RIDGES = (0.3, 1.0, 3.0)
"""Variance of what the panel's genes do not share, in units of a gene's variance."""

CHOSEN = 4
"""Predictions that are averaged: those with the largest mean correlation on held-out genes of the panel."""

FOLDS = 5

RELIABILITY_FEATURES = ("spread", "agreement", "support")
"""Of a prediction over the cells: its standard deviation; the mean correlation of the predictions that it is the mean
of; and the mean of its five largest correlations with genes of the panel as they were measured."""

N_SUPPORT = 5


@dataclass(frozen=True)
class Panel:
    """Genes measured in the target, as moments over its cells.

    Attributes
    ----------
    number
        (P,) number of each gene in the reference.
    within
        (P, P) covariance of what is predicted from.
    across
        (P, P) covariance of what is predicted from (rows) with the standardised values (columns).
    """

    number: np.ndarray
    within: np.ndarray
    across: np.ndarray


@dataclass(frozen=True)
class Transfer:
    """Weights of the panel's genes for each wanted gene, and what is known of the predictions.

    Attributes
    ----------
    weights
        (P, G) by which standardised values of wanted genes are made.
    traits
        (G, 3) spread, agreement and support of the predictions, as in `RELIABILITY_FEATURES`.
    crossed
        (P, P) weights by which the genes of the panel were predicted when their fold was held out; zero within it.
    held_out
        Row for every gene of the panel, held out in one of five folds: ``pcc``, the correlation with its values, and
        its traits.
    tried
        Row for every candidate: ``vectors``, ``ridge``, mean ``pcc``, whether ``chosen``.
    """

    weights: np.ndarray
    traits: np.ndarray
    crossed: np.ndarray
    held_out: pd.DataFrame
    tried: pd.DataFrame


def transfer(vectors: dict[str, np.ndarray], panel: Panel, wanted: np.ndarray, rng: np.random.Generator) -> Transfer:
    """Choose vectors and ridges by held-out genes of the panel, and predict wanted genes (G,) with them."""
    candidates = [(name, ridge) for name in vectors for ridge in RIDGES]
    n_panel = len(panel.number)
    folds = np.array_split(rng.permutation(n_panel), min(FOLDS, n_panel))
    known = {name: of[panel.number] for name, of in vectors.items()}
    crossed = [_oof_weights(known[name], ridge, folds) for name, ridge in candidates]
    score = np.array([_mean_of_known(_correlation(weights, panel.within, panel.across)) for weights in crossed])
    best = np.sort(np.argsort(-score, kind="stable")[:CHOSEN])
    tried = pd.DataFrame(candidates, columns=["vectors", "ridge"])
    tried["pcc"], tried["chosen"] = score, np.isin(np.arange(len(score)), best)
    parts = [_weights(known[name], vectors[name][wanted], ridge) for name, ridge in (candidates[c] for c in best)]
    out = [crossed[c] for c in best]
    crossing = np.mean(out, axis=0)
    held_out = pd.DataFrame(_reliability_features(out, panel, itself=True), columns=list(RELIABILITY_FEATURES))
    held_out.insert(0, "pcc", _correlation(crossing, panel.within, panel.across))
    return Transfer(np.mean(parts, axis=0), _reliability_features(parts, panel), crossing, held_out, tried)


def _mean_of_known(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN where there is none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def cell_components(panel: Panel, n: int) -> np.ndarray:
    """Weights (P, K) that make the leading components of cells, with variance one, from what is predicted from."""
    n = min(n, len(panel.number) - 1)
    size = len(panel.number)
    value, vector = scipy.linalg.eigh(panel.within, subset_by_index=(size - n, size - 1))
    return np.asarray(vector[:, ::-1] / np.sqrt(np.maximum(value[::-1], 1e-9 * value[-1])))


def max_cosine(panel: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Largest cosine (G,) of each wanted gene (G, D) with a gene of the panel (P, D)."""
    return np.asarray((l2_normalize(wanted) @ l2_normalize(panel).T).max(axis=1))


def _weights(panel: np.ndarray, wanted: np.ndarray, ridge: float) -> np.ndarray:
    """Weights (P, G) of the panel's genes, from vectors (P, D) and (G, D)."""
    gram = panel @ panel.T + ridge * np.eye(len(panel))
    return np.asarray(scipy.linalg.solve(gram, panel @ wanted.T, assume_a="pos"))


def _oof_weights(panel: np.ndarray, ridge: float, folds: list[np.ndarray]) -> np.ndarray:
    """Weights (P, P) of the panel's genes for those of each fold when it is held out: zero within it."""
    found = np.zeros((len(panel), len(panel)))
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(panel)), fold)
        found[np.ix_(rest, fold)] = _weights(panel[rest], panel[fold], ridge)
    return found


def _spread(weights: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Standard deviation (G,) over cells of the predictions by weights (P, G)."""
    return np.sqrt(np.maximum(np.einsum("pg,pq,qg->g", weights, within, weights, optimize=True), 0.0))


def _correlation(weights: np.ndarray, within: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Correlation (G,) over cells of predictions with standardised values; NaN where a prediction is constant."""
    spread = _spread(weights, within)
    return np.where(spread > 1e-12, (weights * across).sum(axis=0) / np.where(spread > 1e-12, spread, 1.0), np.nan)


def _reliability_features(parts: list[np.ndarray], panel: Panel, *, itself: bool = False) -> np.ndarray:
    """`RELIABILITY_FEATURES` (G, 3) of the mean prediction by weights (P, G); `itself`: of the panel's own genes."""
    scaled = [part / np.maximum(_spread(part, panel.within), 1e-12) for part in parts]
    alike = [np.einsum("pg,pq,qg->g", a, panel.within, b, optimize=True) for a, b in combinations(scaled, 2)]
    mean = np.mean(parts, axis=0)
    spread = _spread(mean, panel.within)
    measured = mean.T @ panel.across / np.maximum(spread, 1e-12)[:, None]
    if itself:
        np.fill_diagonal(measured, -1.0)  # a gene is no support of itself
    support = np.sort(measured, axis=1)[:, -N_SUPPORT:].mean(axis=1)
    return np.stack([spread, np.mean(alike, axis=0), support], axis=1)
