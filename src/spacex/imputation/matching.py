"""Genes that a target and a reference share, and whether the species can be the same."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from spacex._infra.errors import InputError
from spacex.gene_names import AMBIGUOUS, UNKNOWN, GeneNames, Index, each, fold, is_ensembl, join_names, not_a_number

logger = logging.getLogger("spacex")

MIN_SHARED = 10
"""Genes that a target and a reference must share."""

ORTHOLOGS = "a table of orthologs (Ensembl BioMart, or HGNC's HCOP)"

_MARKS = {
    "human": re.compile(r"^(HLA-|LINC\d|C\d+orf\d|A[CLFP]\d{6}\.\d|ENSG\d)", re.IGNORECASE),
    "mouse": re.compile(r"^(GM\d{3,}$|\w*\dRIK\d?$|H2-[A-Z]|ENSMUSG\d)", re.IGNORECASE),
}
"""Names that only one species has: clones, open reading frames, the major histocompatibility complex, Ensembl."""

MIN_SPECIES_MARKERS = 3


def species_of(genes: GeneNames) -> str | None:
    """Species that is given away by names, symbols or identifiers that only it has."""
    columns = [genes.names, genes.symbols, *genes.aliases]
    marks = {
        species: max(sum(bool(mark.match(name)) for name in names) for names in columns)
        for species, mark in _MARKS.items()
    }
    best = max(marks, key=lambda species: marks[species])
    if marks[best] >= MIN_SPECIES_MARKERS and marks[best] >= 5 * min(marks.values()):
        return best
    return None


def _titled(names: Iterable[str]) -> bool:
    """Whether names are written like those of rodents: a capital, then small letters."""
    worded = [name for name in names if sum(letter.isalpha() for letter in name) >= 2]
    titled = [name for name in worded if name[:1].isupper() and name[1:] != name[1:].upper()]
    return bool(worded) and len(titled) > 0.8 * len(worded)


def shared_genes(target: GeneNames, reference: GeneNames) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) of the genes that both have, in the target and in the reference, by `match_genes`.

    Raises `InputError` for two species, or fewer than `MIN_SHARED` genes.
    """
    sides = {"target": target, "reference": reference}
    kinds = [species_of(genes) or ("mouse" if _titled(genes.symbols) else None) for genes in sides.values()]
    if None not in kinds and kinds[0] != kinds[1]:
        raise InputError(
            f"the target has {kinds[0]} genes (such as {target.symbols[0]!r}) and the reference {kinds[1]} genes (such "
            f"as {reference.symbols[0]!r}); rename one of them by {ORTHOLOGS}, then call again"
        )
    pairs = match_genes(target, reference)
    for (side, genes), other, numbers in zip(sides.items(), (reference, target), pairs, strict=True):
        doubtful = shares_name(genes, other)
        doubtful[numbers] = False
        if doubtful.any():
            logger.warning(
                "%d gene(s) of the %s may be any of several, or repeat another, and are not used: %s",
                doubtful.sum(), side, join_names(genes.labels[doubtful]),
            )  # fmt: skip
    if len(pairs[0]) < MIN_SHARED:
        raise InputError(
            f"the target and the reference share {len(pairs[0])} gene(s) by name or symbol (target: "
            f"{', '.join(target.symbols[:3])}, ...; reference: {', '.join(reference.symbols[:3])}, ...); at least "
            f"{MIN_SHARED} are needed: put symbols into var['gene_symbol'] where names are identifiers, and for two "
            f"species use {ORTHOLOGS}"
        )
    symbols = zip(target.symbols[pairs[0]], reference.symbols[pairs[1]], strict=True)
    n_other_case = sum(ours != theirs and fold(ours) == fold(theirs) for ours, theirs in symbols)
    if _titled(target.symbols) != _titled(reference.symbols) and n_other_case > 0.5 * len(pairs[0]):
        logger.warning(
            "most names match only without regard to case; if the species differ, rename the genes of one by %s",
            ORTHOLOGS,
        )
    return pairs


