"""Held-out panel genes predicted from a `spacex.Reference`, without a matched section.

    python -m benchmarks.quality.coverage.unmatched TARGET.h5ad ... [--reference mouse] [--section SECTION.h5ad ...]

The panel genes that the reference knows are split into four random folds; each fold is removed from the target and
predicted. Columns:

- PCC: mean correlation over genes with log-normalized counts; zero for genes that are measured in no source;
- matched: the same over the genes that the first section measures;
- smoothed: PCC with the mean of the counts over the 12 nearest cells;
- reliability: rank correlation of reliability with PCC;
- error: mean reliability minus mean PCC.

"permuted" is the reference with its genes in a random order. With --section, also each section alone, all together, and
with the reference. Targets are reduced to --cells random cells. Entries are means over seeds (which split) ± the
standard deviation between them. The reference must not hold a section of a target.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import scipy.sparse as sp
from scipy.stats import spearmanr

import spacex as sx
from spacex.imaging.residuals import log_normalize
from spacex.stats import nearest_neighbors

from ..trials import Figure, Trials

FOLDS, NEIGHBORS = 4, 12


def read(path: Path, cells: int) -> ad.AnnData:
    """The section at a path, reduced to random cells."""
    adata = ad.read_h5ad(path)
    if adata.n_obs > cells:
        adata = adata[np.sort(np.random.default_rng(0).choice(adata.n_obs, cells, replace=False))].copy()
    adata.X = sp.csr_matrix(adata.X)
    return adata


def permuted(reference: sx.Reference, seed: int) -> sx.Reference:
    """The reference with the genes in a random order, the same in every group."""
    order = np.random.default_rng(seed).permutation(len(reference.genes))
    groups = tuple(
        replace(group, factor=group.factor[order], weight=group.weight[order], n_sections=group.n_sections[order])
        for group in reference.state.groups
    )
    return sx.Reference(replace(reference.state, groups=groups))


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Correlation (G,) of the columns of two arrays (N, G); zero if either is constant."""
    first, second = (values - values.mean(axis=0) for values in (first, second))
    length = np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
    return np.where(length > 0, (first * second).sum(axis=0) / np.where(length > 0, length, 1.0), 0.0)


def measured_genes(source: Any) -> np.ndarray:
    """Genes that a section, a reference, or any in a list of them measures."""
    if isinstance(source, list):
        return np.concatenate([measured_genes(one) for one in source])
    return source.genes if isinstance(source, sx.Reference) else source.var_names.to_numpy()


def split(target: ad.AnnData, source: Any, genes: np.ndarray, matched: np.ndarray, seed: int) -> Iterator[Figure]:
    """Scores of one split of genes (G,); `matched` (G,): those that the section measures."""
    truth = log_normalize(target.X)[:, target.var_names.get_indexer(genes)].toarray()
    near = nearest_neighbors(np.asarray(target.obsm["spatial"], dtype=np.float64), NEIGHBORS)
    pcc, smoothed, reliability = np.zeros((3, len(genes)))
    for fold in np.array_split(np.random.default_rng(seed).permutation(len(genes)), FOLDS):
        known = fold[np.isin(genes[fold], measured_genes(source))]
        panel = target[:, ~target.var_names.isin(genes[fold])].copy()
        imputed = sx.tl.impute(panel, source, genes=list(genes[known]), seed=seed, progress=False)
        values = np.asarray(imputed.X, dtype=np.float64)
        pcc[known] = correlation(values, truth[:, known])
        smoothed[known] = correlation(values, truth[near][:, :, known].mean(axis=1))
        reliability[known] = imputed.var["reliability"]
    yield seed, "PCC", float(pcc.mean())
    yield seed, "matched", float(pcc[matched].mean())
    yield seed, "smoothed", float(smoothed.mean())
    yield seed, "reliability", float(spearmanr(reliability, pcc)[0])
    yield seed, "error", float(reliability.mean() - pcc.mean())


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.coverage.unmatched", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("targets", type=Path, nargs="+", metavar="TARGET.h5ad")
    parser.add_argument("--reference", default="mouse", help="human, mouse or a saved reference")
    parser.add_argument("--section", type=Path, nargs="*", default=[], metavar="SECTION.h5ad")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", type=int, default=6000)
    parser.add_argument("--csv", type=Path, help="write all figures")
    options = parser.parse_args(argv)
    is_shipped = options.reference in ("human", "mouse")
    reference = (sx.datasets.reference if is_shipped else sx.Reference.load)(options.reference)
    sections = [read(path, 10**9) for path in options.section]
    sources: dict[str, Any] = {"reference": reference, "permuted": permuted(reference, 0)}
    if sections:
        sources |= {path.stem: one for path, one in zip(options.section, sections, strict=True)}
        sources |= {"sections": sections} if len(sections) > 1 else {}
        sources["sections and reference"] = [*sections, reference]
    for section in sections:
        sx.tl.embed(section, n_modules=2, reference=None, progress=False)
    trials = Trials("PCC")
    for path in options.targets:
        target = read(path, options.cells)
        is_known = np.hstack(reference.group_vectors(target.var_names)).any(axis=1)
        genes = target.var_names[is_known].to_numpy()
        matched = np.isin(genes, sections[0].var_names) if sections else np.ones(len(genes), dtype=bool)
        for name, source in sources.items():
            figures = (split(target, source, genes, matched, seed) for seed in range(options.seeds))
            trials.add(path.stem, name, chain.from_iterable(figures))
    trials.show(options.csv)


if __name__ == "__main__":
    main()
