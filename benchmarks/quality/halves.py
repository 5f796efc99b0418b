"""Independent halves of a section's counts."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from anndata import AnnData


def halves(adata: AnnData, seed: int) -> tuple[AnnData, AnnData]:
    """Two sections on the same spots that share out the counts: each count goes to either with probability one half.

    Binomial thinning (Gerard 2020; Neufeld et al. 2024): independent given the expected counts where counts are
    Poisson. Only what was measured is handed on: names, coordinates, ``obs`` and ``var``.
    """
    whole = sp.csr_matrix(adata.X)
    first = np.random.default_rng([seed, 1]).binomial(whole.data.astype(np.int64), 0.5).astype(np.float32)
    parts = []
    for data in (first, whole.data.astype(np.float32) - first):
        matrix = sp.csr_matrix((data, whole.indices.copy(), whole.indptr.copy()), shape=whole.shape)
        matrix.eliminate_zeros()
        parts.append(AnnData(matrix, obs=adata.obs.copy(), var=adata.var.copy(), obsm=dict(adata.obsm)))
    return parts[0], parts[1]
