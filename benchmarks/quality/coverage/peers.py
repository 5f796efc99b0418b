"""Published imputation methods, with the settings of their documentation."""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import scipy.sparse as sp

from spacex.imaging.residuals import log_normalize

from ..peers.host import borrow, quiet


def values(adata: ad.AnnData) -> sp.csr_matrix:
    """Log-normalized counts, or unchanged intensities."""
    matrix = sp.csr_matrix(adata.X).astype(np.float32)
    return log_normalize(matrix) if np.array_equal(matrix.data, np.rint(matrix.data)) else matrix


def pair(panel: ad.AnnData, reference: ad.AnnData) -> tuple[ad.AnnData, ad.AnnData]:
    """Copies of both with unique names in lower case, because peers match names literally."""
    found = []
    for adata in (panel, reference):
        copy = ad.AnnData(sp.csr_matrix(adata.X, dtype=np.float32), obsm=dict(adata.obsm))
        copy.obs_names, copy.var_names = adata.obs_names, adata.var_names.str.lower()
        found.append(copy[:, ~copy.var_names.duplicated()].copy())
    return found[0], found[1]


def tangram(panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int) -> tuple[np.ndarray, None]:
    """Tangram (Biancalani et al. 2021): mode "cells", its default 1,000 epochs, all panel genes.

    Counts of both sides are log-normalized: its tutorial uses raw counts of the target, which gives lower scores.
    """
    tg = borrow("tangram", "pip install tangram-sc==1.0.4")
    target, cells = pair(panel, reference)
    for adata in (target, cells):
        adata.X = values(adata)
    with quiet():
        tg.pp_adatas(cells, target, genes=None)
        mapped = tg.map_cells_to_space(cells, target, mode="cells", device="cpu", random_state=seed, verbose=False)
        made = tg.project_genes(mapped, cells)
    found = made[:, [name.lower() for name in genes]].X
    return np.asarray(found.todense() if sp.issparse(found) else found), None


def gimvi(panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int) -> tuple[np.ndarray, None]:
    """gimVI (Lopez et al. 2019): 200 epochs, normalized values."""
    scvi = borrow("scvi", "pip install scvi-tools==1.4.2")
    external = borrow("scvi.external", "pip install scvi-tools==1.4.2")
    target, cells = pair(panel, reference)
    if not np.array_equal(target.X.data, np.rint(target.X.data)):
        raise ValueError("gimVI models counts, and this target holds intensities")
    scvi.settings.seed = seed
    keep = cells.var_names.isin([*target.var_names, *(name.lower() for name in genes)])
    cells = cells[:, keep].copy()
    target = target[:, target.var_names.isin(cells.var_names)].copy()
    full = (np.asarray(cells.X.sum(axis=1)).ravel() > 0, np.asarray(target.X.sum(axis=1)).ravel() > 0)
    with quiet():
        cells, seen = cells[full[0]].copy(), target[full[1]].copy()
        external.GIMVI.setup_anndata(cells)
        external.GIMVI.setup_anndata(seen)
        model = external.GIMVI(cells, seen)
        model.train(max_epochs=200, accelerator="cpu", enable_progress_bar=False)
        _, made = model.get_imputed_values(normalized=True)
    found = np.zeros((target.n_obs, len(genes)))
    found[full[1]] = made[:, cells.var_names.get_indexer([name.lower() for name in genes])]
    return found, None


PEERS: dict[str, Callable[[ad.AnnData, ad.AnnData, list[str], int], tuple[np.ndarray, None]]] = {
    "Tangram": tangram,
    "gimVI": gimvi,
}
