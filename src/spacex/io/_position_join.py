"""Joining of counts and coordinates by the names of the spots."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite
from spacex.io._counts import clear_index_names, transpose
from spacex.io._files import REDOWNLOAD_HINT, join_names
from spacex.io._identifier_columns import OTHER, STRONG, is_identifier_name, is_row_name_column, name_class, uncertainty
from spacex.io._name_matching import MIN_MATCHED, NameMatch, Names
from spacex.io._positions import Positions
from spacex.io._text_tables import typed

logger = logging.getLogger("spacex")


def orient_counts(counts: AnnData, positions: Positions, source: Path) -> AnnData:
    """Transpose a table of counts if its columns, not its rows, are the spots of the coordinate table."""
    labels, columns = _row_labels(counts), Names(counts.var_names)
    for exact_only in (True, False):
        row_match, _ = _match_labels(labels, positions, source, exact_only=exact_only)
        column_match = positions.match_column(columns, exact_only=exact_only)
        if row_match or column_match:
            break  # an exact match of one side saves a search of all columns for the other
    quality = [_match_quality(match) for match in (row_match, column_match)]
    if quality[0] == quality[1]:
        problem = "both rows and columns are spot names" if column_match else "neither rows nor columns are spot names"
        row, column = (repr(names[0]) if len(names) else "none" for names in (counts.obs_names, counts.var_names))
        raise InputError(
            f"path='{source}' and coordinates='{positions.source}' do not fit: {problem} (rows such as {row}, "
            f"columns such as {column}, coordinates such as {_example(positions)}); use the same spot names in "
            "both files"
        )
    return transpose(counts) if quality[0] < quality[1] else counts


def _row_labels(counts: AnnData) -> dict[str, Names]:
    """Return the row names and the text columns of ``obs``, which may hold the spot names."""
    index_name = str(counts.obs_names.name or "")
    texts = [name for name in counts.obs if counts.obs[name].dtype == object and name != index_name]
    return {index_name: Names(counts.obs_names)} | {name: Names(counts.obs[name]) for name in texts}


def _match_labels(
    labels: dict[str, Names], positions: Positions, source: object, *, exact_only: bool
) -> tuple[NameMatch | None, str]:
    """Return the best match between a label of the counts and a column of the coordinates, and that label."""
    matches = {
        label: positions.match_column(names, exact_only=exact_only)
        for label, names in labels.items()
        if len(labels) == 1 or not (exact_only and is_row_name_column(label))
    }
    row_numbers = [label for label in labels if is_row_name_column(label) and labels[label].is_numeric]
    if len(labels) > len(row_numbers) > 0:  # row numbers name spots only if no other label does, in a strong column
        has_label = any(matches.get(label) for label in labels if label not in row_numbers)
        for label in row_numbers:
            match = matches.get(label)
            matches[label] = None if has_label or (match and uncertainty(match) > STRONG) else match
    ranked = sorted(
        ((uncertainty(match) + name_class(label), -match.share), i, label, match)
        for i, (label, match) in enumerate(matches.items())
        if match
    )
    if not ranked:
        return None, next(iter(labels))
    best_rank, _, best_label, best = ranked[0]
    for rank, _, label, match in ranked[1:]:
        if rank == best_rank and match.disagrees(best):
            raise InputError(
                f"path='{source}' has two columns that could name the spots, {best_label!r} and {label!r}, and they "
                "disagree; name the right one barcode"
            )
    return best, best_label


def _match_quality(match: NameMatch | None) -> tuple[bool, int, float]:
    """Rank the match of one side of the counts: by the share of matched names, then by the class of the column."""
    if match is None:
        return False, -OTHER - 2, 0.0
    return match.share >= MIN_MATCHED, -uncertainty(match), match.share


def _example(positions: Positions) -> str:
    """Return the first value of the column that most likely holds the spot names."""
    columns = positions.identifiers
    name = next((name for name in columns if is_identifier_name(name) and name), next(iter(columns), None))
    return repr(columns[name].text[0]) if name is not None and len(positions.table) else "none"


def join_positions(counts: AnnData, positions: Positions, *, drop_unmatched: bool = False) -> AnnData:
    """Name the spots, and write ``obsm["spatial"]`` and ``obs`` from the coordinate table.

    Parameters
    ----------
    counts
        Spots x genes.
    positions
        Coordinate table; rows without counts are ignored.
    drop_unmatched
        Drop spots without coordinates instead of raising an error.
    """
    labels = _row_labels(counts)
    for exact_only in (True, False):
        match, label = _match_labels(labels, positions, "counts", exact_only=exact_only)
        if match:
            break
    adata = counts.copy() if counts.is_view else counts
    adata.obs = adata.obs[[name for name in adata.obs if name != label and not is_row_name_column(name)]]
    adata.obs_names = labels[label].text.tolist()
    check_unique_rows(adata)
    if match is not None and not match.is_distinct:
        raise InputError(_describe_repeat(positions, match))
    row = match.row if match is not None else np.full(adata.n_obs, -1)
    is_missing = row < 0
    n_missing = int(is_missing.sum())
    if match is None or is_missing.all() or (n_missing and not drop_unmatched):
        raise InputError(
            f"path='{positions.source}' has no position for {n_missing} of the {adata.n_obs} spots of the counts "
            f"(such as {adata.obs_names[is_missing][0]!r}); copy counts and coordinates of one run"
        )
    if match.spelling:
        logger.info("%s: spots matched to column %r, %s", positions.source.name, match.column, match.spelling)
    if n_missing:
        logger.info("%s: %d of %d cells have no position and are dropped", positions.source.name, n_missing, len(row))
        adata = adata[~is_missing].copy()
    _write_positions(adata, positions, row[~is_missing], match.column)
    return clear_index_names(adata)


def check_unique_rows(adata: AnnData) -> None:
    """Raise `InputError` if a spot name repeats."""
    if adata.obs_names.has_duplicates:
        repeated = adata.obs_names[adata.obs_names.duplicated()][0]
        raise InputError(f"counts repeat spot {repeated!r}; keep one row of it")


def _describe_repeat(positions: Positions, match: NameMatch) -> str:
    """Return the message for a spot with two different rows of coordinates."""
    text = pd.Series({**positions.identifiers, **positions.array_names}[match.column].text)
    repeated = text[text.duplicated() & text.isin(text[match.row[match.row >= 0]])].iloc[0]
    return f"coordinates='{positions.source}' repeats {repeated!r} with other values; keep one row"


def _write_positions(adata: AnnData, positions: Positions, row: np.ndarray, identifier: str) -> None:
    """Write ``obsm["spatial"]`` and ``obs`` from the rows (S,) of a coordinate table."""
    table = positions.table.iloc[row]
    try:
        values = [typed(table[name], positions.decimal).to_numpy(dtype=float) for name in positions.xy]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"path='{positions.source}' has a coordinate that is not a number: {error}; {REDOWNLOAD_HINT}"
        ) from error
    xy = np.column_stack(values)
    check_finite(xy, name=f"path='{positions.source}', columns {join_names(positions.xy)}", hint="drop such spots")
    adata.obsm["spatial"] = xy
    for column in table.columns.drop(positions.xy):
        if column != identifier and not is_row_name_column(column):
            # HDF5 and zarr would read the slash of "px/um" as a group separator.
            adata.obs[str(column).replace("/", "_")] = typed(table[column], positions.decimal).to_numpy()
