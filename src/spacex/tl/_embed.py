"""`embed`: a vector and a module for every gene."""

from __future__ import annotations

from typing import Literal

import numpy as np
from anndata import AnnData

from spacex import _adata, pp
from spacex._config import Config
from spacex._infra.errors import InputError
from spacex._infra.validation import check_bool, check_instance, check_n_modules, check_name, check_seed
from spacex.embedding.context import resolve_device
from spacex.embedding.estimator import SpaCEX
from spacex.embedding.modules import assign, null_probability, posterior
from spacex.imaging.gene_images import GeneImages


def embed(
    adata: AnnData,
    *,
    n_modules: int | Literal["auto"] = "auto",
    layer: str | None = None,
    library_key: str | None = None,
    config: Config | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: bool = True,
) -> SpaCEX:
    """Learn a vector for every gene, in which nearby means spatially co-expressed, and a module for every gene.

    Rasterizes if that was not done (see `spacex.pp.rasterize`: spots off the tissue are left out, sections on top of
    each other are refused); for another `library_key` anew, with the same coordinates and grid. Genes with fewer than
    `Config.min_counts` counts are not embedded.

    Parameters
    ----------
    adata
        Spots × genes with raw counts and coordinates in ``obsm["spatial"]``.
    n_modules
        Number of modules, or ``"auto"``: the number that best predicts held-out genes.
    layer
        Layer with raw counts; ``"raw"`` is ``.raw`` where no layer has that name. Where it is not given and ``X`` does
        not hold counts, the first that does is used, and one line says so: ``layers["counts"]``, other usual names such
        as ``"raw_counts"`` or ``"umi"``, then ``.raw``, which may have more genes: they count in the library sizes.
        Without counts ``X`` is treated as intensities, with a warning.
    library_key
        Column of ``obs`` that names the section of each spot: one embedding over several sections.
    config
        Settings of the method.
    device
        ``"auto"`` (the GPU where there is one), ``"cpu"`` or ``"cuda"``.
    seed
        Seed of every random choice.
    progress
        Whether to show progress on stderr.

    Returns
    -------
    The fitted `SpaCEX`.

    Raises
    ------
    InputError
        If counts, coordinates, names or arguments cannot be used; before any work, and with `adata` unchanged.

    Notes
    -----
    Writes ``varm["X_spacex"]`` (G, D) float32: the direction is the pattern, the norm the strength of the spatial
    signal (about one where there is none), NaN for genes that are not embedded; ``obsm["spacex_components"]`` (S, D)
    float32: the weighted components of maps that the dimensions stand for, zero off the tissue;
    ``var["spacex_module"]``, numbered by size, with ``"unassigned"`` for genes without a clear pattern;
    ``var["spacex_module_prob"]``, the posterior probability; ``uns["spacex"]``. With several sections also
    ``varm["X_spacex_sections"]`` (G, n_sections, D), in the sorted order of their names: each gene in each section
    alone, in the same space, whose coordinates need not align.
    Removes ``varp["spacex_interactions"]`` of an earlier embedding.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> adata.varm["X_spacex"].shape[0], adata.var["spacex_module"].nunique() <= 4
    (80, True)
    """
    _adata.check_adata(adata, writes=True)
    config = config if config is not None else Config()
    check_instance(config, Config, name="config")
    _adata.check_genes_and_spots(adata)
    n_modules = check_n_modules(n_modules, high=adata.n_vars)
    seed, progress = check_seed(seed), check_bool(progress, name="progress")
    check_name(library_key, name="library_key")
    resolve_device(device)
    with _adata.restore_on_error(adata):
        pp.require_grid(adata, config=config, library_key=library_key)
        images, source = _adata.choose_images(adata, layer, config=config, fresh=True)
        stored_layer = "" if (layer, source) == (None, "X") else source
        images, embedded = _genes_to_embed(adata, images, config, n_modules)
        model = SpaCEX(config, n_modules=n_modules, device=device, seed=seed, progress=progress)
        z = model.fit_transform(images)
        null = null_probability(np.linalg.norm(z, axis=1), model.null_shape_)
        found = assign(posterior(model.mixture_, z, null), config.background_threshold)
        _adata.write_embedding(adata, embedded, z)
        _adata.write_components(adata, model.components(), _adata.read_pixel_of_spot(adata, images))
        several = len(images.layout.grids) > 1
        _adata.write_section_embeddings(adata, embedded, model.transform_sections(images) if several else None)
        _adata.write_modules(adata, embedded, found.module, found.probability)
        learnt = {"n_modules": model.n_modules_, "dimensions": z.shape[1], "null_shape": model.null_shape_}
        _adata.write_uns(
            adata,
            seed=seed,
            parameters=config.to_dict(),
            embed={"layer": stored_layer, "seed": seed, "is_count": images.is_count, **learnt},
            history=model.history_.columns(),
        )
    return model


def _genes_to_embed(
    adata: AnnData, images: GeneImages, config: Config, n_modules: int | Literal["auto"]
) -> tuple[GeneImages, np.ndarray]:
    """Images of the genes that have enough counts, in more than one pixel, to have a map; and their numbers.

    In the order of their names, so that sums and random starts are those of any other order of the same genes.
    """
    total = np.asarray(images.counts.sum(axis=0)).ravel()
    least = config.min_counts if images.is_count else 0.0
    embedded = _adata.indices_sorted_by_name(adata, (total >= least) & (np.diff(images.counts.indptr) > 1))
    wanted = 2 if n_modules == "auto" else max(2, n_modules)
    if len(embedded) < wanted:
        raise InputError(
            f"{len(embedded)} gene(s) have at least {config.min_counts} counts, in more than one place; "
            f"n_modules={n_modules!r} needs {wanted}: pass more genes, or config=Config(min_counts=...)"
        )
    _adata.check_working_memory(images, "embedding")
    return images.take(embedded), embedded
