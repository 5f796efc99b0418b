"""Summary of matrix values that decides whether they can be used, and whether they are counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spacex._infra.errors import InputError

MIN_LARGEST, MAX_LARGEST = 1e-15, 1e15
"""Bounds of the largest value: squares and sums then fit single precision, and counts fit 64 bits."""


class ValueSummary(NamedTuple):
    """Summary of an array; summaries of parts can be merged.

    Attributes
    ----------
    n_nonfinite
        Number of NaN and infinite values.
    minimum, maximum
        Smallest and largest value, including zero.
    any_nonzero
        Whether any value differs from zero.
    all_integer
        Whether all values are finite whole numbers.
    """

    n_nonfinite: int = 0
    minimum: float = 0.0
    maximum: float = 0.0
    any_nonzero: bool = False
    all_integer: bool = True

    @classmethod
    def from_values(cls, values: np.ndarray) -> ValueSummary:
        """Summarize an array of numbers."""
        n_nonfinite = int(values.size - np.isfinite(values).sum())
        all_integer = not n_nonfinite and bool(np.all(values == np.rint(values)))
        minimum, maximum = float(values.min(initial=0)), float(values.max(initial=0))
        return cls(n_nonfinite, minimum, maximum, bool(values.any()), all_integer)

    def merge(self, other: ValueSummary) -> ValueSummary:
        """Summary of both arrays together."""
        return ValueSummary(
            self.n_nonfinite + other.n_nonfinite,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.any_nonzero or other.any_nonzero,
            self.all_integer and other.all_integer,
        )

    def raise_if_invalid(self, name: str) -> None:
        """Raise `InputError` if the matrix ``adata.<name>`` cannot be used."""
        if self.n_nonfinite:
            raise InputError(
                f"adata.{name} holds {self.n_nonfinite} NaN or infinite value(s); all must be finite: remove or "
                "replace those values"
            )
        if self.minimum < 0:
            raise InputError(
                f"adata.{name} holds negative values (smallest {self.minimum:g}); pass raw counts, in X or by layer="
            )
        if not self.any_nonzero:
            raise InputError(f"adata.{name} is zero everywhere; pass raw counts, in X or by layer=")
        if not MIN_LARGEST <= self.maximum <= MAX_LARGEST:
            what = "values too large" if self.maximum > MAX_LARGEST else "only values too small"
            raise InputError(
                f"adata.{name} holds {what} to compute with (largest {self.maximum:g}, "
                f"allowed from {MIN_LARGEST:g} to {MAX_LARGEST:g}); pass raw counts, or rescale it"
            )
