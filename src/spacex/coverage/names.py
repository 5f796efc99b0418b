"""Genes that a target and a reference share, and whether the species can be the same."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

import numpy as np

from .._check import InputError
from ..gene_names import GeneNames, listed, match_genes, shares_name

logger = logging.getLogger("spacex")

FEWEST_SHARED = 10
"""Genes that a target and a reference must share."""

ORTHOLOGS = "a table of orthologs (Ensembl BioMart, or HGNC's HCOP)"

_MARKS = {
    "human": re.compile(r"^(HLA-|LINC\d|C\d+orf\d|A[CLFP]\d{6}\.\d|ENSG\d)", re.IGNORECASE),
    "mouse": re.compile(r"^(GM\d{3,}$|\w*\dRIK\d?$|H2-[A-Z]|ENSMUSG\d)", re.IGNORECASE),
}
"""Names that only one species has: clones, open reading frames, the major histocompatibility complex, Ensembl."""

FEWEST_MARKS = 3


def species_of(genes: GeneNames) -> str | None:
    """Species that is given away by names, symbols or identifiers that only it has."""
    columns = [genes.names, genes.symbols, *genes.aliases]
    marks = {
        species: max(sum(bool(mark.match(name)) for name in names) for names in columns)
        for species, mark in _MARKS.items()
    }
    best = max(marks, key=lambda species: marks[species])
    if marks[best] >= FEWEST_MARKS and marks[best] >= 5 * min(marks.values()):
        return best
    return None


def _titled(names: Iterable[str]) -> bool:
    """Whether names are written like those of rodents: a capital, then small letters."""
    worded = [name for name in names if sum(letter.isalpha() for letter in name) >= 2]
    titled = [name for name in worded if name[:1].isupper() and name[1:] != name[1:].upper()]
    return bool(worded) and len(titled) > 0.8 * len(worded)


def shared(target: GeneNames, reference: GeneNames) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) of the genes that both have, in the target and in the reference, by `match_genes`.

    Raises `InputError` for two species, or fewer than `FEWEST_SHARED` genes.
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
                doubtful.sum(), side, listed(genes.labels[doubtful]),
            )  # fmt: skip
    if len(pairs[0]) < FEWEST_SHARED:
        raise InputError(
            f"the target and the reference share {len(pairs[0])} gene(s) by name or symbol (target: "
            f"{', '.join(target.symbols[:3])}, ...; reference: {', '.join(reference.symbols[:3])}, ...); at least "
            f"{FEWEST_SHARED} are needed: put symbols into var['gene_symbol'] where names are identifiers, and for two "
            f"species use {ORTHOLOGS}"
        )
    same = np.count_nonzero(target.symbols[pairs[0]] == reference.symbols[pairs[1]])
    same_id = np.count_nonzero(target.names[pairs[0]] == reference.names[pairs[1]])
    if _titled(target.symbols) != _titled(reference.symbols) and max(same, same_id) < 0.5 * len(pairs[0]):
        logger.warning(
            "most names match only without regard to case; if the species differ, rename the genes of one by %s",
            ORTHOLOGS,
        )
    return pairs
