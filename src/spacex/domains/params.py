"""Settings of tissue domains."""

from __future__ import annotations

from dataclasses import dataclass

from spacex._infra.errors import InputError
from spacex._infra.settings import MAX_COUNT, check_tuple, coerce_floats, coerce_ints
from spacex._infra.validation import check_int

LIMITS = {
    "max_genes": (2, MAX_COUNT), "min_genes": (2, MAX_COUNT), "max_values": (1, 10**12), "n_components": (1, 1000),
    "n_init": (1, 1000), "em_max_iter": (1, MAX_COUNT), "n_neighbors": (1, 1000), "border_max_iter": (0, MAX_COUNT),
    "min_domains": (2, MAX_COUNT), "max_domains": (2, MAX_COUNT), "min_pixels_per_candidate": (1, MAX_COUNT),
    "selection_max_pixels": (50, MAX_COUNT), "selection_n_init": (1, 1000), "min_pixels_per_domain": (1, MAX_COUNT),
}  # fmt: skip


@dataclass(frozen=True)
class DomainParams:
    """Settings of `spacex.tl.domains`.

    The defaults are those that measured best; figures below are mean adjusted Rand indices (ARI) from "Tissue domains"
    in ``docs/method.md``.

    Parameters
    ----------
    max_genes
        Maximum number of genes, those with the largest embedding norms. With 500, DLPFC sections lose 0.05 to 0.15.
    min_genes
        Minimum number of genes, up to `max_genes`, even if `max_values` allows fewer.
    max_values
        Maximum number of map values in memory, pixels × genes (160 MB by default); larger sections use fewer genes.
    n_components
        Maximum number of principal components.
    sigma
        Standard deviation, in pixel pitches, of the Gaussian that smooths the maps before components are computed.
        Without smoothing DLPFC falls from 0.61 to 0.44-0.47.
    border_sigma
        As `sigma`, for the maps used to refine borders.
    member_components
        Numbers of leading components used by the mixtures of the consensus. 15 to 40 instead of 10 to 20 gained 0.007
        on DLPFC and 0.015 on all labeled sections.
    n_init
        K-means initializations for each number of components.
    components_per_sample
        Number of components that one effectively independent pixel supports. The covariance of D components from N such
        pixels is shrunk to a sphere by D / (D + components_per_sample · N). Values from 0.15 to 1.5 change the means
        by less than 0.01.
    em_max_iter, em_tol
        Maximum number of EM iterations, and the gain in mean log likelihood below which they stop.
    n_neighbors
        Nearest pixels in the random field that refines borders.
    potts_beta
        Log odds of a domain for each neighbor in it. Values from 1 to 2 change the means by less than 0.01; without the
        random field labeled sections lose 0.025, simulated ones 0.056.
    border_max_iter, border_tol
        Maximum number of mean-field iterations (0 turns the refinement off), and the change of probability below which
        they stop.
    min_domains, max_domains
        Range considered by ``n_domains=None``. Coarser divisions are nearly always stable.
    min_pixels_per_candidate
        Minimum mean number of pixels per domain for a number to be considered by ``n_domains=None``; on small
        sections, divisions that fit noise can be stable.
    selection_max_pixels, selection_n_init
        Maximum number of pixels, and K-means initializations, when the number of domains is selected.
    min_pixels_per_domain
        Minimum mean number of pixels per domain; limits `n_domains`.
    max_fill_distance
        Distance, in pixel pitches, within which a spot in a pixel without counts gets the domain of the nearest pixel.

    Raises
    ------
    InputError
        If a value is outside its range.

    Examples
    --------
    >>> import spacex as sx
    >>> sx.DomainParams(member_components=(10, 20)).member_components
    (10, 20)
    """

    max_genes: int = 2000
    min_genes: int = 250
    max_values: int = 40_000_000
    n_components: int = 40
    sigma: float = 1.0
    border_sigma: float = 0.5
    member_components: tuple[int, ...] = (15, 20, 30, 40)
    n_init: int = 10
    components_per_sample: float = 0.3
    em_max_iter: int = 100
    em_tol: float = 1e-3
    n_neighbors: int = 6
    potts_beta: float = 1.5
    border_max_iter: int = 30
    border_tol: float = 1e-3
    min_domains: int = 5
    max_domains: int = 15
    min_pixels_per_candidate: int = 50
    selection_max_pixels: int = 2000
    selection_n_init: int = 2
    min_pixels_per_domain: int = 5
    max_fill_distance: float = 2.0

    def __post_init__(self) -> None:
        coerce_ints(self, LIMITS)
        coerce_floats(self, "sigma", "border_sigma", "components_per_sample", "em_tol", "border_tol", above=0.0)
        coerce_floats(self, "potts_beta", "max_fill_distance", at_least=0.0)
        if self.min_domains > self.max_domains:
            raise InputError(
                f"DomainParams.min_domains={self.min_domains} is larger than max_domains={self.max_domains}; "
                "pass min_domains <= max_domains"
            )
        sizes = check_tuple(self, "member_components", allowed="a tuple of whole numbers")
        sizes = (check_int(n, name="DomainParams.member_components: an entry", low=1) for n in sizes)
        object.__setattr__(self, "member_components", tuple(sizes))
