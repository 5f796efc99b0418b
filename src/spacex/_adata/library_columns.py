"""Columns of ``obs`` that may name the sections: which there are, and which one tells overlaid sections apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex._adata.tissue_images import read_libraries
from spacex._adata.validation import MIN_PIXELS
from spacex.imaging.overlap import is_chance, separates, shared_positions

LIBRARY_ID = "library_id"
NAMES = (
    "library", "library_key", "sample", "sample_id", "sample_name", "section", "section_id", "slice", "slice_id",
    "slide", "slide_id", "batch", "donor", "donor_id", "patient", "region", "orig.ident", "orig_ident", "puck",
    "capture_area", "fov",
)  # fmt: skip
"""Usual columns that name sections, in lower case, after ``"library_id"``."""

AXIS = re.compile(r"(.*[\W_])?z([\W_].*)?|depth|plane", re.IGNORECASE)
"""Columns of a third coordinate: the planes of one volume are not sections."""

SUFFIXES = (("-", True), ("_", True), ("_", False), ("-", False))
"""What may name the section in the name of a spot: after the last of these characters, or before the first."""

Hint = Callable[[str], str]


class Column(NamedTuple):
    """A column of ``obs`` that may name sections: its label (S,) of every spot as a number, -1 where it is missing."""

    name: str
    label: np.ndarray
    is_strong: bool = False  # whether it names sections for certain
    is_usual: bool = True  # whether its name says so


class Separation(NamedTuple):
    """What tells the spots of every shared position apart: labels (S,), and the words that say how to use them."""

    label: np.ndarray
    words: str


class LibraryColumns:
    """The columns of ``obs`` that may name the sections of the spots that a mask (n_obs,) keeps."""

    def __init__(self, adata: AnnData, kept: np.ndarray, library_key: str | None, hint: Hint):
        self.adata, self.kept, self.library_key, self.hint = adata, kept, library_key, hint

    @property
    def unnamed(self) -> str:
        """Words for sections that no column names."""
        return f"add a column to adata.obs that names the section of each spot, and {self.hint('section')}"

    def usual(self) -> Iterator[Column]:
        """The region key of a SpatialData table, columns of libraries of ``uns["spatial"]``, columns of usual names."""
        strong = list(dict.fromkeys(self._strong()))
        names = {str(name).casefold(): name for name in self.adata.obs.columns[::-1]}
        weak = [names[name] for name in NAMES if name in names and names[name] not in strong]
        for name in [*strong, *weak]:
            yield from self._column(name, is_strong=name in strong)

    def others(self) -> Iterator[Column]:
        """All other columns of few values, those with the fewest first."""
        usual = {*self._strong(), *(name for name in self.adata.obs if str(name).casefold() in NAMES)}
        found = []
        for name in self.adata.obs:
            if name not in usual and not AXIS.fullmatch(str(name)) and not str(name).startswith("spacex_"):
                found += self._column(name, is_usual=False)
        yield from sorted(found, key=lambda column: int(column.label.max()))

    def separating(
        self, position: np.ndarray, all_positions: np.ndarray, *, by_name: bool = False
    ) -> Separation | None:
        """What separates the spots of every shared position (S,), if anything does.

        `by_name`: a usual name is enough; without, other than certain names must do what chance does not.
        """
        usual = list(self.usual())
        for column in [*usual, *self.others()]:
            if not separates(column.label, position):
                continue
            if not column.is_strong and not (by_name and column.is_usual) and is_chance(column.label, position):
                continue
            nowhere = np.zeros(len(position), dtype=np.int64)
            if self.library_key is None or separates(column.label, shared_positions(all_positions, nowhere)):
                words = f"obs[{column.name!r}] tells them apart: {self.hint(column.name)}"
                return Separation(column.label, words)
            return Separation(column.label, self._joined(self.library_key, column.name))
        for one, other in combinations(usual, 2):
            label = np.where((one.label < 0) | (other.label < 0), -1, one.label * (other.label.max() + 1) + other.label)
            label = pd.factorize(pd.Series(label).where(label >= 0))[0].astype(np.int64)
            if separates(label, position) and not is_chance(label, position):
                return Separation(label, self._joined(one.name, other.name))
        return self._by_names(position)

    def _by_names(self, position: np.ndarray) -> Separation | None:
        """The same by a part of the names of the spots, such as the number after a barcode."""
        names = self.adata.obs_names[self.kept].astype(str)
        for mark, last in SUFFIXES:
            part = f"{'rsplit' if last else 'split'}({mark!r}, n=1).str[{-1 if last else 0}]"
            label, levels = pd.factorize(
                (names.str.rsplit if last else names.str.split)(mark, n=1).str[-1 if last else 0]
            )
            few = 2 <= len(levels) <= len(label) // MIN_PIXELS
            if few and separates(label, position) and not is_chance(label, position):
                words = (
                    f"the names of the spots tell them apart: adata.obs['section'] = adata.obs_names.str.{part}, then "
                )
                return Separation(label, words + self.hint("section"))
        return None

    def _joined(self, one: str, other: str) -> str:
        """Words that make a column of two."""
        made = " + '-' + ".join(f"adata.obs[{name!r}].astype(str)" for name in (one, other))
        calls = f"adata.obs['section'] = {made}, then {self.hint('section')}"
        return f"{one!r} and {other!r} together tell them apart: {calls}"

    def _strong(self) -> Iterator[str]:
        attrs = self.adata.uns.get("spatialdata_attrs")
        region_key = attrs.get("region_key") if isinstance(attrs, Mapping) else None
        if isinstance(region_key, str) and region_key in self.adata.obs:
            yield region_key
        libraries = read_libraries(self.adata)
        if len(libraries) > 1:
            for name, column in self.adata.obs.items():
                if not pd.api.types.is_numeric_dtype(column) and set(map(str, column.unique())) <= set(libraries):
                    yield name
        yield from (name for name in self.adata.obs if str(name).casefold() == LIBRARY_ID)

    def _column(self, name: str, *, is_strong: bool = False, is_usual: bool = True) -> list[Column]:
        """The column if its values could be sections: several, of ten spots on average, no fractions, not yes or no."""
        values = self.adata.obs[name][self.kept]
        try:
            label, levels = pd.factorize(values)
        except TypeError:
            return []
        few = 2 <= len(levels) <= max(2, len(values) // MIN_PIXELS)
        fractions = levels.dtype.kind == "f" and bool((np.asarray(levels) % 1 != 0).any())
        flags = not is_usual and set(map(str, levels[:2])) == {"True", "False"}
        if name == self.library_key or not few or fractions or flags:
            return []
        return [Column(name, label.astype(np.int64), is_strong, is_usual)]
