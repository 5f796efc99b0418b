"""Options of ``spacex run``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import spacex as sx
from spacex.cli._checkpoint import fingerprint

SHIPPED_REFERENCES = ("auto", "human", "mouse")


@dataclass(frozen=True)
class RunOptions:
    """Options of ``spacex run``, except input and output; see ``spacex run --help``."""

    coordinates: Path | None = None
    bin: str | None = None
    sample: str | None = None
    layer: str | None = None
    spatial_key: str | None = None
    library_key: str | None = None
    reference: str = "auto"
    n_modules: int | None = None
    n_domains: int | None = None
    gene_sets: Path | None = None
    seed: int = 0
    device: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    lazy: bool = False

    def to_config(self) -> sx.Config:
        """Return the settings of the method with the options for processes and devices."""
        parallel: dict[str, Any] = {"strategy": self.strategy, "precision": self.precision}
        return sx.Config(devices=self.devices, num_nodes=self.num_nodes, **parallel)

    @property
    def reference_file(self) -> Path | None:
        """File of the reference; None if the option is one of `SHIPPED_REFERENCES` or none."""
        return None if self.reference in ("none", *SHIPPED_REFERENCES) else Path(self.reference)

    @property
    def reference_argument(self) -> str | Path | None:
        """The argument `reference` of `spacex.tl.embed`."""
        return self.reference_file or (None if self.reference == "none" else self.reference)

    def to_flags(self) -> list[str]:
        """Return the options as command-line arguments, with absolute paths."""
        flags: list[str] = []
        for field in fields(self):
            value, flag = getattr(self, field.name), f"--{field.name.replace('_', '-')}"
            if value is True:
                flags.append(flag)
            elif value is not None and value is not False:
                if field.name == "reference" and self.reference_file is not None:
                    value = self.reference_file
                flags += [flag, str(value.absolute() if isinstance(value, Path) else value)]
        return flags

    def embedding_choices(self) -> dict[str, Any]:
        """Return the options that the embedding depends on, as JSON values."""
        return {
            "coordinates": fingerprint(self.coordinates) if self.coordinates is not None else None,
            "bin": self.bin,
            "sample": self.sample,
            "layer": self.layer,
            "spatial_key": self.spatial_key,
            "library_key": self.library_key,
            "reference": self.reference if self.reference_file is None else fingerprint(self.reference_file),
            "n_modules": self.n_modules or "auto",
            "seed": self.seed,
        }

    def result_choices(self) -> dict[str, Any]:
        """Return the options that the result depends on, as JSON values."""
        gene_sets = fingerprint(self.gene_sets) if self.gene_sets is not None else None
        return {**self.embedding_choices(), "n_domains": self.n_domains, "gene_sets": gene_sets}
