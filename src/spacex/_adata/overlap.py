"""Detection of overlapping sections, from repeated array positions or coordinates.

The error names the column of ``obs`` that separates the spots of every repeated position.
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
"""Minimum share of spots with a repeated array position for a section to count as several."""

MIN_COORDINATE_SHARE = 0.05
"""Minimum share of spots with repeated coordinates for a warning; cells can share coordinates."""

MIN_TOUCH = 0.2
"""Minimum share of spots with a repeated array position in the area of another section for an overlap."""

MIN_OVERLAP = 0.5
"""Minimum share of the spots of a group in the area of another group for an overlap."""

MAX_LATTICE_SPOTS = 50_000
"""Maximum number of spots for which all columns are tested for overlapping lattices."""

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
    """Raise `InputError` for overlapping sections; log a warning if an overlap is only likely.

    Parameters
    ----------
    adata
        AnnData of the spots.
    xy, section, array
        Coordinates (S, 2), section (S,), -1 for excluded spots, and array positions (S, 2) if known.
    library_key
        Column of `section`.
    hint
        Function from the name of a column to the call that uses it as the section.
    quiet
        Whether to suppress warnings.
    """
    included = section >= 0
    columns = LibraryColumns(adata, included, library_key, hint)
    xy, section = xy[included], section[included]
    warn = (lambda *_: None) if quiet else logger.warning
    array = array[included] if array is not None and len(np.unique(array[included], axis=0)) >= MIN_PIXELS else None
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
    """Check array positions (S, 2); `position` (S,) is the index of a shared position, -1 for others."""
    problem = _shared(position, "array_row and array_col")
    shares = np.bincount(section, position >= 0) / np.maximum(np.bincount(section), 1)
    suspects = np.flatnonzero(shares >= MIN_ARRAY_SHARE)
    if (separation := columns.separating(position, array, by_name=len(suspects) > 0)) is not None:
        for inside, group in _groups(separation.label, section):
            repeated = sample_of_groups(group, position[inside] >= 0)
            if in_area(xy[inside], group, repeated).any(axis=1).sum() >= MIN_TOUCH * max(len(repeated), 1):
                raise InputError(f"{problem}: sections overlap; {separation.hint}")
        return  # side by side
    if not all(are_evenly_spaced(xy[section == s]) for s in suspects):
        raise InputError(f"{problem}: sections overlap; {columns.unnamed}")
    if (shared_positions(xy, section) >= 0).any():
        warn("%s; the counts of these spots are summed", problem)


def _check_coordinates(columns: LibraryColumns, xy: np.ndarray, position: np.ndarray, warn: Warn) -> None:
    """Check coordinates (S, 2); `position` (S,) is the index of a shared position, -1 for others."""
    problem = _shared(position, "coordinates")
    if (separation := columns.separating(position, xy)) is not None:
        raise InputError(f"{problem}: sections overlap; {separation.hint}")
    if (position >= 0).mean() >= MIN_COORDINATE_SHARE:
        warn("%s; their counts are summed. If they are from several sections, %s", problem, columns.unnamed)


def _check_areas(columns: LibraryColumns, xy: np.ndarray, section: np.ndarray, warn: Warn | None) -> None:
    """Check the areas that the spots of each label cover.

    An overlap is an error for columns that certainly name sections, and for columns that divide the spots into
    lattices. For other columns with common names it is a warning.
    """
    for column in [*columns.likely(), *(columns.others() if len(xy) <= MAX_LATTICE_SPOTS else ())]:
        for inside, group in _groups(column.label, section, MIN_PIXELS):
            is_certain = column.is_certain or _are_lattices(xy[inside], group)
            if not is_certain and (warn is None or not column.has_common_name):
                continue
            overlap = largest_overlap(xy[inside], group)
            if overlap < MIN_OVERLAP:
                continue
            problem = f"{overlap:.0%} of the spots of one value of obs[{column.name!r}] lie among those of another"
            if is_certain:
                raise InputError(f"{problem}: sections overlap; {columns.hint(column.name)}")
            if warn is not None:
                warn("%s; if these are sections, %s", problem, columns.hint(column.name))
                return


def _groups(label: np.ndarray, section: np.ndarray, min_size: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each section with several labels (S,) of at least `min_size` spots: the mask of these spots, their group."""
    for s in range(int(section.max(initial=-1)) + 1):
        within = (section == s) & (label >= 0)
        inside = within & np.isin(label, np.flatnonzero(np.bincount(label[within]) >= min_size))
        levels, group = np.unique(label[inside], return_inverse=True)
        if len(levels) > 1:
            yield inside, group


def _are_lattices(xy: np.ndarray, group: np.ndarray) -> bool:
    """Whether each group is a lattice, and all spots together are not."""
    per_group = (are_evenly_spaced(xy[group == g]) for g in range(int(group.max()) + 1))
    return len(xy) <= MAX_LATTICE_SPOTS and all(per_group) and not are_evenly_spaced(xy)


def _shared(position: np.ndarray, kind: str) -> str:
    return f"{int((position >= 0).sum())} of {len(position)} spots share their {kind} with another spot"
