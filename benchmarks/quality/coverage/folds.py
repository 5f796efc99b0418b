"""Five folds of the shared genes, each removed from the target and predicted."""

from __future__ import annotations

import time

import anndata as ad
import numpy as np
import pandas as pd

from spacex.gene_names import GeneNames
from spacex.imputation import shared_genes

from .measure import quality
from .methods import METHODS
from .peers import values

FOLDS = 5


def predictions(
    target: ad.AnnData, reference: ad.AnnData, method: str, seed: int
) -> tuple[pd.DataFrame, np.ndarray, list[float]]:
    """Scores of the shared genes, the reliability (NaN if unknown) of each, and the seconds of each fold."""
    t, r = shared_genes(*(GeneNames.from_table(one.var) for one in (target, reference)))
    truth = values(target)
    parts, reliabilities, seconds = [], [], []
    for fold in np.array_split(np.random.default_rng(seed).permutation(len(t)), FOLDS):
        panel = target[:, np.setdiff1d(np.arange(target.n_vars), t[fold])].copy()
        start = time.perf_counter()
        predicted, reliability = METHODS[method](panel, reference, list(reference.var_names[r[fold]]), seed)
        seconds.append(time.perf_counter() - start)
        parts.append(pd.DataFrame(quality(truth[:, t[fold]].toarray(), predicted)))
        reliabilities.append(np.full(len(fold), np.nan) if reliability is None else reliability)
    return pd.concat(parts, ignore_index=True), np.concatenate(reliabilities), seconds
