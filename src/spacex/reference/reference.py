"""`Reference`: what many sections know about genes."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping, Sized
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from spacex._infra.errors import InputError
from spacex._infra.validation import check_bool, check_int, check_name, check_seed
from spacex.gene_names import GeneNames
from spacex.reference.factors import joint_vectors
from spacex.reference.files import load_state, save_state
from spacex.reference.gene_knowledge import GeneKnowledge
from spacex.reference.merging import check_sections, merge
from spacex.reference.record_files import read_info
from spacex.reference.sections import SectionSettings
from spacex.reference.sources import section_sources
from spacex.reference.state import ReferenceState, SectionInfo
from spacex.reference.workers import compute_records
from spacex.stats import l2_normalize

Section: TypeAlias = AnnData | str | PathLike[str]
Sections: TypeAlias = Iterable[Section] | Mapping[str, Section]

MAX_DIMS, MAX_WORKERS = 4096, 1024


@dataclass(frozen=True, eq=False, repr=False)
class Reference:
    """What many sections know about genes: similarity of their spatial patterns, averaged over sections.

    Made by `Reference.fit`, `Reference.load` or `Reference.update`, which return new objects. Sections with the same
    tissue and technology form a group, and groups are kept apart: for each one, the reference holds the mean similarity
    of its genes in at most 64 dimensions, not the counts.

    Parameters
    ----------
    state
        Contents of the reference.

    Examples
    --------
    >>> import spacex as sx
    >>> sections = {f"s{seed}": sx.datasets.simulate_section(80, 300, 3, seed=seed, depth=1.0) for seed in range(2)}
    >>> reference = sx.Reference.fit(sections, progress=False)
    >>> reference
    Reference(unknown species, 80 genes, 2 sections in 1 group)
    >>> reference.similar_genes("gene0001", n=3).columns.tolist()
    ['gene', 'similarity']
    """

    state: ReferenceState

    @classmethod
    def fit(
        cls,
        sections: Sections,
        *,
        n_dims: int = 128,
        library_key: str | None = None,
        layer: str | None = None,
        seed: int = 0,
        n_workers: int = 1,
        progress: bool = True,
    ) -> Reference:
        """Make a reference of sections, read one at a time.

        The vectors of each section are the directions of the embedding of `spacex.tl.embed`, minus their mean over the
        genes. Genes are identified by their symbols; of several genes with one symbol the first of those with the most
        counts is used. The result is the same, to the last bit, for every order of sections with given names, and for
        every number of workers.

        Parameters
        ----------
        sections
            AnnData objects, or paths of anything that `spacex.read` reads; or a dict from names to these. Without a
            dict, a section is named by its file (without suffix), by ``uns["name"]``, or by its position:
            ``"section_1"``. ``uns["tissue"]`` and ``uns["technology"]`` tell the group of a section, and
            ``uns["group"]`` its donor or experiment: in its group, each donor has a total weight of one. Without it,
            every section is a donor. The AnnData objects are not changed.
        n_dims
            Maximum number of dimensions of `vectors`.
        library_key
            Column of ``obs`` with the section of each spot, if an input holds several; their names are
            ``"name/section"``.
        layer
            Layer with raw counts, as for `spacex.tl.embed`.
        seed
            Seed of every random choice.
        n_workers
            Number of sections to read in parallel, in separate processes; each needs the memory of one section.
        progress
            Whether to show progress on stderr.

        Returns
        -------
        The `Reference`.

        Raises
        ------
        InputError
            If a path does not exist, names are repeated, a section cannot be used (it has no counts or coordinates, or
            fewer than 50 genes with enough counts), or the species of the sections differ, as told by capitals in the
            gene symbols.
        WorkerError
            If a process of a worker was killed.

        Examples
        --------
        >>> import spacex as sx
        >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
        >>> reference = sx.Reference.fit([adata], progress=False)
        >>> reference.sections["name"].tolist(), reference.vectors.shape[0]
        (['section_1'], 80)
        """
        state = ReferenceState(
            genes=np.array([], dtype=object),
            groups=(),
            sections=(),
            n_dims=check_int(n_dims, name="n_dims", low=1, high=MAX_DIMS),
            seed=check_seed(seed),
        )
        return cls(_add_sections(state, sections, library_key, layer, n_workers, progress))

    def update(
        self,
        sections: Sections,
        *,
        library_key: str | None = None,
        layer: str | None = None,
        n_workers: int = 1,
        progress: bool = True,
    ) -> Reference:
        """Return a reference with further sections; this one is unchanged, and its sections are not read again.

        Up to rounding and truncation the result is that of one fit to all sections, except for donors with sections in
        both: the weight of the earlier sections stays, so that such a donor has a total weight above one.

        Parameters
        ----------
        sections, library_key, layer, n_workers, progress
            As for `fit`; the seed is that of this reference.

        Returns
        -------
        The new `Reference`.

        Raises
        ------
        InputError
            As for `fit`, and if a name is that of a section of this reference.

        Examples
        --------
        >>> import spacex as sx
        >>> first, second = (sx.datasets.simulate_section(80, 300, 3, seed=seed, depth=1.0) for seed in range(2))
        >>> reference = sx.Reference.fit({"first": first}, progress=False)
        >>> reference.update({"second": second}, progress=False)
        Reference(unknown species, 80 genes, 2 sections in 1 group)
        """
        return Reference(_add_sections(self.state, sections, library_key, layer, n_workers, progress))

    def save(self, path: str | PathLike[str], *, quantize: bool = False) -> None:
        """Write the reference to one safetensors file.

        Parameters
        ----------
        path
            Name of the file, such as ``"reference.safetensors"``; an existing file is replaced.
        quantize
            Whether to store vectors as int8 (in units of the largest magnitude / 127 of each dimension) and weights as
            float16, at about a quarter of the size. Otherwise `load` returns exactly the same reference.

        Raises
        ------
        InputError
            If the file cannot be written.

        Examples
        --------
        >>> import spacex as sx, tempfile
        >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
        >>> reference = sx.Reference.fit([adata], progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     reference.save(f"{folder}/reference.safetensors")
        ...     sx.Reference.load(f"{folder}/reference.safetensors").digest == reference.digest
        True
        """
        save_state(self.state, path, quantize=check_bool(quantize, name="quantize"))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Reference:
        """Read a reference that `save` wrote.

        Parameters
        ----------
        path
            Name of the file.

        Returns
        -------
        The `Reference`.

        Raises
        ------
        InputError
            If the file cannot be found, is damaged, or is not a reference.

        Examples
        --------
        >>> import spacex as sx
        >>> try:
        ...     sx.Reference.load("none.safetensors")
        ... except sx.InputError as error:
        ...     print(error)
        path='none.safetensors' is not a file; pass a file that Reference.save(path) wrote
        """
        return cls(load_state(path))

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
        columns = [field.name for field in fields(SectionInfo)]
        return pd.DataFrame([asdict(section) for section in self.state.sections], columns=columns)

    @cached_property
    def vectors(self) -> np.ndarray:
        """(G, D) float32 joint vectors of the genes over all groups, D ≤ n_dims; computed on first use."""
        vectors = joint_vectors([group.vectors() for group in self.state.groups], self.state.n_dims)
        vectors.flags.writeable = False
        return vectors

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the contents."""
        return self.state.digest()

    @cached_property
    def _names(self) -> GeneNames:
        return GeneNames(self.state.genes, self.state.genes)

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
            (group.name, int(group.n_sections[index]), float(group.weight[index]), _length(group.vectors()[index]))
            for group in self.state.groups
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


def _length(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))


def _add_sections(
    state: ReferenceState, sections: Any, library_key: str | None, layer: str | None, n_workers: int, progress: bool
) -> ReferenceState:
    """Compute the vectors of sections, keep them in a temporary folder, and merge them into a state."""
    check_name(library_key, name="library_key")
    check_name(layer, name="layer")
    n_workers = check_int(n_workers, name="n_workers", low=1, high=MAX_WORKERS)
    progress = check_bool(progress, name="progress")
    taken: Collection[str] = {section.name for section in state.sections}
    sources = section_sources(sections, taken)
    settings = SectionSettings(library_key, layer, state.seed)
    total = len(sources) if isinstance(sources, Sized) else None
    files: list[Path] = []
    infos = list(state.sections)
    with (
        tempfile.TemporaryDirectory(prefix="spacex-reference-") as folder,
        tqdm(total=total, desc="reference", unit="section", disable=not progress) as bar,
    ):
        for new_files in compute_records(sources, settings, Path(folder), n_workers):
            files += new_files
            infos += [read_info(file) for file in new_files]
            check_sections(infos)
            bar.update()
        if not files:
            raise InputError("sections holds no section; pass AnnData objects or paths that sx.read can read")
        return merge(state, files)
