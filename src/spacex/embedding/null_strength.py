"""Null distribution of the signal strength, from genes with permuted pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spacex._config import Config
from spacex._infra.errors import InputError
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding.transform import signal_strength
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.smoothing import smooth_basis


def null_strength(
    images: GeneImages, weights: Tensor, config: Config, seed: int, group: ProcessGroup = SINGLE_PROCESS
) -> tuple[float, float]:
    """Return the mean signal strength of genes with permuted pixels, and the shape of its gamma distribution.

    A basis fits part of the noise of the maps that it was computed from, the more the fewer maps there are. The basis
    used here is therefore computed from all maps and the permuted ones. `weights` (n,) are those of its components.
    """
    keys = images.draw_keys(np.random.default_rng(seed))
    genes = np.argsort(keys, kind="stable")[: config.n_permuted_genes]
    n_copies = -(-config.n_permuted_genes // len(genes))
    maps = images.residuals(genes)
    # Generators are seeded by gene, so that permutations do not depend on the order of the genes.
    generators = [np.random.default_rng([seed, int(keys[gene]), copy]) for copy in range(n_copies) for gene in genes]
    permuted = np.stack([rng.permutation(maps[i % len(genes)]) for i, rng in enumerate(generators)])
    extra_maps = permuted.astype(np.float64)
    basis, _ = smooth_basis(
        images, sigma=config.sigma, n_components=len(weights), seed=seed, extra_maps=extra_maps, group=group
    )
    strength = signal_strength(torch.from_numpy(permuted), torch.from_numpy(basis), weights).numpy()
    mean = strength.mean()
    if not mean > 0:
        raise InputError("no gene varies over the tissue: all maps are constant; check the counts")
    return group.broadcast((float(mean), float(mean**2 / max(strength.var(), 1e-12))))
