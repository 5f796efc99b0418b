"""`module_stability`: agreement of modules with refits to halves of the counts and under other seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_bool, check_int, check_seed
from spacex.embedding import stability
from spacex.get import embedded_images
from spacex.tl._modules import stored_null_genes, stored_points

MAX_SEEDS = 100


def module_stability(adata: AnnData, *, n_seeds: int = 2, seed: int = 0, progress: bool = True) -> pd.DataFrame:
    """Measure how stable each module is in independent halves of the counts and under other seeds.

    The counts are split into two halves that are independent given the expected counts, by binomial thinning. The
    mixture of modules is refitted to each half, and to all counts, from `n_seeds` other starts, with the same number of
    modules. The Jaccard index of a module with the most similar module of a refit is the number of genes in
    both divided by the number of genes in either. A module with low indices is a chance grouping, or a group that can
    be divided in several ways.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    n_seeds
        Number of refits to each half, and to all counts.
    seed
        Seed of the starts of the refits.
    progress
        Whether to show progress on stderr.

    Returns
    -------
    A table with a row for each module and the columns ``module``, ``jaccard_halves`` (mean over the halves),
    ``jaccard_seeds`` (mean over the refits to all counts) and ``stable``: both are at least 0.5.

    Raises
    ------
    InputError
        If there is no embedding, no gene has a module, genes were moved to modules that the fit did not find, or an
        argument is out of range.

    Notes
    -----
    Genes that are in a module of the fit are compared, each in its most probable module of the refit, so that the index
    measures the grouping, not the loss of power with half of the counts. With one module the indices are one.

    The components of the embedding are those of all counts in the halves, too; only the noise and the mixture are
    independent. Counts are split as Poisson counts, so that the excess variance of a gene is common to both halves. If
    the encoder was trained (``Config.epochs`` or ``Config.boost_rounds``), halves are embedded by its linear path.
    Indices vary with `seed`: on a Visium section of the cortex, by 0.03 in halves and 0.11 from other starts.

    Writes ``var["spacex_module_jaccard_halves"]`` and ``var["spacex_module_jaccard_seeds"]``, the indices of the module
    of each gene (NaN without a module), and ``uns["spacex"]["module_stability"]``. `spacex.get.module_table`,
    `spacex.pl.modules` and the report show them. Modules may be renamed before and after.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> table = sx.tl.module_stability(adata, progress=False)
    >>> list(table.columns), len(table)
    (['module', 'jaccard_halves', 'jaccard_seeds', 'stable'], 3)
    """
    _adata.prepare_adata(adata, writes=True)
    n_seeds = check_int(n_seeds, name="n_seeds", low=1, high=MAX_SEEDS)
    seed, progress = check_seed(seed), check_bool(progress, name="progress")
    full, config = _adata.read_embedding(adata, with_reference=False), _adata.read_config(adata)
    embedded = _adata.indices_sorted_by_name(adata, np.isfinite(full).all(axis=1))
    module, n_modules = _fitted_modules(adata, embedded)
    whole = stored_points(adata, full[embedded], embedded)
    stored = _adata.read_uns_entry(adata, "embed", "seed")
    fit_seed = check_int(stored["seed"], name='uns["spacex"]["embed"]["seed"]', low=0)
    null = stored_null_genes(adata, full.shape[1])
    images = embedded_images(adata)
    _adata.check_working_memory(images, "the stability of modules")
    components = _adata.read_components(adata, _adata.read_pixel_of_spot(adata, images), images.n_pixels)
    encoder = stability.linear_encoder(components, null.n_smooth, images.layout, config)
    result = stability.module_stability(
        module[embedded],
        whole,
        stability.half_coordinates(images.take(embedded), len(null.level), encoder, config, fit_seed),
        n_modules,
        config,
        n_seeds=n_seeds,
        seed=seed,
        progress=progress,
    )
    _adata.write_module_stability(adata, module, *result)
    _adata.write_uns(adata, module_stability={"n_seeds": n_seeds, "seed": seed})
    table = _adata.read_module_stability(adata)
    assert table is not None
    return table.rename_axis("module").reset_index()


def _fitted_modules(adata: AnnData, embedded: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the module (G,) of every gene, -1 for none, and the number of modules of the fit.

    Raises
    ------
    InputError
        If no gene has a module, or the modules are not those of a fit.
    """
    call = "call sx.tl.modules(adata)"
    column = _adata.read_modules(adata)
    names = [name for name in column.cat.categories if name != _adata.keys.UNASSIGNED and (column == name).any()]
    module = pd.Index(names).get_indexer(column.astype(str))
    entry = "modules" if "modules" in _adata.read_uns(adata) else "embed"
    stored = _adata.read_uns_entry(adata, entry, "n_modules")
    n_modules = check_int(stored["n_modules"], name=f'uns["spacex"]["{entry}"]["n_modules"]', low=1)
    if not names:
        raise InputError("no gene has a module: all are unassigned; call sx.tl.modules(adata, n_modules=...)")
    if len(names) > n_modules:
        raise InputError(f'var["spacex_module"] has {len(names)} modules, but {n_modules} were fitted; {call}')
    outside = np.setdiff1d(np.flatnonzero(module >= 0), embedded)
    if len(outside):
        raise InputError(
            f'var["spacex_module"] has a module for {adata.var_names[outside[0]]!r}, which was not embedded; {call}'
        )
    return module, n_modules
