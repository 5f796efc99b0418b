"""`ReferenceState`: everything that a reference stores."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from spacex._infra.serialization import json_sha256
from spacex._infra.versions import installed_versions
from spacex.reference.factors import add_section

GROUP_DIMS = 64
"""Maximum number of dimensions of a group, and of a section before it is merged."""

PACKAGES = ("numpy", "scipy", "torch")


@dataclass(frozen=True)
class SectionInfo:
    """Description of a section: a row of `spacex.Reference.sections`.

    Attributes
    ----------
    name
        Unique name of the section.
    species
        Species that the gene names tell, or else ``uns["species"]``; "" if unknown.
    tissue, technology, group, source, licence
        The entries of ``uns`` with these names, "" if missing; `group` is the donor or experiment.
    n_spots, n_genes
        Number of spots in the tissue, and of genes that were used.
    fingerprint
        Hashes of the counts of some pixels; see `spacex.reference.fingerprint`. "" if there are too few.
    """

    name: str
    species: str
    tissue: str
    technology: str
    group: str
    n_spots: int
    n_genes: int
    source: str
    licence: str
    fingerprint: str = ""

    @property
    def donor(self) -> str:
        """Name that sections of one donor share: the group, or the section itself."""
        return f"group {self.group}" if self.group else f"section {self.name}"

    @property
    def group_name(self) -> str:
        """Name of the group of sections with the same tissue and technology."""
        return f"{self.tissue or 'unknown'}, {self.technology or 'unknown'}"


@dataclass(frozen=True, eq=False)
class GroupState:
    """Sum of the similarity matrices of the sections with one tissue and technology.

    Attributes
    ----------
    name
        ``"tissue, technology"``.
    factor
        (G, d) float32 factor of the weighted sum, d ≤ `GROUP_DIMS`; zero for genes that were not measured.
    weight
        (G,) float32, sum of the weights of the sections in which each gene was measured.
    n_sections
        (G,) int32, number of these sections.
    """

    name: str
    factor: np.ndarray
    weight: np.ndarray
    n_sections: np.ndarray

    @classmethod
    def empty(cls, name: str, n_genes: int) -> GroupState:
        """Group without sections."""
        zeros = np.zeros(n_genes, dtype=np.float32)
        return cls(name, np.zeros((n_genes, 0), dtype=np.float32), zeros, np.zeros(n_genes, dtype=np.int32))

    def vectors(self) -> np.ndarray:
        """Vectors (G, d) float32 of the genes: mean over the sections in which a gene was measured."""
        tiny = np.finfo(np.float32).tiny
        return np.asarray(self.factor / np.sqrt(np.maximum(self.weight, tiny))[:, None], dtype=np.float32)

    def expand(self, rows: np.ndarray, n_genes: int) -> GroupState:
        """Return the group with its genes at other rows among `n_genes`."""
        group = GroupState.empty(self.name, n_genes)
        factor = np.zeros((n_genes, self.factor.shape[1]), dtype=np.float32)
        factor[rows], group.weight[rows], group.n_sections[rows] = self.factor, self.weight, self.n_sections
        return GroupState(self.name, factor, group.weight, group.n_sections)

    def add(self, rows: np.ndarray, vectors: np.ndarray, weight: float) -> GroupState:
        """Return the group with one more section; arguments as for `spacex.reference.factors.add_section`."""
        weights, n_sections = self.weight.copy(), self.n_sections.copy()
        weights[rows] += np.float32(weight)
        n_sections[rows] += 1
        return GroupState(self.name, add_section(self.factor, rows, vectors, weight, GROUP_DIMS), weights, n_sections)


@dataclass(frozen=True, eq=False)
class ReferenceState:
    """Everything that a reference stores.

    Attributes
    ----------
    genes
        (G,) symbols, sorted and unique.
    groups
        Groups of sections, sorted by name.
    sections
        Descriptions of the sections, in the order in which they were merged.
    n_dims
        Maximum number of joint dimensions.
    seed
        Seed of the vectors of the sections.
    versions
        Versions of the packages that wrote it.
    """

    genes: np.ndarray
    groups: tuple[GroupState, ...]
    sections: tuple[SectionInfo, ...]
    n_dims: int
    seed: int
    versions: dict[str, str] = field(default_factory=lambda: installed_versions(PACKAGES))

    @property
    def species(self) -> str:
        """Species of the sections, "" if unknown."""
        return next((section.species for section in self.sections if section.species), "")

    def without_groups(self, names: Collection[str]) -> ReferenceState:
        """Return the state without the groups with these names and their sections; genes that nothing knows stay."""
        groups = tuple(group for group in self.groups if group.name not in names)
        sections = tuple(section for section in self.sections if section.group_name not in names)
        return replace(self, groups=groups, sections=sections)

    def digest(self) -> str:
        """SHA-256 of the contents, independent of versions and of the file format."""
        header = {
            "genes": self.genes.tolist(),
            "sections": [asdict(section) for section in self.sections],
            "groups": [group.name for group in self.groups],
            "n_dims": self.n_dims,
            "seed": self.seed,
        }
        digest = hashlib.sha256(json_sha256(header).encode())
        for array in self._arrays():
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _arrays(self) -> Iterator[np.ndarray]:
        for group in self.groups:
            yield from (group.factor, group.weight, group.n_sections)
