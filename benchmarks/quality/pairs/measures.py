"""Scores of pairs by all methods in one section."""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd

import spacex as sx
from spacex import _adata
from spacex.pairs import Colocation, CosineSimilarity

from .. import linear

PCA = {"log PCA": linear.log_pca, "residual PCA": linear.residual_pca, "smoothed PCA": linear.smoothed_pca,
       "both PCA": linear.both_pca}  # fmt: skip
METHODS = ("SpaCEX similarity", "SpaCEX probability", "SpaCEX function", *PCA, "same spot", "neighbors", "expression",
           "strength")  # fmt: skip
CONTROLS = ("SpaCEX similarity", "smoothed PCA", "same spot", "expression")
"""Single features of the classifiers in the supervised task."""


class Section:
    """A section with the inputs of all methods.

    Parameters
    ----------
    adata
        The section.
    reference
        Reference without sections of its donor; None for the section alone.

    Attributes
    ----------
    adata
        Embedded genes only.
    """

    def __init__(self, adata: ad.AnnData, reference: sx.Reference | None = None):
        sx.tl.embed(adata, reference=reference, progress=False)
        z = adata.varm["X_spacex"]
        self.adata = adata[:, np.isfinite(z).all(axis=1)].copy()
        images = sx.pp.gene_images(self.adata)
        self.z = self.adata.varm["X_spacex"]
        self.expression = np.log(_adata.read_gene_totals(self.adata, None))
        self.strength = np.log(np.linalg.norm(self.z, axis=1))
        self.of: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "SpaCEX similarity": CosineSimilarity(self.z).pairwise,
            "SpaCEX probability": self._probability,
            "SpaCEX function": CosineSimilarity(self.adata.varm["X_spacex_cofunction"]).pairwise,
            "same spot": Colocation(images, "same").pairwise,
            "neighbors": Colocation(images, "neighbors").pairwise,
            "expression": lambda pairs: self.expression[pairs].sum(axis=1),
            "strength": lambda pairs: self.strength[pairs].sum(axis=1),
        }
        for name, method in PCA.items():
            self.of[name] = CosineSimilarity(np.nan_to_num(method(self.adata, 0).z)).pairwise

    def table(self, pairs: np.ndarray) -> pd.DataFrame:
        """Pairs by the names of their genes."""
        names = self.adata.var_names.to_numpy()
        return pd.DataFrame({"gene_a": names[pairs[:, 0]], "gene_b": names[pairs[:, 1]]})

    def _probability(self, pairs: np.ndarray) -> np.ndarray:
        return sx.tl.score_pairs(self.adata, self.table(pairs))["probability"].to_numpy()

    def learned(self, known: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Probabilities of pairs by the classifier of `sx.tl.interactions`, fitted to known pairs."""
        sx.tl.interactions(self.adata, known=self.table(known), n_neighbors=1)
        probability = self._probability(pairs)
        del self.adata.uns["spacex"]["interactions"]
        return probability
