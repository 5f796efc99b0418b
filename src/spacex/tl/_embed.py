"""`embed`: an embedding and a module for every gene."""

from __future__ import annotations

from typing import Literal

import numpy as np
from anndata import AnnData

from spacex import _adata, pp
from spacex._config import Config
from spacex._infra.errors import InputError
from spacex._infra.settings import resolve_settings
from spacex._infra.validation import check_bool, check_n_modules, check_name, check_seed
from spacex.embedding.context import resolve_device
from spacex.embedding.estimator import SpaCEX
from spacex.imaging.gene_images import GeneImages
from spacex.tl._reference import ReferenceArgument, resolve_reference, write_reference_results


def embed(
    adata: AnnData,
    *,
    n_modules: int | Literal["auto"] = "auto",
    layer: str | None = None,
    library_key: str | None = None,
    reference: ReferenceArgument = "auto",
    config: Config | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: bool = True,
) -> SpaCEX:
    """Compute an embedding of genes in which similar vectors mean spatial co-expression, and modules of genes.

    Calls `spacex.pp.rasterize` if `adata` has no grid, or with the same coordinates and grid if the grid has another
    `library_key`. Spots outside the tissue are excluded, and overlapping sections raise an error. Genes with fewer than
    `Config.min_counts` counts are not embedded.

    Parameters
    ----------
    adata
        Spots × genes with raw counts and coordinates in ``obsm["spatial"]``.
    n_modules
        Number of modules, or ``"auto"``: the number that predicts held-out genes well, without modules that genes
        without a pattern form by chance.
    layer
        Layer with raw counts; ``"raw"`` means ``.raw`` if no layer has that name. By default ``X`` if it contains
        counts, else, with a log message, the first of these that does: ``layers["counts"]``, layers with other common
        names such as ``"raw_counts"`` or ``"umi"``, and ``.raw``, whose additional genes count in the library sizes.
        Without any counts, ``X`` is treated as intensities, with a warning.
    library_key
        Column of ``obs`` with the section of each spot; the sections share one embedding.
    reference
        What other sections know about genes: ``"auto"`` (the shipped reference of the species that the gene symbols
        tell; none if they tell none), ``"human"``, ``"mouse"``, a `Reference`, the path of a saved one, or None (this
        section alone). Its weight is chosen on halves of the counts of this section, down to zero. If the reference
        contains this section, by the counts of its pixels, the group of the section (tissue and technology) is left
        out with a warning.
    config
        Settings of the method.
    device
        ``"auto"`` (the GPU if available), ``"cpu"`` or ``"cuda"``.
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
        If counts, coordinates, names, the reference or arguments are invalid; `adata` is unchanged.

    Notes
    -----
    Writes:

    - ``varm["X_spacex"]`` (G, D) float32: the direction is the pattern, the norm is the strength of the spatial signal
      (about one without a signal); NaN for genes that are not embedded. A reference changes directions only.
    - ``varm["X_spacex_without_reference"]`` (G, D) float32: the embedding from this section alone, if a reference
      changed it. Modules and strength are computed from it.
    - ``varm["X_spacex_cofunction"]`` (G, D') float32: vectors for questions about function, the components of this
      section beside the vectors of the reference; NaN for genes without either.
    - ``var["spacex_from_reference"]``: whether a gene is not embedded and its vector for function comes from the
      reference alone.
    - ``obsm["spacex_components"]`` (S, D) float32: the spatial pattern of each dimension; zero outside the tissue.
    - ``var["spacex_module"]``: module, numbered by evidence (the expected number of correctly assigned genes), or
      ``"unassigned"`` where no module has a probability above `Config.min_module_prob`, 0.5 by default: the gene has
      no clear spatial pattern, too few counts to tell, or lies between modules.
    - ``var["spacex_module_prob"]``: probability that the assignment, to the module or to none, is correct. It is
      calibrated by genes that are redrawn without a pattern and take part in the fit.
    - ``var["spacex_expression_level"]``: group of genes by total counts; null genes are compared within it.
    - ``varm["X_spacex_sections"]`` (G, n_sections, D), for several sections in the sorted order of their names: the
      embedding of each gene in each section, in the same space. Coordinates of the sections need not be aligned.
    - ``uns["spacex"]``: parameters, grid, history, versions, seed, and the embedding of the redrawn genes; in
      ``["reference"]``, its name, digest, weight, and the agreement of halves of the counts with and without it: the
      correlation of the cosines of gene pairs.

    Removes ``varp["spacex_interactions"]`` and the stability of modules of an earlier embedding.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> adata.varm["X_spacex"].shape[0], adata.var["spacex_module"].nunique() <= 4
    (80, True)
    """
    _adata.prepare_adata(adata, writes=True)
    config = resolve_settings(config, Config, name="config")
    _adata.check_genes_and_spots(adata)
    n_modules = check_n_modules(n_modules, high=adata.n_vars)
    seed, progress = check_seed(seed), check_bool(progress, name="progress")
    check_name(library_key, name="library_key")
    resolve_device(device)
    named_reference = resolve_reference(reference, adata)
    with _adata.restore_on_error(adata):
        pp.require_grid(adata, config=config, library_key=library_key)
        images, source = _adata.choose_images(adata, layer, config=config, fresh=True)
        stored_layer = "" if (layer, source) == (None, "X") else source
        images, embedded = _genes_to_embed(adata, images, config, n_modules)
        model = SpaCEX(config, n_modules=n_modules, device=device, seed=seed, progress=progress).fit(images)
        null_with_reference = write_reference_results(adata, embedded, model, images, named_reference)
        _adata.write_components(adata, model.components(), _adata.read_pixel_of_spot(adata, images))
        has_sections = len(images.layout.grids) > 1
        _adata.write_section_embeddings(adata, embedded, model.transform_sections(images) if has_sections else None)
        _adata.write_modules(adata, embedded, model.labels_, model.probabilities_)
        _adata.write_expression_level(adata, embedded, model.levels_)
        fitted = {
            "n_modules": model.n_modules_,
            "dimensions": model.embedding_.shape[1],
        }
        state = model.state_
        null_genes = {"embedding": state.null_embedding, "level": state.null_level, "n_smooth": state.scale.n_smooth}
        if null_with_reference is not None:
            null_genes["with_reference"] = null_with_reference
        _adata.write_uns(
            adata,
            seed=seed,
            parameters=config.to_dict(),
            embed={"layer": stored_layer, "seed": seed, "is_count": images.is_count, **fitted},
            history=model.history_.columns(),
            null_genes=null_genes,
            modules=None,
            module_stability=None,
        )
    return model


def _genes_to_embed(
    adata: AnnData, images: GeneImages, config: Config, n_modules: int | Literal["auto"]
) -> tuple[GeneImages, np.ndarray]:
    """Return images of the genes with enough counts, in more than one pixel, and the indices of these genes.

    Genes are sorted by name, so that results do not depend on their order in `adata`.
    """
    embedded = _adata.indices_sorted_by_name(adata, images.has_enough_counts(config.min_counts))
    min_genes = 2 if n_modules == "auto" else max(2, n_modules)
    if len(embedded) < min_genes:
        raise InputError(
            f"{len(embedded)} gene(s) have at least {config.min_counts} counts, in more than one pixel; "
            f"n_modules={n_modules!r} needs {min_genes}: pass more genes, or config=Config(min_counts=...)"
        )
    _adata.check_working_memory(images, "embedding")
    return images.take(embedded), embedded
