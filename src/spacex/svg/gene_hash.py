"""Pseudorandom numbers of genes, computed from their counts."""

from __future__ import annotations

import numpy as np

from spacex.imaging.gene_images import GeneImages

HASH_FACTOR = 2654435761
"""Factor of Knuth's multiplicative hash modulo 2³²."""


def gene_hash(images: GeneImages) -> np.ndarray:
    """Pseudorandom number (G,) below 2³² of each gene, computed from its counts and the library sizes of their pixels.

    It does not depend on the order of genes or pixels, nor on a rotation of the section. The leading bits are random.
    """
    # Sums of products below 2^53 are exact in any order.
    weight = ((images.library % 2.0**32).astype(np.int64) * HASH_FACTOR % 2**32) // 2**12
    key = np.rint(images.counts.T @ weight.astype(np.float64) * (1 if images.is_count else 2**10))
    key = (key % 2.0**53).astype(np.int64)  # huge values have more bits
    return np.asarray(key * HASH_FACTOR % 2**32)
