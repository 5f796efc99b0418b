"""Gene names of two data sets: which of them are the same gene, and whether the species can be the same."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from .._check import InputError

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


def species_of(names: Sequence[str]) -> str | None:
    """Species that is given away by names that only it has."""
    marks = {species: sum(bool(mark.match(name)) for name in names) for species, mark in _MARKS.items()}
    best = max(marks, key=lambda species: marks[species])
    if marks[best] >= FEWEST_MARKS and marks[best] >= 5 * min(marks.values()):
        return best
    return None


def _titled(names: Sequence[str]) -> bool:
    """Whether names are written like those of rodents: a capital, then small letters."""
    worded = [name for name in names if sum(letter.isalpha() for letter in name) >= 2]
    titled = [name for name in worded if name[:1].isupper() and name[1:] != name[1:].upper()]
    return bool(worded) and len(titled) > 0.8 * len(worded)


def shared(target: Sequence[str], reference: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) of the genes that both have, in the target and in the reference.

    A name is matched as it is written, else whatever its case, to the first of those that differ in nothing else.
    Raises `InputError` for two species, or fewer than `FEWEST_SHARED` genes.
    """
    kinds = [species_of(names) or ("mouse" if _titled(names) else None) for names in (target, reference)]
    if None not in kinds and kinds[0] != kinds[1]:
        raise InputError(
            f"the target has {kinds[0]} genes (such as {target[0]!r}) and the reference {kinds[1]} genes (such as "
            f"{reference[0]!r}); rename one of them by {ORTHOLOGS}, then call again"
        )
    pairs: dict[int, int] = {}
    repeated = 0
    for t, r in enumerate(_places(target, reference)):
        if r >= 0 and r in pairs:
            repeated += 1
        elif r >= 0:
            pairs[r] = t
    if repeated:
        logger.warning("%d gene(s) of the target repeat another but for case and are not used", repeated)
    if len(pairs) < FEWEST_SHARED:
        raise InputError(
            f"the target and the reference share {len(pairs)} gene(s) by name (target: {', '.join(target[:3])}, ...; "
            f"reference: {', '.join(reference[:3])}, ...); at least {FEWEST_SHARED} are needed: use one kind of name "
            f"in both, and for two species {ORTHOLOGS}"
        )
    same = sum(target[t] == reference[r] for r, t in pairs.items())
    if _titled(target) != _titled(reference) and same < 0.5 * len(pairs):
        logger.warning(
            "most names match only without regard to case; if the species differ, rename the genes of one by %s",
            ORTHOLOGS,
        )
    order = sorted(pairs.items(), key=lambda pair: pair[1])
    return np.array([t for _, t in order], dtype=np.int64), np.array([r for r, _ in order], dtype=np.int64)


def find(wanted: Sequence[str], reference: Sequence[str]) -> np.ndarray:
    """Numbers (n,) of genes of the reference by name, in any case if need be; `InputError` if one lacks."""
    found = _places(wanted, reference)
    lost = [name for name, i in zip(wanted, found, strict=True) if i < 0]
    if lost:
        first = _first_places(reference)
        near = [reference[first[n]] for n in get_close_matches(lost[0].upper(), first, n=3)]
        hint = f"; close to it: {', '.join(near)}" if near else ""
        raise InputError(f"{len(lost)} of genes are not in the reference (first: {lost[0]!r}{hint}); leave them out")
    return np.array(found, dtype=np.int64)


def _places(names: Sequence[str], reference: Sequence[str]) -> list[int]:
    """Number of each name in the reference, as written or else whatever its case; -1 where it is not there."""
    exact, first = {name: i for i, name in enumerate(reference)}, _first_places(reference)
    return [exact.get(name, first.get(name.upper(), -1)) for name in names]


def _first_places(names: Sequence[str]) -> dict[str, int]:
    """First number of every name in upper case."""
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        first.setdefault(name.upper(), i)
    return first
