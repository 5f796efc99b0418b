"""Two sections of one tissue embedded together, compared with separate embeddings.

    python -m benchmarks.quality.joint --data DIR --resources DIR [--seeds 1]

For each available pair of sections, over the genes embedded in both: overlap of a gene's 20 nearest neighbors between
the sections, and EGAD with the Hallmark sets, of

- ``apart``: `sx.tl.embed` on each section (EGAD: the mean of the two),
- ``shares``: one `sx.tl.embed` on both, ``varm["X_spacex_sections"]``,
- ``joint``: the same, ``varm["X_spacex"]``, one vector for both sections (no overlap to measure).

The sections are not aligned. The second one is rotated by 90 degrees first, which must not matter. Genes measured in
only one section are left out of the joint embedding; separate embeddings use all genes of a section.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import anndata as ad
import numpy as np

import spacex as sx

from .genesets import COLLECTIONS, egad, gene_sets
from .neighbors import overlap
from .sections import PAIRS

METRIC = next(iter(COLLECTIONS))


def embed_apart(section: ad.AnnData, seed: int) -> np.ndarray:
    copy = section.copy()
    sx.tl.embed(copy, seed=seed, progress=False)
    return copy.varm["X_spacex"]


def embed_together(pair: list[ad.AnnData], seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Joint embedding (G, D), shares (G, 2, D), and the names of the genes."""
    first, second = (section.copy() for section in pair)
    second.obsm["spatial"] = np.asarray(second.obsm["spatial"])[:, ::-1] * [-1, 1]
    for section in (first, second):  # array positions would contradict the rotated coordinates
        section.obs = section.obs[[]]
    both = ad.concat({"a": first, "b": second}, label="section", index_unique="-")
    sx.tl.embed(both, library_key="section", seed=seed, progress=False)
    return both.varm["X_spacex"], both.varm["X_spacex_sections"], list(both.var_names)


def compare(pair: list[ad.AnnData], resources: Path, seed: int) -> dict[str, float]:
    """All scores of one pair."""
    joint, shares, names = embed_together(pair, seed)
    rows = [section.var_names.get_indexer(names) for section in pair]
    apart = [embed_apart(section, seed)[row] for section, row in zip(pair, rows, strict=True)]
    is_embedded = np.isfinite(joint).all(1) & np.isfinite(apart[0]).all(1) & np.isfinite(apart[1]).all(1)
    sets = gene_sets([name for name, k in zip(names, is_embedded, strict=True) if k], resources)[METRIC]
    share = [shares[is_embedded, s] for s in (0, 1)]
    return {
        "genes": int(is_embedded.sum()),
        "overlap apart": overlap(apart[0][is_embedded], apart[1][is_embedded]),
        "overlap shares": overlap(*share),
        "EGAD apart": float(np.mean([egad(z[is_embedded], sets) for z in apart])),
        "EGAD shares": float(np.mean([egad(z, sets) for z in share])),
        "EGAD joint": egad(joint[is_embedded], sets),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--resources", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    for names in PAIRS:
        paths = [args.data / f"{name}.h5ad" for name in names]
        if not all(path.is_file() for path in paths):
            print(f"{' + '.join(names)}: not in {args.data.name}", file=sys.stderr)
            continue
        pair = [ad.read_h5ad(path) for path in paths]
        for seed in range(args.seeds):
            scores = compare(pair, args.resources, seed)
            figures = "  ".join(f"{key} {value:.4f}" for key, value in scores.items() if key != "genes")
            print(f"{' + '.join(names):36s} seed {seed}  {scores['genes']:6d} genes  {figures}", flush=True)


if __name__ == "__main__":
    main()
