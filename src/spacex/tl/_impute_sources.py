"""`impute` from gene vectors of references, several sections, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError, safe_repr
from spacex.gene_names import GeneNames
from spacex.imputation import (
    Cells,
    CovarianceReference,
    ImputationParams,
    find_requested_genes,
    fit_reference,
    match_genes,
    shared_genes,
    shares_name,
)
from spacex.imputation.vector_imputer import VectorImputer, fit_vector_imputer
from spacex.reference import Reference
from spacex.reference.shipped import SPECIES
from spacex.tl._impute_genes import check_requested, panel_values
from spacex.tl._impute_positions import spots_in_tissue, target_positions
from spacex.tl._imputed_result import check_size, empty_result, fill, write_record
from spacex.tl._reference import resolve_reference

ReferenceSource: TypeAlias = AnnData | Reference | str | PathLike[str]

MIN_PANEL = 30
"""Minimum number of panel genes that a `Reference` knows."""


@dataclass(frozen=True)
class GeneSources:
    """Gene vectors of references and sections.

    Attributes
    ----------
    genes
        Names of all genes that any of them measures.
    names
        Name of each group of vectors.
    groups
        Vectors (G, D) of the genes in each group; zero where a gene was not measured.
    levels
        Mean and standard deviation (G,) of the log-normalized genes, over sections; None if any is relative.
    """

    genes: GeneNames
    names: list[str]
    groups: list[np.ndarray]
    levels: tuple[np.ndarray, np.ndarray] | None


def resolve_sources(reference: object, target: AnnData) -> list[tuple[str, AnnData | Reference]]:
    """Name and value of each source that the argument `reference` means; checks each."""
    if isinstance(reference, (list, tuple)):
        if not reference:
            raise InputError("reference is empty; pass a section, a Reference, or a list of them")
        sources = [source for one in reference for source in resolve_sources(one, target)]
        return [(f"{number}: {name}", source) for number, (name, source) in enumerate(sources, start=1)]
    is_path = isinstance(reference, (str, PathLike)) and str(reference) not in SPECIES
    if is_path and Path(str(reference)).suffix != ".safetensors":
        raise InputError(
            f"reference={safe_repr(reference)} is not a reference; pass an AnnData, such as sx.read(path), a "
            "Reference, 'human', 'mouse', or the path of a saved Reference, which ends with .safetensors"
        )
    if isinstance(reference, (Reference, str, PathLike)):
        named = resolve_reference(reference, target)
        assert named is not None
        return [named]
    _adata.prepare_adata(reference, name="reference")
    assert isinstance(reference, AnnData)
    return [("section", reference)]


def impute_from_sources(
    target: AnnData,
    sources: list[tuple[str, AnnData | Reference]],
    *,
    genes: Sequence[str] | None,
    aliases: Mapping[str, str] | None,
    counts: bool,
    layer: str | None,
    spatial_key: str,
    library_key: str | None,
    path: Path | None,
    params: ImputationParams,
    seed: int,
    progress: bool,
) -> AnnData:
    """Predict genes of the target from gene vectors of the sources; arguments as for `spacex.tl.impute`."""
    has_reference = any(isinstance(source, Reference) for _, source in sources)
    if counts and has_reference:
        raise InputError(
            "counts=True needs sections as reference: a Reference does not hold expression levels; omit it"
        )
    target = spots_in_tissue(target, "target")
    _adata.check_genes_and_spots(target)
    xy, section = target_positions(target, spatial_key, library_key)
    rng = np.random.default_rng(seed)
    known = _read_sources(sources, rng, params, counts=counts)
    target_genes = _adata.read_gene_names(target)
    target_genes = target_genes.rename({str(name): str(new) for name, new in (aliases or {}).items()})
    gene_index = None if genes is None else find_requested_genes(check_requested(genes), known.genes)[0]
    if gene_index is not None:
        check_size(target.n_obs, len(gene_index), path)
        usable = np.flatnonzero(~shares_name(target_genes, known.genes.take(gene_index)))
    else:
        usable = np.arange(target.n_vars)
    panel_in_usable, panel_index = shared_genes(target_genes.take(usable), known.genes)
    _check_panel(len(panel_index), has_reference)
    panel_in_target = usable[panel_in_usable]
    cells = Cells.from_values(panel_values(target, usable, panel_in_usable, layer), xy, section, params)
    fitted = fit_vector_imputer(known.groups, cells, panel_index, rng, params)
    if gene_index is None:
        gene_index = _reliable_genes(fitted, np.flatnonzero(~shares_name(known.genes, target_genes)), params)
        check_size(target.n_obs, len(gene_index), path)
    levels = () if known.levels is None else tuple(level[gene_index] for level in known.levels)
    imputer = fitted.imputer(gene_index, *levels)
    names = list(known.genes.names[gene_index])
    result = empty_result(target, names, known.genes.symbols[gene_index], imputer.reliability, params)
    held_out = imputer.held_out.set_axis(target.var_names[panel_in_target].astype(str))
    held_out = target_genes.with_symbols(held_out, symbol=panel_in_target)
    weights = pd.DataFrame({"weight": fitted.group_weights}, index=known.names)
    write_record(result, imputer, held_out, counts=counts, seed=seed, params=params, sources=weights)
    return fill(result, imputer, cells, path, counts=counts, progress=progress)


def _check_panel(n_panel: int, has_reference: bool) -> None:
    if has_reference and n_panel < MIN_PANEL:
        raise InputError(
            f"the reference knows {n_panel} gene(s) of the panel; at least {MIN_PANEL} are needed: pass a section of "
            "the same tissue as reference instead"
        )


def _reliable_genes(fitted: VectorImputer, candidates: np.ndarray, params: ImputationParams) -> np.ndarray:
    """The most reliable candidate genes, in their order; at most `params.max_reported_genes`."""
    reliability = fitted.reliability(candidates)
    order = np.argsort(-reliability, kind="stable")[: params.max_reported_genes]
    chosen = np.sort(order[reliability[order] >= params.min_reliability])
    if not len(chosen):
        raise InputError(
            f"no unmeasured gene has a reliability of at least {params.min_reliability:g}; pass genes= to predict some "
            "of them anyway, or another reference"
        )
    return candidates[chosen]


def _read_sources(
    sources: list[tuple[str, AnnData | Reference]], rng: np.random.Generator, params: ImputationParams, *, counts: bool
) -> GeneSources:
    """Names and vectors of the genes of all sources; references name the genes first."""
    ordered = sorted(sources, key=lambda named: isinstance(named[1], AnnData))
    genes = GeneNames(np.array([], dtype=object), np.array([], dtype=object))
    names: list[str] = []
    vectors: list[tuple[np.ndarray, np.ndarray]] = []
    sections: list[tuple[np.ndarray, CovarianceReference]] = []
    for name, source in ordered:
        if isinstance(source, Reference):
            genes, rows = _add_genes(genes, GeneNames(source.genes, source.genes))
            names += [f"{name}: {group}" for group in source.groups]
            vectors += [(rows, group) for group in source.group_vectors(source.genes)]
        else:
            section_genes, fitted = _fit_section(source, rng, params, counts=counts)
            genes, rows = _add_genes(genes, section_genes)
            names.append(name)
            vectors.append((rows, fitted.loadings))
            sections.append((rows, fitted))
    groups = [_place(rows, values, len(genes)) for rows, values in vectors]
    levels = _mean_levels(sections, len(genes)) if len(sections) == len(sources) else None
    return GeneSources(genes, names, groups, levels)


def _fit_section(
    section: AnnData, rng: np.random.Generator, params: ImputationParams, *, counts: bool
) -> tuple[GeneNames, CovarianceReference]:
    """Gene names and covariances of a section."""
    section = spots_in_tissue(section, "reference")
    _adata.check_genes_and_spots(section)
    matrix, is_count = _adata.choose_matrix(section, None)
    if counts and not is_count:
        raise InputError("counts=True needs references with raw counts, in X or layers['counts']; omit it")
    return _adata.read_gene_names(section), fit_reference(matrix, is_count, rng, params=params)


def _add_genes(genes: GeneNames, other: GeneNames) -> tuple[GeneNames, np.ndarray]:
    """Genes with those of another source added, and the row (n,) of each of the other genes; -1 if ambiguous."""
    if not len(genes):
        return other, np.arange(len(other))
    rows = np.full(len(other), -1)
    first, second = match_genes(genes, other)
    rows[second] = first
    is_new = ~shares_name(other, genes)
    rows[is_new] = len(genes) + np.arange(is_new.sum())
    new = other.take(is_new)
    names, symbols = (np.concatenate(pair) for pair in ((genes.names, new.names), (genes.symbols, new.symbols)))
    blank, new_blank = np.full(len(genes), "", dtype=object), np.full(len(new), "", dtype=object)
    pairs = zip_longest(genes.aliases, new.aliases)
    aliases = [np.concatenate([blank if a is None else a, new_blank if b is None else b]) for a, b in pairs]
    return GeneNames(names, symbols, tuple(aliases)), rows


def _place(rows: np.ndarray, values: np.ndarray, n_genes: int) -> np.ndarray:
    """Values (n, D) at rows (n,) of an array (G, D) float32, zero elsewhere; rows of -1 are left out."""
    placed = np.zeros((n_genes, values.shape[1]), dtype=np.float32)
    placed[rows[rows >= 0]] = values[rows >= 0]
    return placed


def _mean_levels(sections: list[tuple[np.ndarray, CovarianceReference]], n_genes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (G,) of genes, averaged over the sections that measure them."""
    total, n_sections = np.zeros((n_genes, 2)), np.zeros(n_genes)
    for rows, fitted in sections:
        is_placed = rows >= 0
        total[rows[is_placed]] += np.stack([fitted.mean, fitted.scale], axis=1)[is_placed]
        n_sections[rows[is_placed]] += 1
    mean, scale = (total / np.maximum(n_sections, 1)[:, None]).T
    return mean, scale
