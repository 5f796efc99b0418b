"""Matching of genes between a target and a reference, and the check that their species agree."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from spacex._infra.errors import InputError
from spacex.gene_names import (
    AMBIGUOUS,
    UNKNOWN,
    GeneNames,
    NameIndex,
    blank_if_digits,
    is_ensembl_id,
    join_names,
    map_text,
    normalize_name,
)

logger = logging.getLogger("spacex")

MIN_SHARED_GENES = 10
"""Minimum number of genes shared by a target and a reference."""

ORTHOLOGS = "a table of orthologs (Ensembl BioMart, or HGNC's HCOP)"

_SPECIES_PATTERNS = {
    "human": re.compile(r"^(HLA-|LINC\d|C\d+orf\d|A[CLFP]\d{6}\.\d|ENSG\d)", re.IGNORECASE),
    "mouse": re.compile(r"^(GM\d{3,}$|\w*\dRIK\d?$|H2-[A-Z]|ENSMUSG\d)", re.IGNORECASE),
}
"""Gene names specific to a species: clones, open reading frames, major histocompatibility complex, Ensembl ids."""

MIN_SPECIES_MARKERS = 3
"""Minimum number of species-specific gene names that identify a species, five times those of the other."""


def species_of(genes: GeneNames) -> str | None:
    """The species whose specific names, symbols or identifiers occur among the genes; None if undecided."""
    columns = [genes.names, genes.symbols, *genes.aliases]
    n_markers = {
        species: max(sum(bool(pattern.match(name)) for name in names) for names in columns)
        for species, pattern in _SPECIES_PATTERNS.items()
    }
    best = max(n_markers, key=lambda species: n_markers[species])
    if n_markers[best] >= MIN_SPECIES_MARKERS and n_markers[best] >= 5 * min(n_markers.values()):
        return best
    return None


def _is_title_case(names: Iterable[str]) -> bool:
    """Whether most names are in title case, the convention for rodent genes."""
    words = [name for name in names if sum(letter.isalpha() for letter in name) >= 2]
    title_case = [name for name in words if name[:1].isupper() and name[1:] != name[1:].upper()]
    return bool(words) and len(title_case) > 0.8 * len(words)


def shared_genes(target: GeneNames, reference: GeneNames) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n,) of the shared genes in the target and in the reference, by `match_genes`.

    Raises `InputError` if the species differ or fewer than `MIN_SHARED_GENES` are shared.
    """
    sides = {"target": target, "reference": reference}
    species = [species_of(genes) or ("mouse" if _is_title_case(genes.symbols) else None) for genes in sides.values()]
    if None not in species and species[0] != species[1]:
        raise InputError(
            f"the target has {species[0]} genes (such as {target.symbols[0]!r}) and the reference has {species[1]} "
            f"genes (such as {reference.symbols[0]!r}); convert one of them with {ORTHOLOGS}, then call again"
        )
    pairs = match_genes(target, reference)
    for (side, genes), other, matched in zip(sides.items(), (reference, target), pairs, strict=True):
        ambiguous = shares_name(genes, other)
        ambiguous[matched] = False
        if ambiguous.any():
            logger.warning(
                "%d gene(s) of the %s are not used because their names are ambiguous or repeat another gene: %s",
                ambiguous.sum(), side, join_names(genes.labels[ambiguous]),
            )  # fmt: skip
    if len(pairs[0]) < MIN_SHARED_GENES:
        raise InputError(
            f"the target and the reference share {len(pairs[0])} gene(s) by name or symbol (target: "
            f"{', '.join(target.symbols[:3])}, ...; reference: {', '.join(reference.symbols[:3])}, ...); at least "
            f"{MIN_SHARED_GENES} are needed: put symbols into var['gene_symbol'] if names are identifiers; for two "
            f"species use {ORTHOLOGS}"
        )
    symbols = zip(target.symbols[pairs[0]], reference.symbols[pairs[1]], strict=True)
    n_other_case = sum(first != second and normalize_name(first) == normalize_name(second) for first, second in symbols)
    if _is_title_case(target.symbols) != _is_title_case(reference.symbols) and n_other_case > 0.5 * len(pairs[0]):
        logger.warning(
            "most names match only if case is ignored; if the species differ, convert one of them with %s",
            ORTHOLOGS,
        )
    return pairs


