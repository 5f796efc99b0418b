"""`PairParams`: validation, and storage as plain values."""

from __future__ import annotations

import numpy as np
import pytest

from spacex._infra.errors import InputError
from spacex._infra.settings import settings_from_dict, settings_to_dict
from spacex.pairs import PairParams


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_folds", 2), ("n_folds", 4.5), ("n_folds", "4"), ("genes_per_bin", 0), ("min_known_pairs", True),
        ("max_similarity", 1.0), ("inverse_penalty", 0), ("colocation_sigma", np.nan),
    ],
)  # fmt: skip
def test_invalid_values_raise(name: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"^PairParams\.{name}=.* is not allowed; pass a "):
        PairParams(**{name: value})


def test_params_survive_storage() -> None:
    params = PairParams(n_folds=7, inverse_penalty=1)
    stored = {name: np.asarray(value)[()] for name, value in settings_to_dict(params).items()}
    assert settings_from_dict(PairParams, stored) == params
    assert settings_from_dict(PairParams, {}) == PairParams()


@pytest.mark.parametrize("values", [{"folds": 3}, 3, {"n_folds": [1, 2]}])
def test_invalid_stored_values_raise(values: object) -> None:
    with pytest.raises(InputError, match="PairParams"):
        settings_from_dict(PairParams, values)
