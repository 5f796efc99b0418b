"""`Reference`: what many sections know about genes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import numpy as np
from anndata import AnnData

from spacex._infra.errors import InputError
from spacex._infra.validation import check_bool, check_int, check_name, check_path, check_seed
from spacex.reference.building import add_sections
from spacex.reference.contents import ReferenceContents
from spacex.reference.files import load_state, save_state
from spacex.reference.sections import SectionSettings
from spacex.reference.sources import section_sources
from spacex.reference.state import ReferenceState
from spacex.reference.workers import write_records

Section: TypeAlias = AnnData | str | PathLike[str]
Sections: TypeAlias = Iterable[Section] | Mapping[str, Section]

MAX_DIMS = 4096


@dataclass(frozen=True, eq=False, repr=False)
class Reference(ReferenceContents):
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
            AnnData objects, which are not changed, or paths of anything that `spacex.read` reads or `write_sections`
            wrote; or a dict from names to these. Without a dict, a section is named by its file (without suffix), by
            ``uns["name"]``, or by its position: ``"section_1"``. ``uns["tissue"]`` and ``uns["technology"]`` tell the
            group of a section, and ``uns["group"]`` its donor or experiment: in its group, each donor has a total
            weight of one. Without it, every section is a donor.
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
        return cls(add_sections(state, sections, library_key, layer, n_workers, progress))

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
        return Reference(add_sections(self.state, sections, library_key, layer, n_workers, progress))

    @staticmethod
    def write_sections(
        section: Section,
        folder: str | PathLike[str],
        *,
        name: str | None = None,
        library_key: str | None = None,
        layer: str | None = None,
        seed: int = 0,
    ) -> list[Path]:
        """Write the vectors of one input to files, which `fit` and `update` accept in its place.

        The vectors can be computed on another machine, or where the counts must not leave: the files hold no counts.
        The reference is the same, to the last bit, as of the input itself, if its seed is the same.

        Parameters
        ----------
        section
            An AnnData or a path, as for `fit`.
        folder
            Existing folder for the files.
        name
            Name of the section; by default as in `fit`.
        library_key, layer, seed
            As for `fit`.

        Returns
        -------
        The files, one per section: ``"NAME-0.safetensors"``, with special characters of the name quoted.

        Raises
        ------
        InputError
            If the section cannot be used or the folder does not exist.

        Examples
        --------
        >>> import spacex as sx, tempfile
        >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = sx.Reference.write_sections(adata, folder, name="first")
        ...     files[0].name, sx.Reference.fit(files, progress=False)
        ('first-0.safetensors', Reference(unknown species, 80 genes, 1 section in 1 group))
        """
        check_name(name, name="name")
        check_name(library_key, name="library_key")
        check_name(layer, name="layer")
        directory = check_path(folder, name="folder", hint="an existing folder")
        if not directory.is_dir():
            raise InputError(f"folder='{directory}' is not a folder; create it first")
        (source,) = section_sources([section] if name is None else {name: section})
        settings = SectionSettings(library_key, layer, check_seed(seed))
        return write_records(source, settings, directory, quote(source.name, safe=" "))

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
