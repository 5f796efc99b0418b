"""Clustering methods of `spacex.tl.domains`.

To add one: a file in this folder with a class like `GaussianMixtureMethod`, a line in `METHODS`, and a test in
``tests/domains``.
"""

from collections.abc import Callable

from spacex.domains.methods.base import DomainLabels, DomainMethod, run_method
from spacex.domains.methods.consensus import ConsensusMethod
from spacex.domains.methods.gaussian_mixture import GaussianMixtureMethod
from spacex.domains.params import DomainParams

METHODS: dict[str, Callable[[DomainParams], DomainMethod]] = {
    "consensus": ConsensusMethod,
    "gaussian_mixture": GaussianMixtureMethod,
}

__all__ = ["METHODS", "DomainLabels", "DomainMethod", "run_method"]
