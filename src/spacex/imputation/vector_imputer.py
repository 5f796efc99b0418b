"""Imputation from vectors of genes in one or several groups of sections, such as those of a `spacex.Reference`.

The kernel is a weighted sum over groups: groups that predict held-out panel genes better have larger weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spacex.imputation.cells import Cells
from spacex.imputation.imputer import Imputer
from spacex.imputation.kernels import CosineKernel, LinearKernel, cosine_kernels
from spacex.imputation.linear import (
    RELIABILITY_FEATURES,
    LinearModel,
    fit_linear,
    make_folds,
    mean_correlation,
    out_of_fold_weights,
)
from spacex.imputation.panel import Panel
from spacex.imputation.params import ImputationParams
from spacex.imputation.reliability import Calibration, calibrate

GROUP_RIDGE = 3.0
"""Ridge penalty with which single groups are compared; 1 and 10 order them in the same way."""

GENES_PER_BLOCK = 1024

MIN_SPREAD = 1e-12
"""Predictions with a smaller standard deviation are constant."""

MIN_SD = 0.01
"""Smallest standard deviation of standardized predictions, so that those of unreliable genes are not constant."""


@dataclass(frozen=True)
class VectorImputer:
    """Fitted prediction of genes from their vectors.

    Attributes
    ----------
    model
        Linear model of the panel genes.
    calibration
        Reliability of predictions.
    predictor_mean
        (P,) means of the predictors.
    group_weights
        (n,) weights of the groups, the largest one.
    """

    model: LinearModel
    calibration: Calibration
    predictor_mean: np.ndarray
    group_weights: np.ndarray

    def reliability(self, gene_index: np.ndarray) -> np.ndarray:
        """Reliability (G,) of genes (G,), computed in blocks of genes."""
        starts = range(0, len(gene_index), GENES_PER_BLOCK)
        blocks = [gene_index[start : start + GENES_PER_BLOCK] for start in starts]
        return np.concatenate([self._reliability(*self.model.predict(block)) for block in blocks] or [np.zeros(0)])

    def imputer(
        self, gene_index: np.ndarray, mean: np.ndarray | None = None, scale: np.ndarray | None = None
    ) -> Imputer:
        """The `Imputer` of genes (G,).

        The standard deviation of a prediction is the reliability times `scale` (G,), and its mean is `mean` (G,).
        Without these, predictions are relative: mean zero, in units of the standard deviation of the gene.
        """
        weights, features = self.model.predict(gene_index)
        reliability = self._reliability(weights, features)
        sd = self.model.panel.prediction_sd(weights)
        factor = np.where(sd > MIN_SPREAD, np.maximum(reliability, MIN_SD) / np.maximum(sd, MIN_SPREAD), 0.0)
        is_relative = mean is None or scale is None
        coefficients = (weights * (factor if scale is None else factor * scale)).astype(np.float32)
        intercept = ((0.0 if mean is None else mean) - self.predictor_mean @ coefficients).astype(np.float32)
        features = self.model.held_out[list(RELIABILITY_FEATURES)].to_numpy()
        held_out = self.model.held_out.assign(reliability=self.calibration.predict(features))
        return Imputer(coefficients, intercept, reliability, held_out, self.model.candidates, {}, is_relative)

    def _reliability(self, weights: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Reliability (G,) of genes with weights (P, G); zero for genes without a prediction."""
        return np.where(np.abs(weights).sum(axis=0) > MIN_SPREAD, self.calibration.predict(features), 0.0)


def fit_vector_imputer(
    groups: Sequence[np.ndarray],
    cells: Cells,
    panel_index: np.ndarray,
    rng: np.random.Generator,
    params: ImputationParams,
) -> VectorImputer:
    """Fit to the panel genes at positions `panel_index` (P,) in the vectors (G, D) of each group."""
    panel, predictor_mean = cells.panel(panel_index)
    folds = make_folds(len(panel), rng, params)
    weights = group_weights(groups, panel, folds)
    kernels: dict[str, CosineKernel] = {}
    for power in params.group_powers:
        for kernel in cosine_kernels(groups, weights**power, panel_index, params.sharpness):
            kernels[f"group weights ** {power:g}, sharpness {kernel.sharpness:g}"] = kernel
    model = fit_linear(kernels, params.vector_ridges, panel, folds, params)
    features = model.held_out[list(RELIABILITY_FEATURES)].to_numpy()
    return VectorImputer(model, calibrate(features, model.held_out["pcc"].to_numpy()), predictor_mean, weights)


def group_weights(groups: Sequence[np.ndarray], panel: Panel, folds: list[np.ndarray]) -> np.ndarray:
    """Mean correlation (n,) of held-out panel genes with predictions from each group alone, divided by the largest.

    Negative correlations count as zero. If no group predicts anything, all weights are one.
    """
    correlation = np.zeros(len(groups))
    for number, vectors in enumerate(groups):
        gram = LinearKernel(vectors.astype(np.float64)).between(panel.gene_index, panel.gene_index)
        n_known = np.count_nonzero(np.diag(gram))
        if n_known:
            weights = out_of_fold_weights(gram, GROUP_RIDGE, folds)
            correlation[number] = mean_correlation(panel, weights) * n_known / len(panel)
    correlation = np.nan_to_num(np.maximum(correlation, 0.0))
    return correlation / correlation.max() if correlation.max() > 0 else np.ones(len(groups))
