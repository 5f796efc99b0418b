"""`DomainParams`: validation, and storage as plain values."""

import numpy as np
import pytest

from spacex._infra.errors import InputError
from spacex._infra.settings import settings_from_dict, settings_to_dict
from spacex.domains import DomainParams


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_genes": 1}, r"DomainParams\.max_genes=1 is not allowed; pass a whole number from 2"),
        ({"sigma": 0}, r"DomainParams\.sigma=0 is not allowed; pass a number > 0"),
        ({"potts_beta": -1}, r"DomainParams\.potts_beta=-1"),
        ({"member_components": ()}, "member_components=.* pass a tuple of whole numbers"),
        ({"member_components": (10, 0)}, "member_components: an entry=0"),
        ({"min_domains": 9, "max_domains": 8}, "min_domains=9 is larger than max_domains=8"),
    ],
)
def test_invalid_values_raise(values, message):
    with pytest.raises(InputError, match=message):
        DomainParams(**values)


def test_params_survive_storage():
    params = DomainParams(member_components=[10, 20], n_init=3)
    stored = {name: np.asarray(value)[()] for name, value in settings_to_dict(params).items()}
    assert settings_from_dict(DomainParams, stored) == params
