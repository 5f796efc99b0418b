"""`modules`: refit the modules of genes to an existing embedding."""

from __future__ import annotations

from typing import Literal

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._config import Config
from spacex._infra.validation import check_int, check_n_modules, check_number
from spacex.embedding.history import History
from spacex.embedding.modules import (
    assign_modules,
    choose_n_modules,
    fit_modules,
    null_probability,
    sort_modules_by_size,
)


def modules(adata: AnnData, *, n_modules: int | Literal["auto"] = "auto") -> None:
    """Refit the modules, with the same or another number, without repeating the embedding.

    Fits the Student's t mixture to the embedding in ``varm["X_spacex"]``; see `spacex.tl.embed`.

    Parameters
    ----------
    adata
        Output of `spacex.tl.embed`.
    n_modules
        Number of modules, or ``"auto"``: the number that best predicts held-out genes.

    Raises
    ------
    InputError
        If `adata` has no embedding, or `n_modules` is not allowed.

    Notes
    -----
    Writes ``var["spacex_module"]``, ``var["spacex_module_prob"]`` and ``uns["spacex"]["modules"]``.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> sx.tl.modules(adata, n_modules=2)
    >>> list(adata.var["spacex_module"].cat.categories)
    ['0', '1', 'unassigned']
    """
    _adata.prepare_adata(adata, writes=True)
    full = _adata.read_embedding(adata)
    embedded = _adata.indices_sorted_by_name(adata, np.isfinite(full).all(axis=1))
    z = full[embedded]
    stored = _adata.read_uns_entry(adata, "embed", "seed", "null_shape")
    n_modules = check_n_modules(n_modules, high=len(z))
    config = Config.from_dict(_adata.read_uns_entry(adata, "parameters"))
    seed = check_int(stored["seed"], name='uns["spacex"]["embed"]["seed"]', low=0)
    null_shape = check_number(stored["null_shape"], name='uns["spacex"]["embed"]["null_shape"]', above=0)
    null = null_probability(np.linalg.norm(z, axis=1), null_shape)
    history, threshold = History(), config.background_threshold
    k = choose_n_modules(z, null, config, seed, history) if n_modules == "auto" else n_modules
    mixture = fit_modules(z, null, k, config, seed)
    parameters = sort_modules_by_size(mixture.parameters_, z, null, threshold)
    labels, probabilities = assign_modules(parameters, z, null_shape, threshold)
    _adata.write_modules(adata, embedded, labels, probabilities)
    _adata.write_uns(adata, modules={"n_modules": k, "seed": seed, "tried": history.columns().get("modules", {})})
