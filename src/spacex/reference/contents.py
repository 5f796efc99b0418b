"""`ReferenceContents`: attributes of a reference, and look-up of genes in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_name
from spacex.gene_names import GeneNames
from spacex.reference.factors import joint_vectors
from spacex.reference.fingerprint import is_same_section
from spacex.reference.gene_knowledge import GeneKnowledge
from spacex.reference.state import ReferenceState, SectionInfo
from spacex.stats import l2_normalize


@dataclass(frozen=True, eq=False, repr=False)
class ReferenceContents:
    """Base class of `spacex.Reference`: reads its state.

    Attributes
    ----------
    state
        Contents of the reference.
    """

    state: ReferenceState

    @property
    def genes(self) -> np.ndarray:
        """(G,) symbols of the genes, sorted."""
        return self.state.genes.copy()

    @property
    def species(self) -> str:
        """Species of the sections, such as ``"human"``; "" if unknown."""
        return self.state.species

    @property
    def seed(self) -> int:
        """Seed of the vectors of the sections."""
        return self.state.seed

    @property
    def groups(self) -> list[str]:
        """Names of the groups, ``"tissue, technology"``, sorted."""
        return [group.name for group in self.state.groups]

    @property
    def sections(self) -> pd.DataFrame:
        """Table with a row per section.

        Columns: name, species, tissue, technology, group (donor or experiment), n_spots, n_genes, source, licence.
        """
        columns = [field.name for field in fields(SectionInfo) if field.name != "fingerprint"]
        return pd.DataFrame([asdict(section) for section in self.state.sections], columns=columns)

    @cached_property
    def vectors(self) -> np.ndarray:
        """(G, D) float32 joint vectors of the genes over all groups, D ≤ n_dims; computed on first use."""
        empty = np.zeros((len(self.state.genes), 0), dtype=np.float32)
        vectors = joint_vectors([empty, *(group.vectors() for group in self.state.groups)], self.state.n_dims)
        vectors.flags.writeable = False
        return vectors

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the contents."""
        return self.state.digest()

    @cached_property
    def _names(self) -> GeneNames:
        return GeneNames(self.state.genes, self.state.genes)

    def without_section(self, counts: sp.csc_array, genes: np.ndarray) -> tuple[Self, list[str]]:
        """Leave out the groups that hold a section, so that it is not compared with its own noise.

        Parameters
        ----------
        counts
            (P, n) counts of the section per pixel.
        genes
            (n,) symbols.

        Returns
        -------
        The reference without these groups (tissue and technology), and the names of the sections that are recognized
        as this one.
        """
        found = [s for s in self.state.sections if is_same_section(s.fingerprint, counts, genes)]
        if not found:
            return self, []
        state = self.state.without_groups({section.group_name for section in found})
        return replace(self, state=state), [section.name for section in found]

    def group_vectors(self, genes: Iterable[str]) -> list[np.ndarray]:
        """Vectors of genes in each group.

        Parameters
        ----------
        genes
            Symbols of n genes, matched exactly or else ignoring case.

        Returns
        -------
        An array (n, d) float32 per group, in the order of `groups`; zero for genes that are unknown or were not
        measured in the group.

        Examples
        --------
        >>> import spacex as sx
        >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
        >>> reference = sx.Reference.fit([adata], progress=False)
        >>> [vectors.any(axis=1).tolist() for vectors in reference.group_vectors(["gene0001", "no such gene"])]
        [[True, False]]
        """
        index = self._names.indices(genes)
        is_known = index >= 0
        result = []
        for group in self.state.groups:
            vectors = np.zeros((len(index), group.factor.shape[1]), dtype=np.float32)
            vectors[is_known] = group.vectors()[index[is_known]]
            result.append(vectors)
        return result

    def gene_vectors(self, genes: Iterable[str]) -> np.ndarray:
        """Joint vectors of genes.

        Parameters
        ----------
        genes
            Symbols of n genes, matched exactly or else ignoring case.

        Returns
        -------
        (n, D) float32 rows of `vectors`; zero for genes that are unknown.

        Examples
        --------
        >>> import spacex as sx
        >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
        >>> reference = sx.Reference.fit([adata], progress=False)
        >>> reference.gene_vectors(["gene0001", "no such gene"]).any(axis=1).tolist()
        [True, False]
        """
        index = self._names.indices(genes)
        vectors = np.zeros((len(index), self.vectors.shape[1]), dtype=np.float32)
        vectors[index >= 0] = self.vectors[index[index >= 0]]
        return vectors

    def similar_genes(self, gene: str, *, n: int = 20) -> pd.DataFrame:
        """Find the genes nearest to a gene by their joint vectors.

        Parameters
        ----------
        gene
            Symbol of the gene.
        n
            Number of genes to return.

        Returns
        -------
        A table with the columns ``gene`` and ``similarity`` (cosine), the most similar first.

        Raises
        ------
        InputError
            If the gene is unknown or ambiguous.

        Examples
        --------
        >>> import spacex as sx
        >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
        >>> reference = sx.Reference.fit([adata], progress=False)
        >>> len(reference.similar_genes("gene0001", n=5))
        5
        """
        check_int(n, name="n", low=1)
        index = self._index(gene)
        direction = l2_normalize(self.vectors)
        others = np.flatnonzero(self.vectors.any(axis=1) & (np.arange(len(direction)) != index))
        similarity = direction[others] @ direction[index]
        order = np.argsort(-similarity, kind="stable")[:n]
        return pd.DataFrame({"gene": self.state.genes[others[order]], "similarity": similarity[order]})

    def gene(self, gene: str, n: int = 10) -> GeneKnowledge:
        """Summarize what the reference knows about a gene.

        Parameters
        ----------
        gene
            Symbol of the gene.
        n
            Number of similar genes.

        Returns
        -------
        Its symbol, a table of the groups and a table of similar genes; see `GeneKnowledge`.

        Raises
        ------
        InputError
            If the gene is unknown or ambiguous.

        Examples
        --------
        >>> import spacex as sx
        >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
        >>> sx.Reference.fit([adata], progress=False).gene("gene0001").groups[["group", "n_sections"]].values.tolist()
        [['unknown, unknown', 1]]
        """
        index = self._index(gene)
        rows = [
            (group.name, int(group.n_sections[index]), float(group.weight[index]), float(np.linalg.norm(vector)))
            for group, (vector,) in zip(self.state.groups, self.group_vectors([self.state.genes[index]]), strict=True)
        ]
        groups = pd.DataFrame(rows, columns=["group", "n_sections", "weight", "norm"])
        return GeneKnowledge(self.state.genes[index], groups, self.similar_genes(gene, n=n))

    def _index(self, gene: str) -> int:
        check_name(gene, name="gene")
        if not self._names.matches(gene):
            raise InputError(
                f"gene {gene!r} is not among the {len(self._names)} genes of this reference"
                f"{self._names.suggestion(str(gene))}"
            )
        return self._names.index(gene)

    def __repr__(self) -> str:
        n_genes, n_sections, n_groups = len(self.state.genes), len(self.state.sections), len(self.state.groups)
        sections = f"{n_sections:,} section{'s' * (n_sections != 1)} in {n_groups:,} group{'s' * (n_groups != 1)}"
        return f"Reference({self.species or 'unknown species'}, {n_genes:,} genes, {sections})"
