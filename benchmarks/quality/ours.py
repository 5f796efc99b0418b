"""SpaCEX as an entry of the scoreboard, and its ablations."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

import spacex as sx
from spacex import _adata
from spacex._config import Config

from .outcome import Outcome

BATCH = 512

ABLATIONS: dict[str, Config] = {
    "smooth only": Config(fine_dims=0, noise_share=0.0),
    "+ weights": Config(fine_dims=0),
    "all, unweighted": Config(noise_share=0.0, gene_specific_share=0.0),
    "+ pre-training": Config(epochs=4),
    "+ boosting": Config(boost_rounds=2),
    "+ both": Config(epochs=4, boost_rounds=2),
}
"""Contribution of the stages. The entry SpaCEX has the default settings: weighted linear initialization and mixture."""


def spacex(adata: AnnData, seed: int, *, config: Config | None = None) -> Outcome:
    """`sx.tl.embed` with its defaults; other counts are embedded by `transform` of the fitted model."""
    model = sx.tl.embed(adata, config=config, seed=seed, progress=False)
    z = _adata.read_embedding(adata)
    embedded = np.flatnonzero(np.isfinite(z).all(axis=1))

    def project(other: AnnData) -> np.ndarray:
        sx.pp.rasterize(other, config=config)
        images, projected = sx.pp.gene_images(other, config=config), np.full_like(z, np.nan)
        if np.array_equal(images.layout.flat, model.state_.layout.flat):
            images = images.scale_library(model.state_.library_factor)
        # As images (B, H, W): they may lack pixels that had counts in the fit.
        for start in range(0, len(embedded), BATCH):
            genes = embedded[start : start + BATCH]
            projected[genes] = model.transform(images.images(genes))
        return projected

    return Outcome(z, _adata.read_modules(adata).astype(str).to_numpy(), project)
