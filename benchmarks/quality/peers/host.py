"""Helpers to run peers: import, silencing, a clean section, and conversion of labels."""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

UNASSIGNED = "unassigned"


def borrow(module: str, pip: str) -> ModuleType:
    """Import a peer, or raise `ImportError` with its pip command."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(f"{error.name} is not installed: {pip}", name=error.name) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress progress bars, prints and warnings of a peer, but not errors."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def section_of(adata: AnnData) -> AnnData:
    """Counts (CSR, float32), names and coordinates, copied, because peers modify their input; without the truth."""
    counts = sp.csr_matrix(adata.X, dtype=np.float32, copy=True)
    obs, var = pd.DataFrame(index=adata.obs_names), pd.DataFrame(index=adata.var_names)
    return AnnData(counts, obs=obs, var=var, obsm={"spatial": np.array(adata.obsm["spatial"], dtype=np.float64)})


def labels(found: pd.Series, genes: pd.Index) -> np.ndarray:
    """Labels (G,) of all genes from the labels of a peer by gene name; ``"unassigned"`` for other genes."""
    return found.astype(str).reindex(genes, fill_value=UNASSIGNED).to_numpy(dtype=str)


def rows(found: np.ndarray, kept: pd.Index, genes: pd.Index) -> np.ndarray:
    """Embedding (G, D) of all genes from that of some genes; NaN for others."""
    z = np.full((len(genes), found.shape[1]), np.nan, dtype=np.float32)
    z[genes.get_indexer(kept)] = found
    return z
