"""Known pairs, in the gene names of a section."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from spacex.pairs import degree_matched

from ..genesets import species_of

KINDS = {"protein-protein": "ppi_cellchat.human.csv", "ligand-receptor": "lr_cellchatdb.human.csv"}


def human_names(names: list[str], resources: Path) -> np.ndarray:
    """Human symbols of a section's genes: orthologs for a mouse section, "" if there is none."""
    if species_of(names) == "human":
        return np.array(names)
    table = pd.read_csv(resources / "mouse2human_orthologs.csv")
    ortholog = dict(zip(table["genesymbol_source"], table["genesymbol_target"], strict=True))
    symbols = np.array([ortholog.get(name, "") for name in names], dtype=object)
    is_repeated = pd.Series(symbols).duplicated().to_numpy()
    symbols[is_repeated] = ""
    return symbols.astype(str)


def known_pairs(kind: str, names: np.ndarray, resources: Path) -> np.ndarray:
    """Pairs (N, 2) of a kind, of genes in `names`, as unique pairs of indices, the smaller first."""
    table = pd.read_csv(resources / KINDS[kind])
    index = {name: i for i, name in enumerate(names) if name}
    pairs = np.array(
        [[index.get(a, -1), index.get(b, -1)] for a, b in zip(table["gene_a"], table["gene_b"], strict=True)]
    )
    pairs = pairs[(pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def with_negatives(
    pairs: np.ndarray, n_genes: int, seed: int, *, fold: np.ndarray | None = None, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Known and degree-matched negative pairs (N, 2), and which are known; negatives within folds (G,) if given.

    `allowed` (G, n_sections): sections that measure each gene; negatives are then measured in at least three sections.
    """
    fold = np.zeros(n_genes, dtype=int) if fold is None else fold
    negative = degree_matched(pairs, fold, np.random.default_rng([seed, 7]))
    if allowed is not None:
        negative = negative[together(negative, allowed) >= 3]
    both = np.concatenate([pairs, negative])
    return both, np.arange(len(both)) < len(pairs)


def together(pairs: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Number of sections (N,) in which both genes of each pair are measured."""
    return np.asarray((measured[pairs[:, 0]] & measured[pairs[:, 1]]).sum(axis=1))
