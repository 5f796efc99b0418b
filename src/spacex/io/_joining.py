"""Counts and coordinates of one section, put together by the names of its spots."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite
from spacex.io._counts import transposed, without_index_names
from spacex.io._delimited import typed
from spacex.io._files import REDOWNLOAD_HINT, join_names
from spacex.io._identifiers import OTHER, STRONG, Found, is_identifier_name, is_row_number_name, name_class
from spacex.io._positions import Positions
from spacex.io._spellings import MIN_SHARE, Names

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

logger = logging.getLogger("spacex")


def orient(counts: AnnData, positions: Positions, source: Path) -> AnnData:
    """Turn a table of counts so that its rows are the spots that `positions` names."""
    labels, columns = _labels(counts), Names(counts.var_names)
    for certain in (True, False):
        row, _ = _spot_label(labels, positions, source, certain=certain)
        column = positions.find(columns, certain=certain)
        if row or column:
            break  # the other side need not be looked up in every column
    if _evidence(row) == _evidence(column):
        said = "both sides name spots alike" if column else "neither side names a spot"
        raise InputError(
            f"path='{source}' and coordinates='{positions.source}' do not fit: {said} (rows such as "
            f"{_first(counts.obs_names)}, columns such as {_first(counts.var_names)}, coordinates such as "
            f"{_example(positions)}); name spots in both alike"
        )
    return transposed(counts) if _evidence(row) < _evidence(column) else counts


def _labels(counts: AnnData) -> dict[str, Names]:
    """The names of rows, and columns of text that may be them, which stand beside the counts."""
    texts = [name for name in counts.obs if counts.obs[name].dtype == object]
    first = str(counts.obs_names.name or "")
    return {first: Names(counts.obs_names)} | {name: Names(counts.obs[name]) for name in texts if name != first}


def _spot_label(
    labels: dict[str, Names], positions: Positions, source: object, *, certain: bool
) -> tuple[Found | None, str]:
    """The column of `positions` that names the rows, and the label whose values it has."""
    found = {
        label: positions.find(names, certain=certain)
        for label, names in labels.items()
        if len(labels) == 1 or not (certain and is_row_number_name(label))
    }
    numbers = [label for label in labels if is_row_number_name(label) and labels[label].is_numeric]
    if len(labels) > len(numbers) > 0:  # numbers of rows name spots only where no label does, and they are listed
        is_labeled = any(found.get(label) for label in labels if label not in numbers)
        for label in numbers:
            one = found.get(label)
            found[label] = None if is_labeled or (one and one.level > STRONG) else one
    ranked = {label: (one.level + name_class(label), -one.match.share) for label, one in found.items() if one}
    if not ranked:
        return None, next(iter(labels))
    best, *others = sorted(ranked, key=lambda label: ranked[label])
    chosen = found[best]
    assert chosen is not None
    for label in others:
        other = found[label]
        if ranked[label] == ranked[best] and other is not None and other.disagrees(chosen):
            raise InputError(
                f"path='{source}' has two columns that could name the spots, {best!r} and {label!r}, and they "
                "disagree; name the right one barcode"
            )
    return chosen, best


def _evidence(found: Found | None) -> tuple[bool, int, float]:
    """How well a column of coordinates names a side of the counts: by many names, in a likely column."""
    if found is None:
        return False, -OTHER - 2, 0.0
    return found.match.share >= MIN_SHARE, -found.level, found.match.share


def _first(names: pd.Index) -> str:
    return repr(names[0]) if len(names) else "none"


def _example(positions: Positions) -> str:
    """The first value of the column that most likely names the spots."""
    columns = positions.identifiers
    name = next((name for name in columns if is_identifier_name(name) and name), next(iter(columns), None))
    return repr(columns[name].text[0]) if name is not None and len(positions.table) else "none"


def join_positions(counts: AnnData, positions: Positions, *, partly: bool = False) -> AnnData:
    """Name the spots, and write ``obsm["spatial"]`` and ``obs`` from the coordinate table.

    `partly`: what has no position is left out.
    """
    labels = _labels(counts)
    found, label = _spot_label(labels, positions, "counts", certain=True)
    if found is None:
        found, label = _spot_label(labels, positions, "counts", certain=False)
    adata = counts[:, :].copy() if counts.is_view else counts
    adata.obs = adata.obs[[name for name in adata.obs if name != label and not is_row_number_name(name)]]
    adata.obs_names = labels[label].text.tolist()
    check_unique_rows(adata)
    if found is not None and not found.match.is_distinct:
        raise InputError(_repeated(positions, found))
    row = found.match.row if found is not None else np.full(adata.n_obs, -1)
    absent = row < 0
    if absent.all() or (absent.any() and not partly):
        raise InputError(
            f"path='{positions.source}' has no position for {int(absent.sum())} of the {adata.n_obs} spots of the "
            f"counts (such as {adata.obs_names[absent][0]!r}); copy counts and coordinates of one run"
        )
    assert found is not None
    if found.match.spelling:
        logger.info("%s: spots found by %r, %s", positions.source.name, found.column, found.match.spelling)
    if absent.any():
        logger.info("%s: %d of %d cells have no position and are left out", positions.source.name,
                    int(absent.sum()), len(absent))  # fmt: skip
        adata = adata[~absent].copy()
    _write_positions(adata, positions, row[~absent], found.column)
    return without_index_names(adata)


def check_unique_rows(adata: AnnData) -> None:
    """Raise `InputError` where names of spots repeat."""
    if adata.obs_names.has_duplicates:
        raise InputError(
            f"counts repeat spot {adata.obs_names[adata.obs_names.duplicated()][0]!r}; leave one row of it"
        )


def _repeated(positions: Positions, found: Found) -> str:
    """What to say of a table where one of the spots has two rows that differ."""
    import pandas as pd

    text = pd.Series({**positions.identifiers, **positions.grid_names}[found.column].text)
    repeated = text[text.duplicated() & text.isin(text[found.match.row[found.match.row >= 0]])].iloc[0]
    return f"coordinates='{positions.source}' repeats {repeated!r} with other values; leave one row"


def _write_positions(adata: AnnData, positions: Positions, row: np.ndarray, identifier: str) -> None:
    """Write ``obsm["spatial"]`` and ``obs`` from the rows (S,) of a coordinate table."""
    table = positions.table.iloc[row]
    try:
        values = [typed(table[name], positions.decimal).to_numpy(dtype=float) for name in positions.xy]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"path='{positions.source}' has a coordinate that is no number: {error}; {REDOWNLOAD_HINT}"
        ) from error
    xy = np.column_stack(values)
    check_finite(xy, name=f"path='{positions.source}', columns {join_names(positions.xy)}", hint="leave such spots out")
    adata.obsm["spatial"] = xy
    for column in table.columns.drop(positions.xy):
        if column != identifier and not is_row_number_name(column):
            # HDF5 and zarr would take the slash of "px/um" for the end of the name of a group.
            adata.obs[str(column).replace("/", "_")] = typed(table[column], positions.decimal).to_numpy()
