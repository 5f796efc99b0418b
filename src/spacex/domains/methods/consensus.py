"""``method="consensus"``: consensus of an ensemble of shrunken Gaussian mixtures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacex.domains.consensus import consensus_clustering
from spacex.domains.features import effective_sample_size
from spacex.domains.methods.base import DomainLabels
from spacex.domains.params import DomainParams
from spacex.imaging.layout import SectionLayout


@dataclass(frozen=True)
class ConsensusMethod:
    """Consensus clustering; see `spacex.domains.consensus`."""

    params: DomainParams

    def __call__(
        self, features: np.ndarray, layout: SectionLayout, k: int, rng: np.random.Generator, /
    ) -> DomainLabels:
        """Cluster pixels; see `DomainMethod`."""
        n_effective = effective_sample_size(len(features), self.params.sigma)
        result = consensus_clustering(features, n_effective, k, rng, self.params, n_init=self.params.n_init)
        return DomainLabels(result.label, result.confidence)
