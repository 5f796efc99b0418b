"""The interface of clustering methods, and validation of what they return."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from spacex._infra.errors import InputError, safe_repr
from spacex.imaging.layout import SectionLayout


class DomainLabels(NamedTuple):
    """Result of a clustering method.

    Attributes
    ----------
    labels
        (P,) domain of each pixel, integers from 0 to k - 1.
    confidence
        (P, k) probability of each domain, or (P,) confidence in the label.
    """

    labels: np.ndarray
    confidence: np.ndarray


class DomainMethod(Protocol):
    """A clustering method of `spacex.tl.domains`."""

    def __call__(
        self, features: np.ndarray, layout: SectionLayout, k: int, rng: np.random.Generator, /
    ) -> DomainLabels:
        """Cluster tissue pixels.

        Parameters
        ----------
        features
            (P, D) features of the pixels, in descending order of variance.
        layout
            Sections and positions of the pixels; `spacex.domains.pixel_neighbors` gives their spatial neighbors.
        k
            Number of domains.
        rng
            Random generator; the only source of randomness.

        Returns
        -------
        `DomainLabels`, or a tuple of its two arrays.
        """


def run_method(
    method: DomainMethod, features: np.ndarray, layout: SectionLayout, k: int, rng: np.random.Generator
) -> DomainLabels:
    """Call a method on a copy of the features, and validate its result.

    Raises
    ------
    InputError
        If the result is not a pair of labels from 0 to k - 1 and finite confidences of the right shapes.
    """
    result: Any = method(features.copy(), layout, k, rng)
    hint = "return (labels, confidence), one label from 0 to k - 1 and its confidence for each pixel"
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise InputError(f"method returned {safe_repr(result)}, which is not a pair; {hint}")
    labels, confidence = (np.asarray(part) for part in result)
    n_pixels = len(features)
    if labels.shape != (n_pixels,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"method returned labels of shape {labels.shape} and type {labels.dtype}; return integers of shape "
            f"({n_pixels},), one for each pixel"
        )
    if labels.min() < 0 or labels.max() >= k:
        raise InputError(
            f"method returned labels from {labels.min()} to {labels.max()}; return labels from 0 to {k - 1}"
        )
    if confidence.shape not in ((n_pixels,), (n_pixels, k)) or confidence.dtype.kind not in "fiub":
        raise InputError(
            f"method returned confidence of shape {confidence.shape} and type {confidence.dtype}; return numbers of "
            f"shape ({n_pixels},) or ({n_pixels}, {k})"
        )
    if not np.isfinite(confidence).all():
        raise InputError("method returned NaN or infinite confidence; return finite numbers")
    return DomainLabels(labels.astype(np.int64), confidence.astype(np.float64))
