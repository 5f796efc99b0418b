"""Data for the script of the report: counts of each gene in each unit, embeddings, components and the gene table.

Counts up to 255 are stored exactly; larger counts and intensities are rounded to one byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex.get import ModuleMaps, embedded_images, interaction_partners
from spacex.imaging.gene_images import BATCH_GENES, GeneImages
from spacex.patterns import spanned_basis
from spacex.pl.colors import category_colors, robust_norm
from spacex.report._display_units import DisplayUnits, display_units, neighbor_units, unit_annotations
from spacex.report._packed_arrays import PackedArrays, to_bytes, to_smallest_int
from spacex.stats import group_mean, l2_normalize

MAX_CHARACTERS = 18_000_000
"""Maximum size of the packed counts; the genes with the weakest patterns are left out."""

N_GENES_PER_CHUNK = 64
N_PARTNERS = 12
MAX_BYTE = 255


@dataclass(frozen=True)
class Payload:
    """Arrays, JSON metadata and display units of the report."""

    arrays: PackedArrays
    metadata: dict[str, Any]
    units: DisplayUnits


def build_payload(adata: AnnData, genes: pd.DataFrame, modules: list[ModuleMaps]) -> Payload:
    """Return the data of the report.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    genes
        Table of `spacex.get.gene_table`.
    modules
        Maps of all modules.
    """
    images = embedded_images(adata)
    units = display_units(adata, images)
    arrays = PackedArrays()
    names = _adata.read_gene_names(adata)
    for column in genes.columns.drop(["gene", "symbol", "module"], errors="ignore"):
        arrays.add(f"column {column}", genes[column].to_numpy(dtype=np.float32))
    _add_units(arrays, units)
    _add_counts(arrays, units, images.is_count, np.nan_to_num(genes["strength"].to_numpy(), nan=-1.0))
    annotations = _add_annotations(arrays, adata, units)
    module_list = _add_modules(arrays, adata, units, modules)
    _add_embedding(arrays, adata, images)
    _add_cofunction(arrays, adata)
    _add_interactions(arrays, adata)
    metadata: dict[str, Any] = {
        "genes": names.names.tolist(),
        "symbols": names.symbols.tolist() if names.has_symbols else None,
        "labels": {int(gene): names.labels[gene] for gene in np.flatnonzero(names.labels != names.symbols)},
        "module": genes["module"].tolist(),
        "unassigned": _adata.keys.UNASSIGNED,
        "units": units.names.tolist(),
        "unitKind": units.kind,
        "isCount": images.is_count,
        "theta": images.theta,
        "nGenesPerChunk": N_GENES_PER_CHUNK,
        "annotations": annotations,
        "modules": module_list,
        "shapes": arrays.shapes,
    }
    return Payload(arrays, metadata, units)


def _add_units(arrays: PackedArrays, units: DisplayUnits) -> None:
    arrays.add("picture", to_smallest_int(units.picture))
    arrays.add("neighbors", to_smallest_int(neighbor_units(units)))
    arrays.add("library size", units.library_size.astype(np.float32))
    arrays.add("pixel", to_smallest_int(units.pixel))


def _add_counts(arrays: PackedArrays, units: DisplayUnits, is_count: bool, strength: np.ndarray) -> None:
    """Add the counts in chunks of genes, the strongest first, until they exceed `MAX_CHARACTERS`.

    ``row`` (G,) is the row of each gene in the chunks, -1 for genes that are left out; ``max count`` (G,) the maximum.
    A byte is the count itself if no count of the gene exceeds 255, else 255 √(count / maximum). The byte of an
    intensity is 255 intensity / maximum.
    """
    max_count = np.asarray(units.matrix.max(axis=0).todense(), dtype=np.float64).ravel()
    order = np.argsort(-strength, kind="stable")
    row, size = np.full(len(order), -1), 0
    for chunk, start in enumerate(range(0, len(order), N_GENES_PER_CHUNK)):
        genes = order[start : start + N_GENES_PER_CHUNK]
        values = units.matrix[:, genes].toarray().T.astype(np.float64)
        share = values / np.maximum(max_count[genes], 1e-12)[:, None]
        is_exact = (max_count[genes] <= MAX_BYTE)[:, None]
        coded = np.where(is_exact, values, MAX_BYTE * np.sqrt(share)) if is_count else MAX_BYTE * share
        size += arrays.add(f"counts {chunk}", np.rint(coded).astype(np.uint8))
        row[genes] = start + np.arange(len(genes))
        if size > MAX_CHARACTERS:
            break
    arrays.add("row", row.astype(np.int32))
    arrays.add("max count", max_count.astype(np.float32))


def _add_annotations(arrays: PackedArrays, adata: AnnData, units: DisplayUnits) -> list[dict[str, Any]]:
    """Add the category of each unit; return title, categories and colors."""
    annotations = unit_annotations(adata, units)
    for i, annotation in enumerate(annotations):
        arrays.add(f"annotation {i}", annotation.codes.astype(np.int16))
    return [{"title": a.title, "categories": list(a.colors), "colors": list(a.colors.values())} for a in annotations]


def _add_modules(
    arrays: PackedArrays, adata: AnnData, units: DisplayUnits, modules: list[ModuleMaps]
) -> list[dict[str, Any]]:
    """Add the mean map of each module; return name, color and size."""
    maps = np.zeros((len(modules), len(units)), dtype=np.uint8)
    for row, module in zip(maps, modules, strict=True):
        norm = robust_norm(module.mean)
        mean = group_mean(module.mean, units.unit_of_spot, len(units))
        row[:] = to_bytes(mean, float(norm.vmin or 0.0), float(norm.vmax or 1.0))
    arrays.add("modules", maps)
    colors = category_colors(list(_adata.read_modules(adata).cat.categories))
    return [{"name": module.name, "color": colors[module.name], "size": len(module.genes)} for module in modules]


def _add_embedding(arrays: PackedArrays, adata: AnnData, images: GeneImages) -> None:
    """Add the directions of the embedded genes and the components that patterns are projected on.

    The components (P, D) are stored as an orthonormal basis (P, r) and a rotation (r, D); ``length`` is the norm of
    each gene's residual map projected on the components. See `spacex.patterns`.
    """
    z = _adata.read_embedding(adata).astype(np.float64)
    embedded = np.flatnonzero(np.isfinite(z).all(axis=1))
    arrays.add("embedded", embedded.astype(np.int32))
    arrays.add("direction", np.rint(l2_normalize(z[embedded]) * 32767).astype(np.int16))
    if _adata.keys.COMPONENTS not in adata.obsm:
        return  # the embedding comes from another program: the page offers no patterns
    components = _adata.read_components(adata, _adata.read_pixel_of_spot(adata, images), images.n_pixels)
    basis = spanned_basis(components)
    length = np.empty(len(embedded))
    for genes, maps in images.take(embedded).batches(BATCH_GENES):
        length[genes] = np.linalg.norm(maps @ components, axis=1)
    arrays.add("basis", basis.astype(np.float32))
    arrays.add("rotation", (basis.T @ components).astype(np.float32))
    arrays.add("length", length.astype(np.float32))
    arrays.add("pixel library size", images.library.astype(np.float32))
    arrays.add("pixel section", images.layout.section.astype(np.int16))


def has_cofunction(adata: AnnData) -> bool:
    """Whether the report lists genes of similar function: only where they differ from those of similar pattern.

    Without a reference, the vectors for function are the components of the section with other weights.
    """
    return _adata.keys.COFUNCTION in adata.varm and _adata.has_reference(adata)


def _add_cofunction(arrays: PackedArrays, adata: AnnData) -> None:
    """Add the directions of the vectors for function, with one byte per dimension, and the genes that have one."""
    if not has_cofunction(adata):
        return
    vectors = _adata.read_cofunction(adata)
    max_entry = np.abs(vectors).max(axis=1)
    genes = np.flatnonzero(max_entry > 0)
    arrays.add("cofunction genes", genes.astype(np.int32))
    arrays.add("cofunction", np.rint(vectors[genes] / max_entry[genes, None] * 127).astype(np.int8))


def _add_interactions(arrays: PackedArrays, adata: AnnData) -> None:
    """Add the most probable partners (G, 12) of each gene, -1 for none, and their probabilities as bytes."""
    if _adata.keys.INTERACTIONS not in adata.varp:
        return
    pairs = interaction_partners(adata, n=N_PARTNERS)
    gene, rank = adata.var_names.get_indexer(pairs["gene"]), pairs.groupby("gene").cumcount()
    partner = np.full((adata.n_vars, N_PARTNERS), -1, dtype=np.int32)
    probability = np.zeros(partner.shape, dtype=np.uint8)
    partner[gene, rank] = adata.var_names.get_indexer(pairs["partner"])
    probability[gene, rank] = np.rint(255 * pairs["probability"])
    arrays.add("partner", partner)
    arrays.add("probability", probability)
