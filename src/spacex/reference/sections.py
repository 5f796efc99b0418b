"""The vectors of the genes of one section, from an AnnData or a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from anndata import AnnData
from anndata.utils import make_index_unique

from spacex import _adata, pp
from spacex._config import Config
from spacex._infra.errors import InputError
from spacex.gene_names import GeneNames, species_of_names
from spacex.io import read
from spacex.reference.factors import center, truncate
from spacex.reference.fingerprint import fingerprint
from spacex.reference.record_files import SUFFIX, SectionRecord, load_record
from spacex.reference.sources import SectionSource
from spacex.reference.state import GROUP_DIMS, SectionInfo

MIN_GENES = 50
"""Minimum number of genes with enough counts; the vectors of fewer genes say little about other sections."""

SPECIES = {"homo sapiens": "human", "mus musculus": "mouse"}


@dataclass(frozen=True)
class SectionSettings:
    """Settings that all sections share: see `spacex.Reference.fit`."""

    library_key: str | None = None
    layer: str | None = None
    seed: int = 0


def section_records(source: SectionSource, settings: SectionSettings) -> Iterator[SectionRecord]:
    """Read a source and yield its sections: one, or one per value of ``obs[library_key]``.

    A file of a record is a source as well.

    Raises
    ------
    InputError
        If a section cannot be used; the message names it.
    """
    name, data, key = source.name, source.data, settings.library_key
    try:
        if not isinstance(data, AnnData) and data.suffix == SUFFIX:
            record = load_record(data)
            yield replace(record, info=replace(record.info, name=name))
            return
        adata, names = _shallow_copy(data if isinstance(data, AnnData) else read(data))
        if key is None:
            yield _to_record(name, adata, names, settings)
            return
        section, parts = _adata.read_sections(adata, key)
        for number, part in enumerate(parts):
            name = f"{source.name}/{part}"
            yield _to_record(name, adata[section == number].copy(), names, settings)
    except InputError as error:
        raise InputError(f"section {name!r}: {error}") from error


def _shallow_copy(adata: AnnData) -> tuple[AnnData, GeneNames]:
    """Copy of an AnnData that shares its arrays and has unique names, and the original names of the genes.

    Slots written to the copy do not appear in the original.
    """
    if adata.isbacked:
        adata = adata.to_memory()
    obs, var = (columns.to_memory() if hasattr(columns, "to_memory") else columns for columns in (adata.obs, adata.var))
    names, var = GeneNames.from_table(var), var.copy()
    var.index = make_index_unique(var.index.astype(str))
    layers = {name: matrix for name, matrix in adata.layers.items() if name is not None}
    copy = AnnData(
        adata.X, obs=obs.copy(), var=var, uns=dict(adata.uns), obsm=dict(adata.obsm), layers=layers,
        raw=adata.raw,
    )  # fmt: skip
    return copy, names


def _to_record(name: str, adata: AnnData, names: GeneNames, settings: SectionSettings) -> SectionRecord:
    """Compute the vectors of the genes of a section; its slots may be changed."""
    _adata.check_genes_and_spots(adata)
    genes, vectors, hashes = _gene_vectors(adata, names, settings)
    info = SectionInfo(
        name=name,
        species=species_of_names(genes) or _uns_species(adata.uns),
        **{key: _uns_text(adata.uns, key) for key in ("tissue", "technology", "group", "source", "licence")},
        n_spots=int(_adata.read_tissue_mask(adata).sum()),
        n_genes=len(genes),
        fingerprint=hashes,
    )
    return SectionRecord(info, genes, truncate(center(vectors), GROUP_DIMS))


def _gene_vectors(adata: AnnData, names: GeneNames, settings: SectionSettings) -> tuple[np.ndarray, np.ndarray, str]:
    """Symbols (G_s,), sorted and unique, of the genes with enough counts, unit vectors (G_s, D), and a fingerprint.

    Of several genes with the same symbol, the first of those with the most counts is used.
    """
    from spacex.embedding.context import FitContext, one_thread, resolve_device
    from spacex.embedding.section_vectors import section_vectors

    config = Config()
    pp.require_grid(adata, config=config, library_key=settings.library_key)
    images, _ = _adata.choose_images(adata, settings.layer, config=config, fresh=True)
    total = np.asarray(images.counts.sum(axis=0)).ravel()
    is_used = images.has_enough_counts(config.min_counts) & (names.symbols != "")
    embedded = _adata.indices_sorted_by_name(adata, is_used)
    by_total = np.argsort(-total[embedded], kind="stable")
    genes, first = np.unique(names.symbols[embedded][by_total].astype(str), return_index=True)
    if len(genes) < MIN_GENES:
        raise InputError(
            f"{len(genes)} gene(s) have at least {config.min_counts} counts, in more than one pixel; a section of a "
            f"reference needs {MIN_GENES}: leave it out"
        )
    _adata.check_working_memory(images, "embedding")
    with one_thread():  # the bytes of the result must not depend on the number of threads
        context = FitContext(resolve_device("cpu"), seed=settings.seed)
        vectors = section_vectors(images.take(embedded), config, context)
    hashes = fingerprint(images.counts[:, embedded], names.symbols[embedded])
    return genes.astype(object), vectors[by_total[first]], hashes


def _uns_text(uns: Mapping[str, Any], key: str) -> str:
    value = uns.get(key, "")
    return str(value).strip() if isinstance(value, str) else ""


def _uns_species(uns: Mapping[str, Any]) -> str:
    species = _uns_text(uns, "species").lower()
    return SPECIES.get(species, species)
