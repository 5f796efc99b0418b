"""``method="gaussian_mixture"``: one Gaussian mixture of scikit-learn, as a simple baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.mixture import GaussianMixture

from spacex.domains.methods.base import DomainLabels
from spacex.domains.params import DomainParams
from spacex.imaging.layout import SectionLayout


@dataclass(frozen=True)
class GaussianMixtureMethod:
    """Gaussian mixture with one covariance for all domains, the best of ``params.n_init`` initializations."""

    params: DomainParams

    def __call__(
        self, features: np.ndarray, layout: SectionLayout, k: int, rng: np.random.Generator, /
    ) -> DomainLabels:
        """Cluster pixels; see `DomainMethod`."""
        seed = int(rng.integers(2**31))
        mixture = GaussianMixture(k, covariance_type="tied", n_init=self.params.n_init, random_state=seed).fit(features)
        return DomainLabels(mixture.predict(features), mixture.predict_proba(features))
