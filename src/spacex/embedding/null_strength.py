"""How strong a pattern looks where there is none: genes with shuffled pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spacex._config import Config
from spacex._infra.errors import InputError
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding.transform import strength
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.smoothing import smooth_basis


def null_strength(
    images: GeneImages, trust: Tensor, config: Config, seed: int, group: ProcessGroup = SINGLE_PROCESS
) -> tuple[float, float]:
    """Mean of the strength of real genes whose pixels are shuffled, and the shape of its gamma distribution.

    They are measured in a basis that they took part in, as genes do in theirs: a basis leans towards the noise of the
    maps it was fitted to, the more so the fewer they are. `trust` (n,) weighs its components.
    """
    keys = images.draw_keys(np.random.default_rng(seed))
    genes = np.argsort(keys, kind="stable")[: config.n_permuted_genes]
    copies = -(-config.n_permuted_genes // len(genes))
    maps = images.residuals(genes)
    # What is drawn for a gene is its own, wherever it stands among the others.
    shuffled = [np.random.default_rng([seed, int(keys[gene]), copy]) for copy in range(copies) for gene in genes]
    null = np.stack([rng.permutation(maps[i % len(genes)]) for i, rng in enumerate(shuffled)])
    extra_maps = null.astype(np.float64)
    basis, _ = smooth_basis(
        images, sigma=config.sigma, n_components=len(trust), seed=seed, extra_maps=extra_maps, group=group
    )
    square = strength(torch.from_numpy(null), torch.from_numpy(basis), trust).numpy()
    if not square.mean() > 0:
        raise InputError("no gene varies over the tissue: every map is the same everywhere; check the counts")
    return group.broadcast((float(square.mean()), float(square.mean() ** 2 / max(square.var(), 1e-12))))
