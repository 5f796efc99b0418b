"""Other values of the settings: their effect on quality and cost, one setting at a time.

    python -m benchmarks.quality --entries SpaCEX ablation setting [...]

These entries run only on request: they are many, and those with training are slow.
"""

from __future__ import annotations

from typing import Any

from spacex._config import Config

FRONT_END: dict[str, Config] = {
    "theta 10": Config(theta=10.0),
    "theta 1e6": Config(theta=1e6),
    "sigma 0.5": Config(sigma=0.5),
    "sigma 2": Config(sigma=2.0),
    "16 smooth": Config(n_dims=16),
    "32 smooth": Config(n_dims=32),
    "16 fine": Config(fine_dims=16),
    "32 fine": Config(fine_dims=32),
    "noise 0.05": Config(noise_share=0.05),
    "noise 0.5": Config(noise_share=0.5),
    "own 0": Config(gene_specific_share=0.0),
    "own 1": Config(gene_specific_share=1.0),
}
MIXTURE: dict[str, Config] = {
    "mean precision 0.3": Config(mean_precision=0.3),
    "mean precision 30": Config(mean_precision=30.0),
    "250 null genes": Config(n_null_genes=250),
    "one start": Config(em_starts=1),
    "probability 0.3": Config(min_module_prob=0.3),
    "probability 0.7": Config(min_module_prob=0.7),
}
EPOCHS: dict[str, Any] = {"epochs": 4}
ROUNDS: dict[str, Any] = {"boost_rounds": 2}

TRAINING: dict[str, Config] = {
    "no attention": Config(**EPOCHS, n_layers=0),
    "two blocks": Config(**EPOCHS, n_layers=2),
    "width 32": Config(**EPOCHS, d_model=32),
    "width 128": Config(**EPOCHS, d_model=128),
    "patch 4": Config(**EPOCHS, patch_size=4),
    "patch 16": Config(**EPOCHS, patch_size=16),
    "patches 0.25": Config(**EPOCHS, patch_mask=0.25),
    "patches 0.75": Config(**EPOCHS, patch_mask=0.75),
    "patches only": Config(**EPOCHS, pixel_mask=0.0),
    "pixels 0.6": Config(**EPOCHS, pixel_mask=0.6),
    "pixels only": Config(**EPOCHS, patch_mask=0.0),
    "slow": Config(**EPOCHS, learning_rate=1e-4),
    "boosted once": Config(boost_rounds=1),
    "boosted softly": Config(**ROUNDS, boost_power=1.5),
    "boosted hard": Config(**ROUNDS, boost_power=8.0),
    "boosted slowly": Config(**ROUNDS, boost_learning_rate=2e-5),
}
SETTINGS: dict[str, Config] = {**FRONT_END, **MIXTURE, **TRAINING}
"""Settings by name of the entry; all others are the defaults of `Config`."""
