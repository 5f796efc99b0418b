"""`modules`: refit the modules of genes to an existing embedding."""

from __future__ import annotations

from typing import Literal

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_n_modules
from spacex.embedding.coordinates import N_LEVELS, Coordinates, noise_coordinates
from spacex.embedding.refit import NullGenes, refit_modules


def modules(adata: AnnData, *, n_modules: int | Literal["auto"] = "auto") -> None:
    """Refit the modules, with the same or another number, without repeating the embedding.

    Fits the Student's t mixture to the embedding in ``varm["X_spacex"]``; see `spacex.tl.embed`.

    Parameters
    ----------
    adata
        Output of `spacex.tl.embed`.
    n_modules
        Number of modules, or ``"auto"``: the number that predicts held-out genes well, without modules that genes
        without a pattern form by chance.

    Raises
    ------
    InputError
        If `adata` has no embedding, or `n_modules` is not allowed.

    Notes
    -----
    Writes ``var["spacex_module"]``, ``var["spacex_module_prob"]`` and ``uns["spacex"]["modules"]``. Removes the results
    of `spacex.tl.module_stability`.

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
    full = _adata.read_embedding(adata, with_reference=False)
    embedded = _adata.indices_sorted_by_name(adata, np.isfinite(full).all(axis=1))
    n_modules = check_n_modules(n_modules, high=len(embedded))
    config = _adata.read_config(adata)
    seed = check_int(
        _adata.read_uns_entry(adata, "embed", "seed")["seed"], name='uns["spacex"]["embed"]["seed"]', low=0
    )
    refit = refit_modules(stored_points(adata, full[embedded], embedded), n_modules, config, seed)
    _adata.write_modules(adata, embedded, *refit.assignment)
    tried = refit.history.columns().get("modules", {})
    entry = {"n_modules": refit.n_modules, "seed": seed, "tried": tried}
    _adata.write_uns(adata, modules=entry, module_stability=None)


def stored_points(adata: AnnData, z: np.ndarray, embedded: np.ndarray) -> Coordinates:
    """Return the coordinates of embedded genes, from their embeddings (G, D), and of the stored null genes.

    Raises `InputError` if the null genes or the expression levels do not match the embedding.
    """
    null = stored_null_genes(adata, z.shape[1])
    level = _adata.read_expression_level(adata, embedded)
    if level.max() >= N_LEVELS:
        raise InputError(
            f'var["spacex_expression_level"] has level {level.max()}, but there are {N_LEVELS}; call sx.tl.embed(adata)'
        )
    return noise_coordinates(z, null.embedding, np.concatenate([level, null.level]), null.n_smooth)


def stored_null_genes(adata: AnnData, n_dims: int) -> NullGenes:
    """Return the null genes of the embedding, of which `sx.tl.embed` stores the embeddings and expression levels.

    Raises `InputError` if they do not match an embedding with `n_dims` dimensions.
    """
    stored = _adata.read_uns_entry(adata, "null_genes", "embedding", "level", "n_smooth")
    n_smooth = check_int(stored["n_smooth"], name='uns["spacex"]["null_genes"]["n_smooth"]', low=1, high=n_dims)
    null = _adata.read_null_embedding(adata, with_reference=False)
    try:
        level = np.asarray(stored["level"], dtype=np.int64)
        is_valid = null is not None and level.shape == null.shape[:1]
        is_valid = is_valid and bool(level.min() >= 0 and level.max() < N_LEVELS)
    except (TypeError, ValueError, OverflowError):
        is_valid = False
    if null is None or not is_valid:
        raise InputError('uns["spacex"]["null_genes"] does not match the embedding; call sx.tl.embed(adata)')
    return NullGenes(null.astype(np.float32), level, n_smooth)
