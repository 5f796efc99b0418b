"""The sections that the scoreboard runs on: files in a folder, and simulated sections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np

import spacex as sx

from .sources import code_digest, digest

MIN_GENES = 600
QUICK_SIZE = 5_000_000
"""Maximum number of spots × genes of a section in a quick run."""

PAIRS = (
    ("dlpfc_151674", "dlpfc_151676"),
    ("her2st_B1", "her2st_B2"),
    ("her2st_H1", "her2st_H2"),
    ("mousebrain_st_1", "mousebrain_st_2"),
)
"""Two sections of one tissue of one individual."""

SIMULATED = {
    f"sim_{technology}": {"n_genes": 2000, "n_modules": 24, "technology": technology}
    for technology in ("visium", "st", "cells")
}
SMALL_SIMULATED = {
    f"small_{technology}": {"n_genes": 600, "n_spots": 1200, "n_modules": 8, "technology": technology}
    for technology in ("visium", "st", "cells")
}


@dataclass(frozen=True)
class Section:
    """A section by name: a file, or arguments of `sx.datasets.simulate_section`.

    Simulated sections depend on the seed, real sections do not.
    """

    name: str
    path: str | None = None
    simulation: dict[str, Any] | None = None

    @property
    def simulated(self) -> bool:
        return self.simulation is not None

    def load(self, seed: int) -> ad.AnnData:
        """Load a new copy of the section."""
        if self.simulation is not None:
            return sx.datasets.simulate_section(**self.simulation, seed=seed)
        return ad.read_h5ad(self.path)

    def digest(self, seed: int) -> str:
        """Digest that changes with the result of `load`."""
        if self.path is None:
            return digest([self.simulation, seed, code_digest("spacex.datasets")])
        stat = Path(self.path).stat()
        return digest([self.name, stat.st_size, stat.st_mtime_ns])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_sections(data: Path | None, *, quick: bool = False) -> Iterator[Section]:
    """Simulated sections, then all files of the folder with counts, coordinates and at least 600 genes."""
    for name, simulation in (SMALL_SIMULATED if quick else SIMULATED).items():
        yield Section(name, simulation=simulation)
    for path in sorted(data.glob("*.h5ad")) if data is not None else ():
        size = counted_size(path)
        if size is not None and not (quick and size > QUICK_SIZE):
            yield Section(path.stem, path=str(path.resolve()))


def counted_size(path: Path) -> int | None:
    """Spots × genes of a file that can be scored, from its first values; else None."""
    with h5py.File(path) as file:
        x = file["X"]
        if isinstance(x, h5py.Group):
            shape, values = x.attrs["shape"], x["data"][:100_000]
        else:
            shape, values = x.shape, x[: max(1, 100_000 // max(x.shape[1], 1))]
        counts = bool(np.all(values >= 0) and np.all(values == np.round(values)))
        if shape[1] < MIN_GENES or "obsm/spatial" not in file or not counts:
            return None
        return int(shape[0]) * int(shape[1])
