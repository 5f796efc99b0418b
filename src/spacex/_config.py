"""Every number of the method, once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from spacex._infra.errors import InputError, safe_repr
from spacex._infra.validation import check_choice, check_int, check_number

MAX_SIDE = 2048
"""Pixels a side beyond which no grid is made: maps of that size no longer fit in memory."""

MOST = 1_000_000
"""Of whatever is counted and has no other limit: no count beyond it was meant."""

COUNTED: dict[str, tuple[int, int]] = {
    "max_side": (4, MAX_SIDE), "min_counts": (1, 2**31 - 1), "n_dims": (2, MOST), "genes_per_dim": (1, MOST),
    "fine_dims": (0, MOST), "patch": (1, MAX_SIDE), "width": (1, 8192), "depth": (0, 256), "heads": (1, 8192),
    "epochs": (0, MOST), "epoch_genes": (1, MOST), "patience": (1, MOST), "batch": (1, MOST), "n_null": (50, 10_000),
    "max_modules": (2, MOST), "em_starts": (1, 10_000), "em_iterations": (1, MOST), "boost_rounds": (0, MOST),
    "boost_epochs": (1, MOST), "devices": (1, 4096), "num_nodes": (1, 65_536),
}  # fmt: skip
"""The smallest and the largest of every whole number among the settings."""


@dataclass(frozen=True)
class Config:
    """Settings of the method; the defaults are those that measured best (see ``docs/method.md``).

    Parameters
    ----------
    max_side
        Largest number of pixels a side when free positions are binned.
    spots_per_pixel
        Mean number of spots in a pixel, at median density, when free positions are binned.
    theta
        Inverse dispersion in the Pearson residuals.
    min_counts
        Genes with fewer counts in the section are not embedded.
    sigma
        Width in pixel pitches of the Gaussian that smooths maps before the linear start is taken from them.
    n_dims
        Most dimensions for smooth patterns. Each is weighed by its signal, so that spare ones do no harm. An embedding
        has D = n_dims + fine_dims dimensions or fewer.
    genes_per_dim
        One smooth dimension, or fewer, for every so many genes, but four at least: dimensions that few genes support
        hold their noise.
    fine_dims
        Further dimensions, for what spots share beyond smooth patterns: components of the maps outside the span of the
        first ones. Those in which independent halves of the counts share nothing are left out; 0 leaves out all.
    noise_share
        Of a dimension's noise, the share that counts against its signal: its weight is
        signal / (signal + noise_share * noise).
    own_signal
        Of the variance that halves of a gene's counts share along any direction, the share that is not counted as
        signal: it is the gene's own and says nothing of others.
    patch
        Side of a patch in pixels.
    width, depth, heads
        Of the transformer blocks. ``depth=0`` leaves the linear path alone.
    holdout
        Share of the counts set aside by binomial thinning to stop the training.
    epochs
        Most passes over the genes in pre-training; 0, the default, keeps the linear start and builds no attention path:
        training has not been seen to improve on it (``docs/method.md``). 4 is enough to try.
    epoch_genes
        Most genes in one pass, drawn anew for each: the cost of training does not grow with the genes beyond it.
    patience
        Epochs without a gain on the held-out counts after which pre-training stops.
    batch
        Genes in a batch.
    learning_rate, weight_decay
        Of AdamW.
    patch_mask, pixel_mask
        Share of the patches that are hidden, and of the pixels of the visible patches.
    scale
        Scale of the mixture's components: one for all (``"tied"``) or one each (``"spherical"``).
    concentration
        Dirichlet concentration of the components' weights.
    unassigned
        Posterior of the background above which a gene is left unassigned.
    n_null
        Genes with shuffled pixels that tell how strong a signal looks where there is none.
    max_modules
        Largest number of modules that ``n_modules="auto"`` considers.
    em_starts
        Starts of the mixture; the one with the highest log posterior is kept.
    em_iterations, em_tolerance
        Most EM iterations, and the relative gain of the objective at which they stop.
    nu_range
        Bounds of the degrees of freedom.
    boost_rounds
        Most rounds of discriminative boosting; 0, the default, turns it off, for the same reason. 2 is enough to try.
    boost_epochs
        Passes over the genes in one round.
    boost_power
        Exponent that sharpens the posteriors into the target.
    boost_learning_rate
        Of AdamW while boosting.
    boost_tolerance
        Loss of held-out gain, relative to that before boosting, at which boosting stops.
    devices, num_nodes
        Processes that share the genes: devices (GPUs, or processes on CPUs) of each machine, and machines. Results are
        those of one process but for rounding. More than one needs the extra ``scale``; see ``docs/scale.md``. On CPUs
        of this machine no more are started than there are cores, or eight where these are fewer.
    strategy
        ``"auto"``: with the processes that torchrun or srun started, else in new ones on this machine; ``"ddp"``: only
        the former; ``"ddp_spawn"``: only the latter.
    precision
        Of the training loops: ``"32-true"``, or with the extra ``scale`` ``"bf16-mixed"`` and, on GPUs,
        ``"16-mixed"``.

    Examples
    --------
    >>> import spacex as sx
    >>> sx.Config(unassigned=0.9).unassigned  # stricter: more genes are left without a module
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
    own_signal: float = 0.75
    patch: int = 8
    width: int = 64
    depth: int = 1
    heads: int = 4
    holdout: float = 0.1
    epochs: int = 0
    epoch_genes: int = 4096
    patience: int = 1
    batch: int = 256
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    patch_mask: float = 0.5
    pixel_mask: float = 0.3
    scale: Literal["tied", "spherical"] = "tied"
    concentration: float = 2.0
    unassigned: float = 0.9999
    n_null: int = 500
    max_modules: int = 60
    em_starts: int = 10
    em_iterations: int = 200
    em_tolerance: float = 1e-6
    nu_range: tuple[float, float] = (10.0, 200.0)
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
        for name, (low, high) in COUNTED.items():
            object.__setattr__(self, name, check_int(getattr(self, name), name=f"Config.{name}", low=low, high=high))
        positive = ("spots_per_pixel", "theta", "sigma", "learning_rate", "concentration", "em_tolerance")
        for name in (*positive, "boost_power", "boost_learning_rate", "boost_tolerance"):
            _check_range(self, name, above=0.0)
        for name in ("weight_decay", "noise_share", "own_signal"):
            _check_range(self, name, at_least=0.0)
        _check_range(self, "holdout", above=0.0, below=1.0)
        _check_range(self, "unassigned", above=0.0, below=1.0)
        _check_range(self, "patch_mask", at_least=0.0, below=1.0)
        _check_range(self, "pixel_mask", at_least=0.0, below=1.0)
        check_choice(self.scale, name="Config.scale", allowed=("tied", "spherical"))
        check_choice(self.strategy, name="Config.strategy", allowed=("auto", "ddp", "ddp_spawn"))
        check_choice(self.precision, name="Config.precision", allowed=("32-true", "bf16-mixed", "16-mixed"))
        if self.strategy == "ddp_spawn" and self.num_nodes > 1:
            raise InputError(
                f"Config.num_nodes={self.num_nodes} is not allowed with strategy='ddp_spawn', which starts processes "
                "on this machine alone; pass num_nodes=1, or strategy='ddp' with srun or torchrun"
            )
        if self.width % self.heads:
            raise InputError(f"Config.width={self.width} must be a multiple of Config.heads={self.heads}")
        pair = self.nu_range
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InputError(f"Config.nu_range={safe_repr(pair)} is not allowed; pass a pair of rising numbers")
        name = f"Config.nu_range={safe_repr(pair)}"
        low_nu = check_number(pair[0], name=f"{name}: the first", above=0.0)
        high_nu = check_number(pair[1], name=f"{name}: the second", above=low_nu)
        object.__setattr__(self, "nu_range", (low_nu, high_nu))

    @property
    def learns(self) -> bool:
        """Whether gradients change the linear start: pre-training or boosting is on."""
        return self.epochs > 0 or self.boost_rounds > 0

    @property
    def n_processes(self) -> int:
        """How many processes share the genes."""
        return self.devices * self.num_nodes

    def alone(self) -> Config:
        """The same settings for one process.

        Returns
        -------
        The `Config`.

        Examples
        --------
        >>> import spacex as sx
        >>> sx.Config(devices=4).alone().devices
        1
        """
        return replace(self, devices=1, num_nodes=1, strategy="auto")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values that JSON can hold.

        Returns
        -------
        A dict from name to value.

        Examples
        --------
        >>> import spacex as sx
        >>> sx.Config().to_dict()["theta"]
        100.0
        """
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """The settings written by `to_dict`.

        Parameters
        ----------
        values
            Settings by name; those left out have their defaults.

        Returns
        -------
        The `Config`.

        Raises
        ------
        InputError
            If a name is unknown or a value not allowed.

        Examples
        --------
        >>> import spacex as sx
        >>> sx.Config.from_dict({"theta": 10}).theta
        10.0
        """
        if not isinstance(values, dict):
            raise InputError(f"values={safe_repr(values)} is not a dict; pass what Config.to_dict() gave")
        known = {f.name for f in fields(cls)}
        unknown = sorted(str(name) for name in set(values) - known)
        if unknown:
            raise InputError(f"Config has no setting {', '.join(unknown[:5])}; known are {', '.join(sorted(known))}")
        plain = {key: _plain(value) for key, value in values.items()}
        return cls(**plain)


def _plain(value: Any) -> Any:
    """A setting as it was before JSON, HDF5 or zarr kept it: pairs as tuples, numbers as Python's own."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value


def _check_range(config: Config, name: str, **bounds: float) -> None:
    """Put the setting of that name down as a float, within the bounds of `check_number`."""
    object.__setattr__(config, name, check_number(getattr(config, name), name=f"Config.{name}", **bounds))
