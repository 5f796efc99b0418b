"""Settings of imputation."""

from __future__ import annotations

from dataclasses import dataclass

from spacex._config import Config
from spacex._infra.settings import MAX_COUNT, check_tuple, coerce_floats, coerce_ints
from spacex._infra.validation import check_int, check_number

LIMITS = {
    "max_cells": (10, 2**31 - 1), "max_genes": (2, MAX_COUNT), "min_cells": (1, MAX_COUNT),
    "n_neighbors": (1, 10_000), "n_averaged": (2, 1000), "n_folds": (2, 1000), "n_support": (1, 10_000),
    "min_panel_genes": (10, MAX_COUNT), "n_cell_components": (1, 10_000), "hidden_size": (1, 8192),
    "max_reported_genes": (1, MAX_COUNT), "max_epochs": (1, MAX_COUNT), "patience": (1, MAX_COUNT),
    "critic_steps": (1, 1000),
}  # fmt: skip
"""Minimum and maximum of every integer setting."""


@dataclass(frozen=True)
class ImputationParams:
    """Settings of `spacex.tl.impute`.

    The defaults are those that measured best; see "Imputation of unmeasured genes" in ``docs/method.md``. PCC is
    the mean Pearson correlation of held-out genes with their log-normalized values over five pairs of sections.

    Parameters
    ----------
    max_cells
        Maximum number of reference cells; more are subsampled at random.
    max_genes
        Maximum number of genes from which the principal components of the reference cells are computed: those with the
        largest share of residual variance above noise.
    n_components
        Candidate numbers of principal components. Fewer components remove more noise: held-out genes prefer 80 in
        Drosophila and 10 in STARmap.
    min_cells
        A gene detected in fewer reference cells is not predicted.
    theta
        Inverse dispersion of the Pearson residuals that weight the genes.
    n_neighbors
        Cells in a neighborhood, including the cell itself. 6 and 30 measured the same as 12.
    self_weight
        Weight of the panel values of a cell itself in its predictors; the rest is the weight of the neighborhood mean.
        A neighborhood weight of 0.5 raised the PCC from 0.321 to 0.328; a larger weight lost 0.01.
    ridges
        Candidate ridge penalties, in units of a gene's variance.
    vector_ridges
        Candidate ridge penalties for a `spacex.Reference`, in units of the mean squared length of the panel's vectors.
    sharpness
        Candidate values of how fast the covariance of two genes decreases with the cosine of their vectors, for a
        `spacex.Reference`. Inner products instead lowered the PCC from 0.304 to 0.294 (Xenium).
    group_powers
        Candidate exponents of the weights of groups, for a `spacex.Reference`. Equal weights lowered the PCC from 0.304
        to 0.294 (Xenium) and from 0.265 to 0.245 (Molecular Cartography).
    max_reported_genes
        Maximum number of genes that are predicted from a `spacex.Reference` if none are requested.
    n_averaged
        Number of best candidates (vectors × ridge) whose predictions are averaged. Four instead of one raised the PCC
        from 0.343 to 0.348.
    n_folds
        Folds of panel genes in which candidates are evaluated.
    n_support
        The support of a prediction is its mean correlation with this number of most correlated panel genes.
    min_reliability
        Genes with a lower reliability are marked as not predictable.
    min_panel_genes
        ``learned="auto"`` trains the corrector with at least this number of panel genes. Panels of 68 to 188 genes
        lost 0.006 to 0.04 PCC, a panel of 776 genes gained 0.003 to 0.025.
    n_cell_components
        Principal components of the target cells in which predictions are corrected.
    hidden_size
        Hidden units of generator and critic.
    max_epochs, patience
        Maximum number of training epochs of the corrector, and epochs without gain on held-out panel genes after which
        it stops.
    learning_rate, weight_decay
        Settings of AdamW.
    critic_steps
        Critic updates per generator update.
    gradient_penalty
        Weight of the critic's gradient penalty (Gulrajani et al. 2017, eq. 3).
    critic_weight
        Weight of the critic in the generator's loss, relative to the squared error. PCC with and without the critic is
        the same (0.1259).
    memory_gate_init
        Initial logit of the share of the memory read-out in a correction.
    holdout_fraction
        Share of panel genes that are held out to stop the training.

    Raises
    ------
    InputError
        If a value is outside its range.

    Examples
    --------
    >>> import spacex as sx
    >>> sx.ImputationParams(n_neighbors=6).n_neighbors
    6
    """

    max_cells: int = 20_000
    max_genes: int = 3000
    n_components: tuple[int, ...] = (10, 20, 40, 80)
    min_cells: int = 5
    theta: float = Config.theta
    n_neighbors: int = 12
    self_weight: float = 0.5
    ridges: tuple[float, ...] = (0.3, 1.0, 3.0)
    vector_ridges: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    sharpness: tuple[float, ...] = (2.0, 5.0)
    group_powers: tuple[float, ...] = (0.5, 1.0, 2.0)
    max_reported_genes: int = 2000
    n_averaged: int = 4
    n_folds: int = 5
    n_support: int = 5
    min_reliability: float = 0.1
    min_panel_genes: int = 200
    n_cell_components: int = 32
    hidden_size: int = 64
    max_epochs: int = 400
    patience: int = 60
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    critic_steps: int = 2
    gradient_penalty: float = 10.0
    critic_weight: float = 0.02
    memory_gate_init: float = -4.0
    holdout_fraction: float = 0.2

    def __post_init__(self) -> None:
        coerce_ints(self, LIMITS)
        coerce_floats(self, "theta", "learning_rate", above=0.0)
        coerce_floats(self, "weight_decay", "gradient_penalty", "critic_weight", at_least=0.0)
        coerce_floats(self, "self_weight", "min_reliability", at_least=0.0, at_most=1.0)
        coerce_floats(self, "holdout_fraction", above=0.0, below=1.0)
        coerce_floats(self, "memory_gate_init")
        positive = {"ridges": 2, "vector_ridges": 2, "sharpness": 1, "group_powers": 1}
        for name, min_length in {"n_components": 1, **positive}.items():
            check_tuple(self, name, min_length=min_length, allowed=f"a tuple of at least {min_length} number(s)")
        ranks = (check_int(n, name="ImputationParams.n_components", low=1, high=10_000) for n in self.n_components)
        object.__setattr__(self, "n_components", tuple(ranks))
        for name in positive:
            numbers = (check_number(value, name=f"ImputationParams.{name}", above=0.0) for value in getattr(self, name))
            object.__setattr__(self, name, tuple(numbers))
