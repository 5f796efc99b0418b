"""Settings of pre-training and boosting: what gradients add to the linear start, and at what cost.

    python -m benchmarks.quality --entries SpaCEX ablation training [...]

Asked for by name only: they are many, and slow.
"""

from __future__ import annotations

from typing import Any

from spacex._config import Config

EPOCHS: dict[str, Any] = {"epochs": 4}
ROUNDS: dict[str, Any] = {"boost_rounds": 2}

TRAINING: dict[str, Config] = {
    "no attention": Config(**EPOCHS, depth=0),
    "two blocks": Config(**EPOCHS, depth=2),
    "width 32": Config(**EPOCHS, width=32),
    "width 128": Config(**EPOCHS, width=128),
    "patch 4": Config(**EPOCHS, patch=4),
    "patch 16": Config(**EPOCHS, patch=16),
    "patches .25": Config(**EPOCHS, patch_mask=0.25),
    "patches .75": Config(**EPOCHS, patch_mask=0.75),
    "patches only": Config(**EPOCHS, pixel_mask=0.0),
    "pixels .6": Config(**EPOCHS, pixel_mask=0.6),
    "pixels only": Config(**EPOCHS, patch_mask=0.0),
    "slow": Config(**EPOCHS, learning_rate=1e-4),
    "boosted once": Config(boost_rounds=1),
    "boosted softly": Config(**ROUNDS, boost_power=1.5),
    "boosted hard": Config(**ROUNDS, boost_power=8.0),
    "boosted slowly": Config(**ROUNDS, boost_learning_rate=2e-5),
}
"""Every setting that was tried, by the name of its entry, beside the ablations; the rest is as in `Config`."""
