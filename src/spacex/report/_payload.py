"""What the page computes with: counts of every gene at every place, embeddings, components, and the table of genes.

Counts up to 255 are kept as they are, so that the page shows what was measured; larger ones, and intensities, are
kept to a byte.
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
from spacex.report._display_units import DisplayUnits, display_units_of, neighbor_units, shown_annotations
from spacex.report._packed_arrays import PackedArrays, bytes_of, smallest_int
from spacex.stats import group_mean, l2_normalize

MAX_CHARACTERS = 18_000_000
"""For counts; the weakest genes have no map where they do not fit."""

CHUNK = 64
PARTNERS = 12
EXACT = 255


@dataclass(frozen=True)
class Payload:
    """Arrays, and in words and short lists the rest that the page needs."""

    blocks: PackedArrays
    notes: dict[str, Any]
    places: DisplayUnits


def payload(adata: AnnData, genes: pd.DataFrame, cards: list[ModuleMaps]) -> Payload:
    """Everything for the page, from the table of `gene_table` and the maps of all modules, the largest first."""
    images = embedded_images(adata)
    places = display_units_of(adata, images)
    blocks = PackedArrays()
    known = _adata.read_gene_names(adata)
    notes: dict[str, Any] = {
        "genes": known.names.tolist(), "symbols": known.symbols.tolist() if known.has_symbols else None,
        "labels": {int(gene): known.labels[gene] for gene in np.flatnonzero(known.labels != known.symbols)},
        "module": genes["module"].tolist(), "unassigned": _adata.keys.UNASSIGNED,
        "places": places.names.tolist(), "isCount": images.is_count, "theta": images.theta, "chunk": CHUNK,
    }  # fmt: skip
    for name in genes.columns.drop(["gene", "symbol", "module"], errors="ignore"):
        blocks.add(f"column {name}", genes[name].to_numpy(dtype=np.float32))
    _add_places(blocks, places)
    _add_counts(blocks, places, images.is_count, np.nan_to_num(genes["strength"].to_numpy(), nan=-1.0))
    notes["annotations"] = _add_annotations(blocks, adata, places)
    notes["modules"] = _add_modules(blocks, adata, places, cards)
    _add_embedding(blocks, adata, images)
    _add_interactions(blocks, adata)
    return Payload(blocks, {**notes, "shapes": blocks.shapes}, places)


def _add_places(blocks: PackedArrays, places: DisplayUnits) -> None:
    blocks.add("picture", smallest_int(places.picture))
    blocks.add("near", smallest_int(neighbor_units(places)))
    blocks.add("library", places.library.astype(np.float32))
    blocks.add("pixel", smallest_int(places.pixel))


def _add_counts(blocks: PackedArrays, places: DisplayUnits, is_count: bool, strength: np.ndarray) -> None:
    """Counts in chunks of genes, the strongest first; ``slot`` (G,) says where a gene is, ``most`` (G,) its maximum.

    A byte is the count itself where no count of the gene exceeds it, else 255 √(count / most); an intensity's is
    255 intensity / most.
    """
    most = np.asarray(places.matrix.max(axis=0).todense(), dtype=np.float64).ravel()
    order = np.argsort(-strength, kind="stable")
    slot, size = np.full(len(order), -1), 0
    for k, start in enumerate(range(0, len(order), CHUNK)):
        chosen = order[start : start + CHUNK]
        values = places.matrix[:, chosen].toarray().T.astype(np.float64)
        share = values / np.maximum(most[chosen], 1e-12)[:, None]
        exact = (most[chosen] <= EXACT)[:, None]
        coded = np.where(exact, values, EXACT * np.sqrt(share)) if is_count else EXACT * share
        size += blocks.add(f"counts {k}", np.rint(coded).astype(np.uint8))
        slot[chosen] = start + np.arange(len(chosen))
        if size > MAX_CHARACTERS:
            break
    blocks.add("slot", slot.astype(np.int32))
    blocks.add("most", most.astype(np.float32))


def _add_annotations(blocks: PackedArrays, adata: AnnData, places: DisplayUnits) -> list[dict[str, Any]]:
    found = []
    for i, (title, categories, colors, codes) in enumerate(shown_annotations(adata, places)):
        blocks.add(f"annotation {i}", codes.astype(np.int16))
        found.append({"title": title, "categories": categories, "colors": colors})
    return found


def _add_modules(
    blocks: PackedArrays, adata: AnnData, places: DisplayUnits, cards: list[ModuleMaps]
) -> list[dict[str, Any]]:
    """Mean map of each module at the places; its name, colour and size are returned."""
    maps = np.zeros((len(cards), len(places)), dtype=np.uint8)
    for row, card in zip(maps, cards, strict=True):
        norm = robust_norm(card.mean)
        mean = group_mean(card.mean, places.owner, len(places))
        row[:] = bytes_of(mean, float(norm.vmin or 0.0), float(norm.vmax or 1.0))
    blocks.add("modules", maps)
    colors = category_colors(list(_adata.read_modules(adata).cat.categories))
    return [{"name": card.name, "color": colors[card.name], "size": len(card.genes)} for card in cards]


def _add_embedding(blocks: PackedArrays, adata: AnnData, images: GeneImages) -> None:
    """Directions of the embedded genes, and what a pattern is compared with them by (see `spacex.patterns`).

    Components (P, D) are kept as an orthonormal basis (P, r) and its turn (r, D); ``length`` is that of every gene's
    residual map on the components.
    """
    z = _adata.read_embedding(adata).astype(np.float64)
    embedded = np.flatnonzero(np.isfinite(z).all(axis=1))
    blocks.add("embedded", embedded.astype(np.int32))
    blocks.add("direction", np.rint(l2_normalize(z[embedded]) * 32767).astype(np.int16))
    if _adata.keys.COMPONENTS not in adata.obsm:
        return  # a result of another program; the page then offers no patterns
    components = _adata.read_components(adata, _adata.read_pixel_of_spot(adata, images), images.n_pixels)
    basis = spanned_basis(components)
    length = np.empty(len(embedded))
    for genes, maps in images.take(embedded).batches(BATCH_GENES):
        length[genes] = np.linalg.norm(maps @ components, axis=1)
    blocks.add("basis", basis.astype(np.float32))
    blocks.add("turn", (basis.T @ components).astype(np.float32))
    blocks.add("length", length.astype(np.float32))
    blocks.add("pixel library", images.library.astype(np.float32))
    blocks.add("pixel section", images.layout.section.astype(np.int16))


def _add_interactions(blocks: PackedArrays, adata: AnnData) -> None:
    """The partners of every gene with the largest probabilities, -1 where there are fewer, and these as bytes."""
    if _adata.keys.INTERACTIONS not in adata.varp:
        return
    pairs = interaction_partners(adata, n=PARTNERS)
    gene, rank = adata.var_names.get_indexer(pairs["gene"]), pairs.groupby("gene").cumcount()
    partner = np.full((adata.n_vars, PARTNERS), -1, dtype=np.int32)
    probability = np.zeros(partner.shape, dtype=np.uint8)
    partner[gene, rank] = adata.var_names.get_indexer(pairs["partner"])
    probability[gene, rank] = np.rint(255 * pairs["probability"])
    blocks.add("partner", partner)
    blocks.add("probability", probability)
