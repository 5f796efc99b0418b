"""Settings of imputation are validated, and change the result."""

from __future__ import annotations

import numpy as np
import pytest

import spacex as sx
from spacex import ImputationParams, InputError


@pytest.mark.parametrize(
    "change",
    [
        {"n_neighbors": 0}, {"n_folds": 1}, {"max_cells": 1.5}, {"self_weight": 1.1}, {"theta": 0.0},
        {"holdout_fraction": 1.0}, {"ridges": (1.0,)}, {"ridges": (1.0, -1.0)}, {"n_components": 10},
        {"n_components": (0,)}, {"learning_rate": float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_invalid_settings_raise(change):
    with pytest.raises(InputError, match=rf"ImputationParams\.{next(iter(change))}"):
        ImputationParams(**change)


def test_settings_are_used_and_recorded(toy):
    panel = toy[:, :80].copy()
    default, narrow = (
        sx.tl.impute(panel, toy, params=params, progress=False)
        for params in (None, ImputationParams(n_neighbors=1, n_components=(5, 10), min_reliability=1.0))
    )
    assert not np.array_equal(default.X, narrow.X)
    assert not narrow.var["predictable"].any()
    assert narrow.uns["spacex"]["impute"]["params"]["n_neighbors"] == 1
    with pytest.raises(InputError, match="params="):
        sx.tl.impute(panel, toy, params={"n_neighbors": 1}, progress=False)
