"""Covariances between genes, as kernels of gene vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class GeneKernel(Protocol):
    """Covariance between genes."""

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Covariances (A, B) of the genes at positions (A,) with those at positions (B,)."""
        ...


@dataclass(frozen=True)
class LinearKernel:
    """Inner products of gene vectors (G, D)."""

    vectors: np.ndarray

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Covariances (A, B) of the genes at positions (A,) with those at positions (B,)."""
        return np.asarray(self.vectors[first] @ self.vectors[second].T)


@dataclass(frozen=True)
class CosineKernel:
    """Kernel that decreases exponentially with the cosine of two gene vectors.

    k(g, h) = |v_g| |v_h| exp(sharpness (cos(v_g, v_h) - 1)). Genes with longer vectors, whose patterns agree
    between sections, have larger covariances; the covariance with a gene without a vector is zero. The exponential is
    never zero, so that every gene borrows from the mean map of the panel.

    Attributes
    ----------
    directions
        (G, D) float32 vectors of length one; zero for genes without a vector.
    length
        (G,) lengths of the vectors.
    sharpness
        How fast the covariance decreases.
    """

    directions: np.ndarray
    length: np.ndarray
    sharpness: float

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Covariances (A, B) of the genes at positions (A,) with those at positions (B,)."""
        cosine = self.directions[first] @ self.directions[second].T
        return np.asarray(np.exp(self.sharpness * (cosine - 1.0)) * np.outer(self.length[first], self.length[second]))


def cosine_kernels(
    groups: Sequence[np.ndarray], weights: np.ndarray, panel: np.ndarray, sharpness: Sequence[float]
) -> list[CosineKernel]:
    """Cosine kernels of the vectors (G, D) of several groups, side by side; one for each value of `sharpness`.

    Inner products of each group are multiplied by its weight (n,). Lengths are scaled such that the mean square over
    the genes at positions `panel` (P,) is one.
    """
    scaled = [np.float32(np.sqrt(weight)) * group for weight, group in zip(weights, groups, strict=True) if weight > 0]
    vectors = np.hstack(scaled).astype(np.float32, copy=False)
    length = np.linalg.norm(vectors, axis=1).astype(np.float64)
    directions = vectors / np.maximum(length, 1e-9).astype(np.float32)[:, None]
    scale = max(float(np.sqrt(np.mean(length[panel] ** 2))), 1e-9)
    return [CosineKernel(directions, length / scale, value) for value in sharpness]
