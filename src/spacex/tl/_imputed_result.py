"""The result of `impute`: its size, its tables and its matrix."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.settings import settings_to_dict
from spacex.gene_names import normalize_name
from spacex.imputation import Cells, ImputationParams
from spacex.imputation.imputer import Imputer
from spacex.tl._stream import write_blocks

logger = logging.getLogger("spacex")

MAX_BYTES = 4_000_000_000
"""Maximum size of a result that is held in memory."""


def check_size(n_cells: int, n_genes: int, path: Path | None) -> None:
    """Raise `InputError` if the result does not fit in memory (without a path) or on the disk of `path`."""
    needed = 4 * n_cells * n_genes
    size = f"{n_cells} cells × {n_genes} genes need {needed / 1e9:.1f} GB"
    if path is None:
        if needed > MAX_BYTES:
            hint = "pass path='result.h5ad' to write them block by block, or fewer genes"
            raise InputError(f"{size}; {hint}")
    elif needed > (free := shutil.disk_usage(path.parent).free):
        hint = "free some space, pass a path on another disk, or fewer genes"
        raise InputError(f"{size}, and {free / 1e9:.1f} GB are free on the disk of path='{path}'; {hint}")


def empty_result(
    target: AnnData, names: list[str], symbols: np.ndarray, reliability: np.ndarray, params: ImputationParams
) -> AnnData:
    """The result without its matrix."""
    is_predictable = reliability >= params.min_reliability
    var = pd.DataFrame({"reliability": reliability, "predictable": is_predictable}, index=names)
    var[_adata.keys.IMPUTED] = True
    if any(normalize_name(name) != normalize_name(symbol) for name, symbol in zip(names, symbols, strict=True)):
        var["symbol"] = symbols
    obsm = {key: np.array(value) for key, value in target.obsm.items()}
    result = AnnData(obs=target.obs.copy(), var=var, obsm=obsm)
    if "spatial" in target.uns:
        result.uns["spatial"] = target.uns["spatial"]
    return result


def write_record(
    result: AnnData,
    imputer: Imputer,
    held_out: pd.DataFrame,
    *,
    counts: bool,
    seed: int,
    params: ImputationParams,
    sources: pd.DataFrame | None = None,
) -> None:
    """Write ``uns["spacex"]["impute"]``, and warn of genes that cannot be predicted."""
    settings = {"n_panel": len(held_out), "seed": seed, "counts": counts, "params": settings_to_dict(params)}
    values = "relative" if imputer.is_relative else "counts" if counts else "log1p"
    record = {"held_out": held_out, "tried": imputer.candidates, "values": values, **settings, **imputer.corrector_gain}
    if sources is not None:
        record["sources"] = sources
    _adata.write_uns(result, impute=record)
    n_unpredictable = int((~result.var["predictable"]).sum())
    if n_unpredictable:
        logger.warning("%d of %d gene(s) cannot be predicted: see var['predictable']", n_unpredictable, result.n_vars)


def fill(
    result: AnnData, imputer: Imputer, cells: Cells, path: Path | None, *, counts: bool, progress: bool
) -> AnnData:
    """Predict the matrix of the result, in memory or in the file `path`."""
    blocks = imputer.predict(cells, counts=counts, progress=progress)
    if path is not None:
        return write_blocks(result, blocks, path)
    result.X = np.empty(result.shape, dtype=np.float32)
    for rows, values in blocks:
        result.X[rows] = values
    return result
