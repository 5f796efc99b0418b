"""The fitted imputation: from the predictors of target cells to values of unmeasured genes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from spacex.imputation.cells import Cells
from spacex.imputation.corrector import ResidualCorrector, correct_weights
from spacex.imputation.kernels import LinearKernel
from spacex.imputation.linear import RELIABILITY_FEATURES, fit_linear, make_folds
from spacex.imputation.params import ImputationParams
from spacex.imputation.reference import CovarianceReference
from spacex.imputation.reliability import calibrate


@dataclass(frozen=True)
class Imputer:
    """Linear function from the predictors of target cells to values of genes.

    Attributes
    ----------
    coefficients
        (P, G) float32.
    intercept
        (G,) float32.
    reliability
        (G,) expected correlation with the truth, 0 to 1; 0 for genes that the reference does not detect.
    held_out
        One row per panel gene: ``pcc`` of its out-of-fold prediction, `RELIABILITY_FEATURES` and ``reliability``.
    candidates
        One row per candidate of the linear prediction, as in `LinearModel`.
    corrector_gain
        Mean cosine of held-out panel genes before (``linear``) and after (``learned``) correction; empty without a
        corrector.
    is_relative
        Whether predictions are standardized values, with mean zero, instead of log-normalized ones.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    reliability: np.ndarray
    held_out: pd.DataFrame
    candidates: pd.DataFrame
    corrector_gain: dict[str, float]
    is_relative: bool = False

    def predict(self, cells: Cells, *, counts: bool, progress: bool) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows and values (B, G) of blocks of cells, at least zero unless relative; `counts`: expm1 of them."""
        with tqdm(total=len(cells), desc="impute", unit="cell", disable=not progress) as bar:
            for rows, _, predictors in cells.blocks():
                values = predictors @ self.coefficients + self.intercept
                values = values if self.is_relative else np.maximum(values, 0.0)
                yield rows, np.expm1(values) if counts else values
                bar.update(len(values))


def fit_imputer(
    reference: CovarianceReference,
    cells: Cells,
    panel_index: np.ndarray,
    gene_index: np.ndarray,
    rng: np.random.Generator,
    params: ImputationParams,
    *,
    corrector: ResidualCorrector | None = None,
    rounds: int = 1,
) -> Imputer:
    """Fit the prediction of reference genes `gene_index` (G,) in `cells` from the panel genes `panel_index` (P,)."""
    panel, predictor_mean = cells.panel(panel_index)
    kernels = {name: LinearKernel(vectors) for name, vectors in reference.vectors.items()}
    linear = fit_linear(kernels, params.ridges, panel, make_folds(len(panel), rng, params), params)
    (weights, features), gain = linear.predict(gene_index), dict[str, float]()
    if corrector is not None:
        oof_weights = linear.oof_weights
        weights = weights + correct_weights(
            reference.keys, panel, oof_weights, weights, gene_index, corrector, rounds=rounds
        )
        gain = {"linear": corrector.linear_cosine_, "learned": corrector.corrected_cosine_}
    panel_features = linear.held_out[list(RELIABILITY_FEATURES)].to_numpy()
    calibration = calibrate(panel_features, linear.held_out["pcc"].to_numpy())
    held_out = linear.held_out.assign(reliability=calibration.predict(panel_features))
    reliability = np.where(reference.is_detected[gene_index], calibration.predict(features), 0.0)
    coefficients = (weights * reference.scale[gene_index]).astype(np.float32)
    intercept = (reference.mean[gene_index] - predictor_mean @ coefficients).astype(np.float32)
    return Imputer(coefficients, intercept, reliability, held_out, linear.candidates, gain)
