"""Null distribution of the pattern strength, from genes with permuted pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spacex._config import Config
from spacex._infra.errors import InputError
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding.transform import signal_strength
from spacex.imaging.components import smooth_basis
from spacex.imaging.gene_images import GeneImages


def null_strength(
    images: GeneImages, strength_weights: Tensor, config: Config, seed: int, group: ProcessGroup = SINGLE_PROCESS
) -> tuple[float, float]:
    """Mean strength of genes with permuted pixels, and the shape of the gamma distribution with the same moments.

    The permuted maps take part in the basis on which their strength is measured, like real genes: a basis is biased
    towards the noise of the maps to which it was fitted, especially if these are few. `strength_weights` (n,)
    are the weights of its components.
    """
    keys = images.draw_keys(np.random.default_rng(seed))
    genes = np.argsort(keys, kind="stable")[: config.n_permuted_genes]
    copies = -(-config.n_permuted_genes // len(genes))
    maps = images.residuals(genes)
    # Seeds follow from the keys of genes, so that permutations do not depend on the order of genes.
    generators = [np.random.default_rng([seed, int(keys[gene]), copy]) for copy in range(copies) for gene in genes]
    null = np.stack([rng.permutation(maps[i % len(genes)]) for i, rng in enumerate(generators)])
    extra_maps = null.astype(np.float64)
    basis, _ = smooth_basis(
        images, sigma=config.sigma, n_components=len(strength_weights), seed=seed, extra_maps=extra_maps, group=group
    )
    square = signal_strength(torch.from_numpy(null), torch.from_numpy(basis), strength_weights).numpy()
    if not square.mean() > 0:
        raise InputError("no gene varies over the tissue: all maps are constant; check the counts")
    return group.broadcast((float(square.mean()), float(square.mean() ** 2 / max(square.var(), 1e-12))))
