"""`impute`: unmeasured genes of a targeted section, from a reference that measures them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError, safe_repr
from spacex._infra.settings import resolve_settings
from spacex._infra.validation import check_bool, check_int, check_seed
from spacex.embedding.context import resolve_device
from spacex.imputation import Cells, ImputationParams, fit_reference, shared_genes, shares_name
from spacex.imputation.corrector import ResidualCorrector
from spacex.imputation.imputer import fit_imputer
from spacex.reference import Reference
from spacex.stats import l2_normalize, signal_share
from spacex.tl._embed import embed
from spacex.tl._impute_genes import genes_to_predict, panel_values
from spacex.tl._impute_positions import reference_positions, spots_in_tissue, target_positions
from spacex.tl._impute_sources import ReferenceSource, impute_from_sources, resolve_sources
from spacex.tl._imputed_result import check_size, empty_result, fill, write_record
from spacex.tl._stream import check_h5ad


def impute(
    target: AnnData,
    reference: ReferenceSource | Sequence[ReferenceSource],
    *,
    genes: Sequence[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    counts: bool = False,
    learned: bool | Literal["auto"] = "auto",
    rounds: int = 1,
    layer: str | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    path: str | os.PathLike[str] | None = None,
    params: ImputationParams | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> AnnData:
    """Predict unmeasured genes of a targeted section, with a reliability for each gene.

    A gene is predicted linearly from the panel genes of a cell and its neighborhood (12 nearest cells). The weights
    follow from gene covariances of the reference: of the principal components of its cells and, if it has coordinates,
    of the embedding of its genes. Covariances and ridge penalty are chosen on held-out panel genes, and the four best
    predictions are averaged. The sections need not be aligned.

    Without a matched section, pass a `spacex.Reference`: the weights follow from the similarity of the vectors of genes
    in its groups of sections. Groups that predict held-out panel genes better have larger weights. Several sections,
    or sections and a `spacex.Reference`, are combined in the same way.

    Parameters
    ----------
    target
        Cells × panel genes, raw counts or intensities. Coordinates are optional. Cells with ``obs["in_tissue"] == 0``
        are omitted, also from the result.
    reference
        Spots or dissociated cells × genes, of the same tissue and species. If it has ``obsm["spatial"]``, its genes are
        embedded, unless ``varm["X_spacex"]`` exists. Spots off the tissue are omitted; counts are chosen as in
        `spacex.tl.embed`. Or a `spacex.Reference`, ``"human"`` or ``"mouse"`` (the shipped ones), the path of a saved
        one, or a list of any of these.
    genes
        Reference genes to predict, by name or symbol. None: all that the target does not measure; with a
        `spacex.Reference` or several sections only those with a reliability of at least 0.1, and at most the 2,000 most
        reliable (settings ``min_reliability`` and ``max_reported_genes``). Ambiguous symbols are omitted with a
        warning. Measured values of these genes in the target are not used, so that predictions can be compared with
        them.
    aliases
        Renames target genes: name or symbol in the target -> name in the reference.
    counts
        Whether to return expected counts, at the median library size of the reference, instead of their log1p. Not
        possible with a `spacex.Reference`, which does not hold expression levels.
    learned
        Whether to add a learned correction to the linear prediction, by a generator with a memory that is trained
        against a critic on panel genes. It is used only if held-out panel genes gain. ``"auto"``: with at least 200
        panel genes; with fewer there was no gain (``docs/method.md``). Only with one section as reference.
    rounds
        Number of rounds of the learned correction. Genes most similar to the panel are corrected first and then join
        the generator's memory. The linear prediction does not depend on it.
    layer
        Layer of the target with its counts. None: chosen as in `spacex.tl.embed`.
    spatial_key
        Key of the target's coordinates, as in `spacex.pp.rasterize`.
    library_key
        Column of ``target.obs`` with section names. Neighbors are from the same section.
    path
        ``.h5ad`` file to which the result is written block by block. The returned AnnData is backed by it.
    params
        Settings of the method; None: the defaults of `spacex.ImputationParams`.
    seed
        Seed of the folds of held-out panel genes, and of the learned correction.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``, for the embedding of the reference and the learned correction.
    progress
        Whether to show progress on stderr.

    Returns
    -------
    AnnData
        Cells of the target in the tissue × predicted genes in the requested order, with ``obs`` and ``obsm`` of the
        target.

        - ``X``: float32, log1p of counts scaled to the median library size of the reference, at least zero
          (intensities: in the units of the reference). With a `spacex.Reference` the values are relative: the mean of a
          gene is zero and its standard deviation is the reliability (at least 0.01), so that they predict the
          standardized expression; levels of genes must not be compared.
        - ``var["reliability"]``: expected correlation with the truth, 0 to 1.
        - ``var["predictable"]``: whether the reliability is at least 0.1 and at least 5 reference cells express the
          gene. Other genes are predicted close to their mean.
        - ``var["spacex_imputed"]``: true; other functions warn where they use genes with this mark.
        - ``var["symbol"]``: symbols, if the reference has symbols that differ from the names.
        - ``uns["spacex"]["impute"]``: held-out panel genes with correlation and reliability, the candidates, the
          settings, and ``["values"]``: ``"log1p"``, ``"counts"`` or ``"relative"``. With a `spacex.Reference` or
          several sections also ``["sources"]``, the weight of each group.

    Raises
    ------
    InputError
        If fewer than 10 genes are shared (30 with a `spacex.Reference`) or the species differ, `genes` contains unknown
        or repeated genes, sections overlap, the result fits neither in memory (without `path`) nor on the disk of
        `path`, or no gene is reliable (without `genes`).

    Notes
    -----
    Genes are matched by name, then by Ensembl id, then by symbol, then ignoring case. Names may be identifiers in one
    of the two data sets and symbols in the other, if symbols are in a column of ``var`` such as ``"feature_name"``. For
    two species, first convert the names of one with a table of orthologs. Reliability is calibrated on panel genes,
    which are often selected for strong expression: it is less certain for genes unlike them.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> imputed = sx.tl.impute(adata[:, :80].copy(), adata, progress=False)
    >>> imputed.shape, bool(imputed.var["reliability"].between(0, 1).all())
    ((300, 40), True)

    Without a matched section:

    >>> sections = [sx.datasets.simulate_section(120, 300, 3, seed=seed, depth=2.0) for seed in range(2)]
    >>> reference = sx.Reference.fit(sections[:1], progress=False)
    >>> names = list(reference.genes[:3])
    >>> imputed = sx.tl.impute(sections[1], reference, genes=names, progress=False)
    >>> imputed.shape, imputed.uns["spacex"]["impute"]["values"]
    ((300, 3), 'relative')
    """
    _adata.prepare_adata(target, name="target")
    params = resolve_settings(params, ImputationParams)
    _check_settings(aliases, learned, rounds, seed)
    counts, progress = check_bool(counts, name="counts"), check_bool(progress, name="progress")
    resolve_device(device)
    sources = resolve_sources(reference, target)
    output_path = check_h5ad(path) if path is not None else None
    if len(sources) > 1 or isinstance(sources[0][1], Reference):
        if learned is True:
            raise InputError("learned=True needs one section as reference; omit it")
        return impute_from_sources(
            target, sources, genes=genes, aliases=aliases, counts=counts, layer=layer, spatial_key=spatial_key,
            library_key=library_key, path=output_path, params=params, seed=seed, progress=progress,
        )  # fmt: skip
    section_reference = sources[0][1]
    target, reference = spots_in_tissue(target, "target"), spots_in_tissue(section_reference, "reference")
    _adata.check_genes_and_spots(reference)
    _adata.check_genes_and_spots(target)
    xy, section = target_positions(target, spatial_key, library_key)
    matrix, is_count = _adata.choose_matrix(reference, None)
    if counts and not is_count:
        raise InputError("counts=True needs a reference with raw counts, in X or layers['counts']; omit it")
    reference_xy = reference_positions(reference) if is_count else None
    target_genes, reference_genes = _adata.read_gene_names(target), _adata.read_gene_names(reference)
    target_genes = target_genes.rename({str(name): str(new) for name, new in (aliases or {}).items()})
    gene_index, names = genes_to_predict(target_genes, reference_genes, genes)
    check_size(target.n_obs, len(names), output_path)
    usable = np.flatnonzero(~shares_name(target_genes, reference_genes.take(gene_index)))
    panel_in_usable, panel_index = shared_genes(target_genes.take(usable), reference_genes)
    panel_in_target = usable[panel_in_usable]
    cells = Cells.from_values(panel_values(target, usable, panel_in_usable, layer), xy, section, params)
    rng = np.random.default_rng(seed)
    embedding = _gene_embedding(reference, matrix, reference_xy, seed=seed, device=device) if is_count else None
    covariances = fit_reference(matrix, is_count, rng, embedding=embedding, params=params)
    corrector = None
    if learned is True or (learned == "auto" and len(panel_index) >= params.min_panel_genes):
        corrector = ResidualCorrector(params, seed=seed, device=resolve_device(device), progress=progress)
    imputer = fit_imputer(covariances, cells, panel_index, gene_index, rng, params, corrector=corrector, rounds=rounds)
    result = empty_result(target, names, reference_genes.symbols[gene_index], imputer.reliability, params)
    held_out = imputer.held_out.set_axis(target.var_names[panel_in_target].astype(str))
    held_out = target_genes.with_symbols(held_out, symbol=panel_in_target)
    write_record(result, imputer, held_out, counts=counts, seed=seed, params=params)
    return fill(result, imputer, cells, output_path, counts=counts, progress=progress)


def _check_settings(aliases: object, learned: object, rounds: object, seed: object) -> None:
    check_seed(seed)
    check_int(rounds, name="rounds", low=1)
    if aliases is not None and not isinstance(aliases, Mapping):
        raise InputError(
            f"aliases={safe_repr(aliases)} is not allowed; pass a dict, name in the target: name in the reference"
        )
    if not isinstance(learned, (bool, str)) or learned not in (True, False, "auto"):
        raise InputError(f"learned={safe_repr(learned)} is not allowed; pass True, False or 'auto'")


def _gene_embedding(
    reference: AnnData, counts: object, xy: np.ndarray | None, *, seed: int, device: str
) -> np.ndarray | None:
    """Embeddings (G, D) of the reference genes, scaled so that inner products are noise-free covariances of maps.

    The squared length is the share of a map that is signal. If the reference has no embedding, `counts` (S, G) at
    positions `xy` (S, 2) are embedded; without positions the result is None.
    """
    if _adata.keys.EMBEDDING not in reference.varm:
        if xy is None:
            return None
        var, obs = pd.DataFrame(index=reference.var_names), pd.DataFrame(index=reference.obs_names)
        reference = AnnData(counts, obs=obs, var=var, obsm={"spatial": xy})
        embed(reference, n_modules=2, reference=None, seed=seed, device=device, progress=False)
    z = np.nan_to_num(_adata.read_embedding(reference)).astype(np.float64)
    return l2_normalize(z) * np.sqrt(signal_share(np.linalg.norm(z, axis=1, keepdims=True)))
