"""Fingerprint of a section: hashes of the counts of some pixels, by which a reference recognizes a section it holds."""

from __future__ import annotations

import json
import re

import numpy as np
import scipy.sparse as sp
from pandas.util import hash_array

N_SETS = 4
"""Number of sets of genes; one set of which all genes are measured is enough to recognize a section."""
SET_SIZE = 12
N_HASHES = 24
"""Maximum number of hashes of each set: the smallest ones, so that a part of a section has a part of them."""
MIN_GENES = 7
"""Minimum number of nonzero genes of a pixel, so that two sections rarely share a hash by chance."""
MIN_SHARED = 3
"""Minimum number of hashes that a section shares with a set."""
OFTEN_REMOVED = re.compile(r"^(MT|RP[SL]|MRP[SL])[-.\d]", re.IGNORECASE)
"""Mitochondrial and ribosomal genes, which many users remove."""


def fingerprint(counts: sp.csc_array, symbols: np.ndarray) -> str:
    """Return the fingerprint of a section.

    Parameters
    ----------
    counts
        (P, G) counts per pixel.
    symbols
        (G,) symbols of the genes.

    Returns
    -------
    JSON text: sets of genes with many counts, and for each one hashes of their counts in some pixels. Counts cannot be
    recovered from it. It is "" if too few pixels have enough nonzero genes.
    """
    order = np.argsort(-np.asarray(counts.sum(axis=0)).ravel(), kind="stable")
    genes = list(dict.fromkeys(s for s in symbols[order].astype(str) if not OFTEN_REMOVED.match(s)))
    sets = []
    for number in range(N_SETS):
        chosen = genes[number : N_SETS * SET_SIZE : N_SETS]
        hashes = np.unique(_pixel_hashes(counts, symbols, chosen))[:N_HASHES]
        if len(hashes) >= MIN_SHARED:
            sets.append([chosen, [f"{value:x}" for value in hashes]])
    return json.dumps(sets) if sets else ""


def is_same_section(text: str, counts: sp.csc_array, symbols: np.ndarray) -> bool:
    """Whether a fingerprint is that of the section with these counts, of a part of it, or of a section that it is in.

    Parameters are those of `fingerprint`. The pixels must be the same; spots or genes may have been removed.
    """
    measured = set(symbols)
    for genes, values in json.loads(text or "[]"):
        if measured.issuperset(genes):
            stored = np.array([int(value, 16) for value in values], dtype=np.uint64)
            if np.isin(stored, _pixel_hashes(counts, symbols, genes)).sum() >= MIN_SHARED:
                return True
    return False


def _pixel_hashes(counts: sp.csc_array, symbols: np.ndarray, genes: list[str]) -> np.ndarray:
    """Hashes uint64 of the counts of genes, in each pixel where enough of them have counts."""
    column = {symbol: i for i, symbol in reversed(list(enumerate(symbols)))}
    part = counts[:, [column[gene] for gene in genes]].toarray().astype(np.float32)
    part = part[(part > 0).sum(axis=1) >= min(MIN_GENES, len(genes))]
    hashes = np.zeros(len(part), dtype=np.uint64)
    for values in part.T:  # the order of the genes counts
        hashes = hash_array(hashes ^ hash_array(values.view(np.uint32)))
    return hashes
