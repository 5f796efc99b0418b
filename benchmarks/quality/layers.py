"""Cortical layers in which genes have their highest expression, in agreement of two sections."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .neighbors import chance, purity

KEY = "layer"
UNKNOWN = ("NA", "nan", "undetermined")
MIN_FOLD = 1.2


def layer_means(adata: AnnData) -> pd.DataFrame:
    """Mean log-normalized expression of every gene in every layer (genes × layers)."""
    layer = adata.obs[KEY].astype(str).to_numpy()
    names = [name for name in np.unique(layer) if name not in UNKNOWN]
    counts = sp.csr_matrix(adata.X, dtype=np.float64)
    library = np.asarray(counts.sum(axis=1)).ravel()
    scale = np.divide(np.median(library), library, out=np.zeros_like(library), where=library > 0)
    logged = (sp.diags(scale) @ counts).log1p()
    means = [np.asarray(logged[layer == name].mean(axis=0)).ravel() for name in names]
    return pd.DataFrame(np.array(means).T, index=adata.var_names, columns=names)


def agreed_peaks(first: AnnData, second: AnnData) -> pd.Series:
    """Layer of highest mean log-normalized expression, for genes for which two sections agree.

    Of the genes measured in both: those with more counts than the median gene in either section, the same peak
    layer in both, and in both a mean at the peak of more than 1.2 times the mean over layers. Layers and their
    markers are those of Maynard et al. 2021.
    """
    shared = first.var_names.intersection(second.var_names)
    peaks, clear = [], np.ones(len(shared), dtype=bool)
    for adata in (first, second):
        means = layer_means(adata).loc[shared]
        total = np.asarray(adata[:, shared].X.sum(axis=0)).ravel()
        clear &= total > np.median(total)
        clear &= (means.max(axis=1) > MIN_FOLD * means.mean(axis=1)).to_numpy()
        peaks.append(means.idxmax(axis=1))
    clear &= (peaks[0] == peaks[1]).to_numpy()
    return peaks[0][clear]


def peak_purity(z: np.ndarray, names: pd.Index, peaks: pd.Series) -> dict[str, float]:
    """Share of a gene's 10 nearest neighbors (cosine) that peak in its layer, among the genes of `agreed_peaks`.

    The gain is this share minus that of random neighbors.
    """
    label = peaks.to_numpy().astype(str)
    share = float(purity(z[names.get_indexer(peaks.index)], label).mean())
    return {"peak-layer purity": share, "peak-layer gain": share - float(chance(label).mean())}
