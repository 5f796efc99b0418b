"""`Config`: the settings of gridding, embedding, mixture, training and parallel runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from spacex._infra.errors import InputError, safe_repr
from spacex._infra.settings import (
    MAX_COUNT,
    coerce_floats,
    coerce_ints,
    settings_from_dict,
    settings_to_dict,
)
from spacex._infra.validation import check_choice

MAX_SIDE = 2048
"""Maximum number of pixels per side of a grid; larger maps do not fit in memory."""

INTEGER_BOUNDS: dict[str, tuple[int, int]] = {
    "max_side": (4, MAX_SIDE), "min_counts": (1, 2**31 - 1), "n_dims": (2, MAX_COUNT), "genes_per_dim": (1, MAX_COUNT),
    "fine_dims": (0, MAX_COUNT), "patch_size": (1, MAX_SIDE), "d_model": (1, 8192), "n_layers": (0, 256),
    "n_heads": (1, 8192), "epochs": (0, MAX_COUNT), "genes_per_epoch": (1, MAX_COUNT), "patience": (1, MAX_COUNT),
    "batch_size": (1, MAX_COUNT), "n_null_genes": (50, 10_000), "max_modules": (2, MAX_COUNT),
    "em_starts": (1, 10_000), "em_iterations": (1, MAX_COUNT), "boost_rounds": (0, MAX_COUNT),
    "boost_epochs": (1, MAX_COUNT), "devices": (1, 4096), "num_nodes": (1, 65_536),
}  # fmt: skip
"""Minimum and maximum of every integer setting."""

OLD_NAMES = {
    "patch": "patch_size", "width": "d_model", "depth": "n_layers", "heads": "n_heads", "batch": "batch_size",
    "holdout": "holdout_fraction", "epoch_genes": "genes_per_epoch", "own_signal": "gene_specific_share",
}  # fmt: skip
"""Names of settings in files written before they were renamed."""
REMOVED = (
    "scale", "covariance_type", "unassigned", "background_threshold", "n_null", "n_permuted_genes", "nu_range",
    "em_starts", "em_iterations", "em_tolerance",
)  # fmt: skip
"""Settings of an earlier mixture, which are ignored in files that contain any of `ONLY_BEFORE`."""
ONLY_BEFORE = {"scale", "covariance_type", "unassigned", "background_threshold"}


@dataclass(frozen=True)
class Config:
    """Settings of the method.

    The defaults are those that measured best; figures below are from ``docs/method.md``.

    Parameters
    ----------
    max_side
        Maximum number of pixels per side when free positions are binned.
    spots_per_pixel
        Mean number of spots per pixel, at median density, when free positions are binned.
    theta
        Inverse dispersion of the Pearson residuals.
    min_counts
        Minimum number of counts in the section for a gene to be embedded.
    sigma
        Standard deviation, in pixel pitches, of the Gaussian kernel that smooths maps before the smooth components are
        computed.
    n_dims
        Maximum number of smooth dimensions; an embedding has at most D = n_dims + fine_dims dimensions. Dimensions are
        weighted by their signal, so that superfluous ones do not harm: module purity was 0.858 with 48, 0.856 with 32
        and 0.855 with 24.
    genes_per_dim
        Minimum number of genes per smooth dimension (at least four dimensions are used). With 5 instead of 40, the
        median squared norm of genes without a pattern was 1.2 to 1.4 times its expected value on panels of 250 genes.
    fine_dims
        Maximum number of fine dimensions: components of the unsmoothed maps orthogonal to the smooth ones. Those
        without signal shared by independent halves of the counts are dropped. 0 disables them.
    noise_share
        Fraction of the noise in the weight of a dimension, signal / (signal + noise_share * noise). Values of 0.15 and
        0.5 differed by less than the spread between sections.
    gene_specific_share
        Fraction of the variance shared by halves of a gene's counts along random directions that is subtracted from
        the signal: it is specific to the gene, such as overdispersion.
    patch_size
        Side of a patch in pixels.
    d_model, n_layers, n_heads
        Embedding dimension, number and attention heads of the transformer blocks. ``n_layers=0`` leaves only the
        linear path.
    holdout_fraction
        Fraction of the counts held out, by binomial thinning, for early stopping.
    epochs
        Maximum number of pre-training epochs. 0, the default, keeps the linear initialization and builds no attention
        path, since training did not improve on it. To try training, 4 is enough.
    genes_per_epoch
        Maximum number of genes per epoch, redrawn for each: it bounds the cost of training.
    patience
        Number of epochs without improvement on the held-out counts before pre-training stops.
    batch_size
        Number of genes per batch.
    learning_rate, weight_decay
        AdamW parameters of pre-training.
    patch_mask, pixel_mask
        Fraction of patches that are masked, and fraction of pixels that are masked in the visible patches.
    concentration
        Dirichlet concentration of the mixture weights.
    mean_precision
        Precision of the prior of the mean of a module. The posterior variance of the mean is part of the module's
        density, so that a module of few genes does not attract others by chance.
    min_module_prob
        Probability of its most probable module above which a gene is assigned to it. Other genes are unassigned: they
        have no clear spatial pattern, too few counts to tell, or lie between modules.
    n_null_genes
        Maximum number of genes that are redrawn without a pattern and take part in the fit; at most a quarter of
        the number of genes, but at least 100. They calibrate the strength of patterns and the probabilities of modules.
    max_modules
        Maximum number of modules considered by ``n_modules="auto"``.
    em_starts
        Number of initializations of the mixture; the one with the highest likelihood is used.
    em_iterations, em_tolerance
        Maximum number of EM iterations, and the gain of the log likelihood per gene below which EM stops.
    boost_rounds
        Maximum number of rounds of discriminative boosting. 0, the default, disables it, since it did not improve
        results. To try it, 2 is enough.
    boost_epochs
        Number of epochs per round.
    boost_power
        Exponent that sharpens the posterior into the target distribution.
    boost_learning_rate
        AdamW learning rate of boosting.
    boost_tolerance
        Relative loss on the held-out counts, compared with before boosting, at which boosting stops.
    devices, num_nodes
        Number of devices (GPUs, or processes on CPUs) per machine, and number of machines, that share the genes.
        Results equal those of one process up to rounding. More than one process needs the extra ``scale``; see
        ``docs/scale.md``. On the CPUs of one machine, at most as many processes as cores are started, or eight if
        there are fewer cores.
    strategy
        ``"auto"``: use the processes started by torchrun or srun, else start new ones on this machine; ``"ddp"``: only
        the former; ``"ddp_spawn"``: only the latter.
    precision
        Precision of training: ``"32-true"``, or with the extra ``scale`` ``"bf16-mixed"`` and, on GPUs,
        ``"16-mixed"``.

    Examples
    --------
    >>> import spacex as sx
    >>> sx.Config(min_module_prob=0.9).min_module_prob  # stricter: leaves more genes unassigned
    0.9
    """

    max_side: int = 96
    spots_per_pixel: float = 2.0
    theta: float = 100.0
    min_counts: int = 5
    sigma: float = 1.0
    n_dims: int = 48
    genes_per_dim: int = 40
    fine_dims: int = 64
    noise_share: float = 0.15
    gene_specific_share: float = 0.75
    patch_size: int = 8
    d_model: int = 64
    n_layers: int = 1
    n_heads: int = 4
    holdout_fraction: float = 0.1
    epochs: int = 0
    genes_per_epoch: int = 4096
    patience: int = 1
    batch_size: int = 256
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    patch_mask: float = 0.5
    pixel_mask: float = 0.3
    concentration: float = 2.0
    mean_precision: float = 3.0
    min_module_prob: float = 0.5
    n_null_genes: int = 2000
    max_modules: int = 60
    em_starts: int = 3
    em_iterations: int = 25
    em_tolerance: float = 1e-4
    boost_rounds: int = 0
    boost_epochs: int = 1
    boost_power: float = 2.0
    boost_learning_rate: float = 1e-4
    boost_tolerance: float = 0.02
    devices: int = 1
    num_nodes: int = 1
    strategy: Literal["auto", "ddp", "ddp_spawn"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"

    def __post_init__(self) -> None:
        coerce_ints(self, INTEGER_BOUNDS)
        coerce_floats(self, "spots_per_pixel", "theta", "sigma", "learning_rate", "concentration", above=0.0)
        coerce_floats(self, "mean_precision", "em_tolerance", above=0.0)
        coerce_floats(self, "boost_power", "boost_learning_rate", "boost_tolerance", above=0.0)
        coerce_floats(self, "weight_decay", "noise_share", "gene_specific_share", at_least=0.0)
        coerce_floats(self, "holdout_fraction", "min_module_prob", above=0.0, below=1.0)
        coerce_floats(self, "patch_mask", "pixel_mask", at_least=0.0, below=1.0)
        check_choice(self.strategy, name="Config.strategy", allowed=("auto", "ddp", "ddp_spawn"))
        check_choice(self.precision, name="Config.precision", allowed=("32-true", "bf16-mixed", "16-mixed"))
        if self.strategy == "ddp_spawn" and self.num_nodes > 1:
            raise InputError(
                f"Config.num_nodes={self.num_nodes} is not allowed with strategy='ddp_spawn', which starts processes "
                "only on this machine; pass num_nodes=1, or strategy='ddp' with srun or torchrun"
            )
        if self.d_model % self.n_heads:
            raise InputError(f"Config.d_model={self.d_model} must be a multiple of Config.n_heads={self.n_heads}")

    @property
    def is_trained(self) -> bool:
        """Whether pre-training or boosting changes the linear initialization."""
        return self.epochs > 0 or self.boost_rounds > 0

    @property
    def n_processes(self) -> int:
        """Number of processes that share the genes."""
        return self.devices * self.num_nodes

    def single_process(self) -> Config:
        """Return the same settings for one process.

        Returns
        -------
        The `Config`.

        Examples
        --------
        >>> import spacex as sx
        >>> sx.Config(devices=4).single_process().devices
        1
        """
        return replace(self, devices=1, num_nodes=1, strategy="auto")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-serializable values.

        Returns
        -------
        A dict from setting name to value.

        Examples
        --------
        >>> import spacex as sx
        >>> sx.Config().to_dict()["theta"]
        100.0
        """
        return settings_to_dict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """Create settings from the output of `to_dict`.

        Parameters
        ----------
        values
            Settings by name; missing ones get their defaults. Names used by earlier versions are
            accepted; settings of a mixture that no longer exists are ignored.

        Returns
        -------
        The `Config`.

        Raises
        ------
        InputError
            If a name is unknown or a value is not allowed.

        Examples
        --------
        >>> import spacex as sx
        >>> sx.Config.from_dict({"theta": 10}).theta
        10.0
        """
        if not isinstance(values, dict):
            raise InputError(f"values={safe_repr(values)} is not a dict; pass the output of Config.to_dict()")
        if ONLY_BEFORE & set(map(str, values)):
            values = {name: value for name, value in values.items() if name not in REMOVED}
        return settings_from_dict(cls, {OLD_NAMES.get(name, name): value for name, value in values.items()})
