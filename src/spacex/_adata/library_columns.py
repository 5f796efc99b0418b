"""Columns of ``obs`` that may name the section of each spot, and the search for one that separates sections."""

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
COMMON_NAMES = (
    "library", "library_key", "sample", "sample_id", "sample_name", "section", "section_id", "slice", "slice_id",
    "slide", "slide_id", "batch", "donor", "donor_id", "patient", "region", "orig.ident", "orig_ident", "puck",
    "capture_area", "fov",
)  # fmt: skip
"""Common names of section columns, in lower case, by priority after ``"library_id"``."""

AXIS = re.compile(r"(.*[\W_])?z([\W_].*)?|depth|plane", re.IGNORECASE)
"""Columns of a third coordinate; the planes of a volume are not sections."""

SPOT_NAME_PARTS = (("-", True), ("_", True), ("_", False), ("-", False))
"""Separators in spot names, and whether the section follows the last one (True) or precedes the first."""

Hint = Callable[[str], str]


class Column(NamedTuple):
    """A column of ``obs`` that may name sections.

    Attributes
    ----------
    name
        Name of the column.
    label
        (S,) label of each spot as an index, -1 if missing.
    is_certain
        Whether the column certainly names sections.
    has_common_name
        Whether the name of the column is typical of sections.
    """

    name: str
    label: np.ndarray
    is_certain: bool = False
    has_common_name: bool = True


class Separation(NamedTuple):
    """Labels (S,) that separate the spots of every shared position, and a hint on how to use them."""

    label: np.ndarray
    hint: str


class LibraryColumns:
    """Columns of ``obs`` that may name the sections of the spots in a mask (n_obs,)."""

    def __init__(self, adata: AnnData, spots: np.ndarray, library_key: str | None, hint: Hint):
        self.adata, self.spots, self.library_key, self.hint = adata, spots, library_key, hint

    @property
    def unnamed(self) -> str:
        """Hint if no column names the sections."""
        return f"add a column to adata.obs that names the section of each spot, and {self.hint('section')}"

    def likely(self) -> Iterator[Column]:
        """The region key of SpatialData, columns of libraries in ``uns["spatial"]``, columns with common names."""
        certain = list(dict.fromkeys(self._certain()))
        names = {str(name).casefold(): name for name in self.adata.obs.columns[::-1]}
        common = [names[name] for name in COMMON_NAMES if name in names and names[name] not in certain]
        for name in [*certain, *common]:
            yield from self._column(name, is_certain=name in certain)

    def others(self) -> Iterator[Column]:
        """All other columns with few levels, ordered by the number of levels."""
        tried = {*self._certain(), *(name for name in self.adata.obs if str(name).casefold() in COMMON_NAMES)}
        columns = []
        for name in self.adata.obs:
            if name not in tried and not AXIS.fullmatch(str(name)) and not str(name).startswith("spacex_"):
                columns += self._column(name, has_common_name=False)
        yield from sorted(columns, key=lambda column: int(column.label.max()))

    def separating(
        self, position: np.ndarray, all_positions: np.ndarray, *, by_name: bool = False
    ) -> Separation | None:
        """Find labels that separate the spots of every shared position.

        Parameters
        ----------
        position
            (S,) index of the shared position, -1 for others.
        all_positions
            (S, 2) array positions or coordinates.
        by_name
            Whether a common name is sufficient. Otherwise only columns whose separation is not due to chance count,
            besides those that certainly name sections.
        """
        likely = list(self.likely())
        for column in [*likely, *self.others()]:
            if not separates(column.label, position):
                continue
            if not column.is_certain and not (by_name and column.has_common_name) and is_chance(column.label, position):
                continue
            one_section = np.zeros(len(position), dtype=np.int64)
            if self.library_key is None or separates(column.label, shared_positions(all_positions, one_section)):
                return Separation(column.label, f"obs[{column.name!r}] separates them: {self.hint(column.name)}")
            return Separation(column.label, self._combined(self.library_key, column.name))
        for first, second in combinations(likely, 2):
            label = np.where(
                (first.label < 0) | (second.label < 0), -1, first.label * (second.label.max() + 1) + second.label
            )
            label = pd.factorize(pd.Series(label).where(label >= 0))[0].astype(np.int64)
            if separates(label, position) and not is_chance(label, position):
                return Separation(label, self._combined(first.name, second.name))
        return self._by_names(position)

    def _by_names(self, position: np.ndarray) -> Separation | None:
        """Find labels in the names of the spots, such as the suffix of a barcode."""
        names = self.adata.obs_names[self.spots].astype(str)
        for separator, last in SPOT_NAME_PARTS:
            part = f"{'rsplit' if last else 'split'}({separator!r}, n=1).str[{-1 if last else 0}]"
            label, levels = pd.factorize(
                (names.str.rsplit if last else names.str.split)(separator, n=1).str[-1 if last else 0]
            )
            few = 2 <= len(levels) <= len(label) // MIN_PIXELS
            if few and separates(label, position) and not is_chance(label, position):
                hint = f"the spot names separate them: adata.obs['section'] = adata.obs_names.str.{part}, then "
                return Separation(label, hint + self.hint("section"))
        return None

    def _combined(self, first: str, second: str) -> str:
        """Hint to combine two columns."""
        combined = " + '-' + ".join(f"adata.obs[{name!r}].astype(str)" for name in (first, second))
        calls = f"adata.obs['section'] = {combined}, then {self.hint('section')}"
        return f"{first!r} and {second!r} together separate them: {calls}"

    def _certain(self) -> Iterator[str]:
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

    def _column(self, name: str, *, is_certain: bool = False, has_common_name: bool = True) -> list[Column]:
        """The column, if its values could be sections: text or whole numbers, few compared with the spots."""
        values = self.adata.obs[name][self.spots]
        try:
            label, levels = pd.factorize(values)
        except TypeError:
            return []
        few = 2 <= len(levels) <= max(2, len(values) // MIN_PIXELS)
        fractions = levels.dtype.kind == "f" and bool((np.asarray(levels) % 1 != 0).any())
        flags = not has_common_name and set(map(str, levels[:2])) == {"True", "False"}
        if name == self.library_key or not few or fractions or flags:
            return []
        return [Column(name, label.astype(np.int64), is_certain, has_common_name)]
