"""Sections on top of each other: noticed where array positions or coordinates repeat, before any work.

A column of ``obs`` that separates the spots of every repeated position is named in the error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import numpy as np
from anndata import AnnData

from spacex._adata.library_columns import Hint, LibraryColumns
from spacex._adata.validation import MIN_PIXELS
from spacex._infra.errors import InputError
from spacex.imaging.overlap import are_evenly_spaced, in_area, largest_overlap, sample_of_groups, shared_positions

logger = logging.getLogger("spacex")

MIN_ARRAY_SHARE = 0.02
"""Share of a section's spots whose array position repeats from which on the section cannot be one."""

MIN_COORDINATE_SHARE = 0.05
"""Share of spots with repeated coordinates that is worth a line: cells may lie at one place."""

MIN_TOUCH = 0.2
"""Share of the spots with a repeated array position in the area of another section from which on they overlap."""

MIN_OVERLAP = 0.5
"""Share of a group's spots in the area of another group from which on the two lie on top of each other."""


MAX_LATTICE = 50_000
"""Spots up to which any column may tell lattices on top of each other by their coordinates alone."""

Warn = Callable[..., None]


def check_overlapping_sections(
    adata: AnnData,
    xy: np.ndarray,
    section: np.ndarray,
    array: np.ndarray | None,
    *,
    library_key: str | None,
    hint: Hint = "pass library_key={!r}".format,
    quiet: bool = False,
) -> None:
    """Raise `InputError` for sections that lie on top of each other; a warning where that is only likely.

    Parameters
    ----------
    adata
        What the spots belong to.
    xy, section, array
        Coordinates (S, 2), section (S,), -1 for spots that are left out, and array positions (S, 2) where known.
    library_key
        Column that `section` came from.
    mend
        The call that names the sections, from the name of a column.
    quiet
        Whether to leave out warnings, which were given before.
    """
    kept = section >= 0
    columns = LibraryColumns(adata, kept, library_key, hint)
    xy, section = xy[kept], section[kept]
    warn = (lambda *_: None) if quiet else logger.warning
    array = array[kept] if array is not None and len(np.unique(array[kept], axis=0)) >= MIN_PIXELS else None
    if array is not None:
        position = shared_positions(array, section)
        if (position >= 0).any():
            _check_array(columns, xy, section, array, position, warn)
            return
    else:
        position = shared_positions(xy, section)
        if (position >= 0).any():
            _check_coordinates(columns, xy, position, warn)
    _check_areas(columns, xy, section, warn if array is None and library_key is None and not quiet else None)


def _check_array(
    columns: LibraryColumns, xy: np.ndarray, section: np.ndarray, array: np.ndarray, position: np.ndarray, warn: Warn
) -> None:
    """The check by array positions (S, 2), of which some are shared (S,)."""
    what = _shared(position, "array_row and array_col")
    shares = np.bincount(section, position >= 0) / np.maximum(np.bincount(section), 1)
    crowded = np.flatnonzero(shares >= MIN_ARRAY_SHARE)
    if (found := columns.separating(position, array, by_name=len(crowded) > 0)) is not None:
        for inside, group in _groups(found.label, section):
            repeated = sample_of_groups(group, position[inside] >= 0)
            if in_area(xy[inside], group, repeated).any(axis=1).sum() >= MIN_TOUCH * max(len(repeated), 1):
                raise InputError(f"{what}: sections lie on top of each other; {found.words}")
        return  # side by side
    if not all(are_evenly_spaced(xy[section == s]) for s in crowded):
        raise InputError(f"{what}: sections lie on top of each other; {columns.unnamed}")
    if (shared_positions(xy, section) >= 0).any():
        warn("%s, and are summed with it", what)


def _check_coordinates(columns: LibraryColumns, xy: np.ndarray, position: np.ndarray, warn: Warn) -> None:
    """The check by coordinates (S, 2), of which some are shared (S,)."""
    what = _shared(position, "coordinates")
    if (found := columns.separating(position, xy)) is not None:
        raise InputError(f"{what}: sections lie on top of each other; {found.words}")
    if (position >= 0).mean() >= MIN_COORDINATE_SHARE:
        warn("%s, and are summed with it; if they are of several sections, %s", what, columns.unnamed)


def _check_areas(columns: LibraryColumns, xy: np.ndarray, section: np.ndarray, warn: Warn | None) -> None:
    """The check by the areas that the spots of each label cover.

    Certain are columns that name sections, and those that divide what is no lattice into lattices; others of usual
    names only warn.
    """
    for column in [*columns.usual(), *(columns.others() if len(xy) <= MAX_LATTICE else ())]:
        for inside, group in _groups(column.label, section, MIN_PIXELS):
            is_certain = column.is_strong or _are_lattices(xy[inside], group)
            if not is_certain and (warn is None or not column.is_usual):
                continue
            overlap = largest_overlap(xy[inside], group)
            if overlap < MIN_OVERLAP:
                continue
            what = f"{overlap:.0%} of the spots of one value of obs[{column.name!r}] lie among those of another"
            if is_certain:
                raise InputError(f"{what}: sections lie on top of each other; {columns.hint(column.name)}")
            if warn is not None:
                warn("%s; if these are sections, %s", what, columns.hint(column.name))
                return


def _groups(label: np.ndarray, section: np.ndarray, fewest: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each section of several labels (S,): its spots whose label `fewest` or more have, and the number of it."""
    for s in range(int(section.max(initial=-1)) + 1):
        within = (section == s) & (label >= 0)
        inside = within & np.isin(label, np.flatnonzero(np.bincount(label[within]) >= fewest))
        levels, group = np.unique(label[inside], return_inverse=True)
        if len(levels) > 1:
            yield inside, group


def _are_lattices(xy: np.ndarray, group: np.ndarray) -> bool:
    """Whether every group is a lattice, and all together are none."""
    each = (are_evenly_spaced(xy[group == g]) for g in range(int(group.max()) + 1))
    return len(xy) <= MAX_LATTICE and all(each) and not are_evenly_spaced(xy)


def _shared(position: np.ndarray, what: str) -> str:
    return f"{int((position >= 0).sum())} of {len(position)} spots share their {what} with another spot"
