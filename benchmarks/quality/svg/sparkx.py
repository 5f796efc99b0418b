"""SPARK-X in closed form (Zhu, Sun & Zhou 2021, Genome Biology 22, 184), for comparison only.

The covariance of a gene's counts with eleven transforms of the coordinates: the coordinates, and Gaussian and cosine
functions of them with scales at five quantiles. Each kernel is a projection on two columns, so that the weighted sum of
chi-squared variables that the paper takes by Davies' method has two equal weights: a chi-squared tail with two degrees
of freedom. Kernels are combined by the Cauchy combination.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.stats import chi2

from spacex.svg.tails import cauchy_combination

QUANTILES = (0.2, 0.4, 0.6, 0.8, 1.0)


def transforms(xy: np.ndarray) -> list[np.ndarray]:
    """The eleven pairs of columns (S, 2), centered."""
    xy = xy - xy.mean(axis=0)
    scales = np.quantile(np.abs(xy), QUANTILES, axis=0)  # (5, 2)
    columns_of_transform = [xy]
    columns_of_transform += [np.exp(-np.square(xy) / (2 * w**2)) for w in scales]
    columns_of_transform += [np.cos(2 * np.pi * xy / w) for w in scales]
    return [columns - columns.mean(axis=0) for columns in columns_of_transform]


def kernel_log_p(counts: sp.csc_matrix, columns: np.ndarray) -> np.ndarray:
    """Log p (G,) of one kernel: n × the share of a gene's centered sum of squares that lies in the columns' span."""
    n = counts.shape[0]
    covariance = counts.T @ columns  # (G, 2): columns are centered
    explained = np.einsum("gi,ij,gj->g", covariance, np.linalg.inv(columns.T @ columns), covariance)
    mean = np.asarray(counts.mean(axis=0)).ravel()
    square = np.asarray(counts.power(2).sum(axis=0)).ravel() - n * mean**2
    return chi2.logsf(n * explained / np.maximum(square, 1e-12), 2)


def log_p(counts: sp.csc_matrix, xy: np.ndarray) -> np.ndarray:
    """Log p-values (G,) of counts (S, G) at positions (S, 2)."""
    each = np.stack([kernel_log_p(counts, columns) for columns in transforms(xy)])
    return cauchy_combination(each, np.ones_like(each))