def find_requested_genes(names: Sequence[str], reference: GeneNames) -> tuple[np.ndarray, list[str]]:
    """Positions in the reference of requested genes, and their names; ambiguous names are skipped with a warning.

    Raises `InputError` for an unknown or repeated gene, or if all names are ambiguous.
    """
    gene_index, requested = reference.indices(names), np.array(names, dtype=object)
    if len(unknown := requested[gene_index == UNKNOWN]):
        first = f"{unknown[0]!r}{reference.suggestion(unknown[0])}"
        raise InputError(f"{len(unknown)} of genes are not in the reference (first: {first}); omit them")
    if len(ambiguous := requested[gene_index == AMBIGUOUS]):
        if len(ambiguous) == len(requested):
            reference.index(ambiguous[0])  # raises an error that lists the candidates
        logger.warning(
            "genes: %d are ambiguous in the reference and omitted: %s", len(ambiguous), join_names(ambiguous)
        )
    requested, gene_index = requested[gene_index >= 0], gene_index[gene_index >= 0]
    if len(repeated := requested[pd.Index(gene_index).duplicated()]):
        raise InputError(f"{len(repeated)} of genes occur more than once (first: {repeated[0]!r}); pass each once")
    return gene_index, list(requested)


def match_genes(first: GeneNames, second: GeneNames) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n,) of the shared genes in each of two sections, in the order of the first.

    Genes are matched by name, then by Ensembl id, symbol, any name, and any name ignoring case. Each round matches only
    unambiguous pairs of the genes still unmatched.
    """
    first, second = _without_numeric_names(first, second)
    partner = np.full(len(first), -1)
    rounds: list[tuple[Callable[[GeneNames], list[np.ndarray]], bool]] = [
        (lambda genes: [genes.names], False),
        (lambda genes: [map_text(names, _ensembl_only) for names in (genes.names, *genes.aliases)], True),
        (lambda genes: [genes.symbols], False),
        (_all_names, False),
        (_all_names, True),
    ]
    for columns, folded in rounds:
        rest_first, rest_second = np.flatnonzero(partner < 0), np.setdiff1d(np.arange(len(second)), partner)
        a, b = (NameIndex(columns(rest), folded=folded) for rest in (first.take(rest_first), second.take(rest_second)))
        repeated = {*a.repeated, *b.repeated}
        pairs = {(gene, b.first[name]) for name, gene in a.first.items() if name in b.first and name not in repeated}
        n_first, n_second = Counter(gene for gene, _ in pairs), Counter(other for _, other in pairs)
        for gene, other in pairs:
            if n_first[gene] == n_second[other] == 1:
                partner[rest_first[gene]] = rest_second[other]
    matched = np.flatnonzero(partner >= 0)
    return matched, partner[matched]


def shares_name(first: GeneNames, second: GeneNames) -> np.ndarray:
    """Whether each gene (G,) of the first shares any name, ignoring case, with a gene of the second."""
    first, second = _without_numeric_names(first, second)
    others = NameIndex(_all_names(second), folded=True).first
    mask = np.zeros(len(first), dtype=bool)
    for column in _all_names(first):
        mask |= [bool(name) and normalize_name(name) in others for name in column]
    return mask


def _without_numeric_names(*sections: GeneNames) -> tuple[GeneNames, ...]:
    """Names without numbers if all sections have symbols: numbers may be row positions, which cannot be matched."""
    if not all(genes.has_symbols for genes in sections):
        return sections
    texts = [map_text(genes.names, blank_if_digits) for genes in sections]
    return tuple(
        GeneNames(names, np.where(genes.symbols == genes.names, names, genes.symbols), genes.aliases)
        for names, genes in zip(texts, sections, strict=True)
    )


def _all_names(genes: GeneNames) -> list[np.ndarray]:
    return [genes.names, *([genes.symbols] if genes.has_symbols else []), *genes.aliases]


def _ensembl_only(text: str) -> str:
    return text if is_ensembl_id(text) else ""