def find_requested_genes(names: Sequence[str], reference: GeneNames) -> tuple[np.ndarray, list[str]]:
    """Numbers in the reference of genes that are asked for, and their names; ambiguous ones are left out and told.

    Raises `InputError` for a gene that is unknown or occurs twice, and where all are ambiguous.
    """
    numbers, asked = reference.find(names), np.array(names, dtype=object)
    if len(lost := asked[numbers == UNKNOWN]):
        what = f"{len(lost)} of genes are not in the reference (first: {lost[0]!r}{reference.hint(lost[0])})"
        raise InputError(f"{what}; leave them out")
    if len(lost := asked[numbers == AMBIGUOUS]):
        if len(lost) == len(asked):
            reference.index(lost[0])  # raises, with the genes that it may be
        logger.warning("genes: %d are ambiguous in the reference and left out: %s", len(lost), join_names(lost))
    asked, numbers = asked[numbers >= 0], numbers[numbers >= 0]
    if len(twice := asked[pd.Index(numbers).duplicated()]):
        raise InputError(f"{len(twice)} of genes occur more than once (first: {twice[0]!r}); pass each once")
    return numbers, list(asked)


def match_genes(first: GeneNames, second: GeneNames) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) of the genes that two sections share, in either, in the order of the first.

    Genes are paired by name, then by Ensembl id, by symbol, by any name, and by any but for case. In each round only
    genes are paired that mean one another and no other gene that is left.
    """
    first, second = _comparable(first, second)
    partner = np.full(len(first), -1)
    rounds: list[tuple[Callable[[GeneNames], list[np.ndarray]], bool]] = [
        (lambda genes: [genes.names], False),
        (lambda genes: [each(names, _ensembl_only) for names in (genes.names, *genes.aliases)], True),
        (lambda genes: [genes.symbols], False),
        (_all_names, False),
        (_all_names, True),
    ]
    for columns, folded in rounds:
        ours, theirs = np.flatnonzero(partner < 0), np.setdiff1d(np.arange(len(second)), partner)
        a, b = (Index(columns(part), folded=folded) for part in (first.take(ours), second.take(theirs)))
        repeated = {*a.repeated, *b.repeated}
        pairs = {(gene, b.first[name]) for name, gene in a.first.items() if name in b.first and name not in repeated}
        n_ours, n_theirs = Counter(gene for gene, _ in pairs), Counter(other for _, other in pairs)
        for gene, other in pairs:
            if n_ours[gene] == n_theirs[other] == 1:
                partner[ours[gene]] = theirs[other]
    matched = np.flatnonzero(partner >= 0)
    return matched, partner[matched]


def shares_name(first: GeneNames, second: GeneNames) -> np.ndarray:
    """Whether each gene (G,) of the first has any name, in any case, that a gene of the second has."""
    first, second = _comparable(first, second)
    others = Index(_all_names(second), folded=True).first
    mask = np.zeros(len(first), dtype=bool)
    for column in _all_names(first):
        mask |= [bool(name) and fold(name) in others for name in column]
    return mask


def _comparable(*sections: GeneNames) -> tuple[GeneNames, ...]:
    """The names without numbers where all have symbols: these may be positions, which mean nothing elsewhere."""
    if not all(genes.has_symbols for genes in sections):
        return sections
    texts = [each(genes.names, not_a_number) for genes in sections]
    return tuple(
        GeneNames(names, np.where(genes.symbols == genes.names, names, genes.symbols), genes.aliases)
        for names, genes in zip(texts, sections, strict=True)
    )


def _all_names(genes: GeneNames) -> list[np.ndarray]:
    return [genes.names, *([genes.symbols] if genes.has_symbols else []), *genes.aliases]


def _ensembl_only(text: str) -> str:
    return text if is_ensembl(text) else ""
