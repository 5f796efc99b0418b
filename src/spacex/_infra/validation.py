"""Checks of what callers hand in, and the one kind of error that they raise.

Every message names the argument, its value, what is allowed and the call that mends it, on one line.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spacex._infra.errors import InputError, safe_repr

MAX_INT, MAX_SEED = 2**63 - 1, 2**32 - 1
"""What arrays and files can hold of whole numbers, and what every random generator takes as a seed."""


def check_finite(values: np.ndarray, *, name: str, hint: str) -> None:
    """Raise `InputError` where `values` holds NaN or infinity."""
    bad = int(np.size(values) - np.isfinite(values).sum())
    if bad:
        raise InputError(f"{name} holds {bad} NaN or infinite value(s); all must be finite: {hint}")


def check_sparse_indices(matrix: Any, *, what: str) -> Any:
    """A sparse matrix of the same arrays, or `InputError` where its indices leave it or its parts do not fit together.

    What computes with such indices would leave its memory. The matrix itself is not touched: what is given back knows
    nothing of what the other remembers of its indices, which may have been changed since.
    """
    if not hasattr(matrix, "check_format"):
        return matrix
    try:
        fresh = type(matrix)((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
        fresh.check_format(full_check=True)
    except ValueError as error:
        raise InputError(f"{what}: {error}; copy or download it again") from error
    return fresh


def check_int(value: Any, *, name: str, low: int, high: int = MAX_INT) -> int:
    """Return `value` as an int between `low` and `high` (both inclusive), or raise `InputError`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        open_ended = high == MAX_INT and not (whole and value > high)
        allowed = f"a whole number >= {low}" if open_ended else f"a whole number from {low} to {high}"
        raise InputError(f"{name}={safe_repr(value)} is not allowed; pass {allowed}")
    return int(value)


def check_seed(value: Any, *, name: str = "seed") -> int:
    """Return `value` as the seed of a random generator, or raise `InputError`."""
    return check_int(value, name=name, low=0, high=MAX_SEED)


def is_auto(value: Any) -> bool:
    """Whether a setting is left to be chosen; arrays are not to be compared with a word."""
    return isinstance(value, str) and value == "auto"


def check_n_modules(value: Any, *, high: int = MAX_INT) -> int | Literal["auto"]:
    """Return `value` as ``"auto"`` or a number of modules from 1 to `high`, or raise `InputError`."""
    return "auto" if is_auto(value) else check_int(value, name="n_modules", low=1, high=high)


def check_bool(value: Any, *, name: str) -> bool:
    """Return `value` as a bool if it is one, or raise `InputError`: the word "no" would count as true."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name}={safe_repr(value)} is not allowed; pass True or False")
    return bool(value)


def check_choice(value: Any, *, name: str, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of `allowed`, or raise `InputError`."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name}={safe_repr(value)} is not allowed; pass one of {', '.join(map(repr, allowed))}")
    return str(value)


def check_instance(value: Any, kind: type, *, name: str) -> None:
    """Raise `InputError` where `value` is not an instance of `kind`."""
    if not isinstance(value, kind):
        raise InputError(f"{name}={safe_repr(value)} is not allowed; pass a {kind.__name__}, or leave it out")


def check_installed(module: str, *, extra: str, purpose: str) -> None:
    """Raise `InputError` naming the pip line when an optional module is not installed."""
    if find_spec(module) is None:
        raise InputError(f'{purpose} needs {module}, which is not installed: pip install "spacex-st[{extra}]"')


def check_number(
    value: Any,
    *,
    name: str,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> float:
    """Return `value` as a float within bounds, of which at most one is a lower and one an upper, or raise."""
    number = math.nan
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number that is too large to be a float
            number = float(value)
    inside = math.isfinite(number) and (above is None or number > above) and (at_least is None or number >= at_least)
    if not inside or (below is not None and number >= below) or (at_most is not None and number > at_most):
        limits = {">": above, ">=": at_least, "<": below, "<=": at_most}
        allowed = " and ".join(f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None)
        raise InputError(
            f"{name}={safe_repr(value)} is not allowed; pass a {'number ' + allowed if allowed else 'finite number'}"
        )
    return number


def check_name(value: Any, *, name: str) -> None:
    """Raise `InputError` for what cannot be the name of a column, a layer or a gene: lists, tables, arrays."""
    endless = isinstance(value, int) and abs(value) > MAX_INT  # no index holds it
    if endless or not isinstance(value, (str, int, float, np.generic, type(None))):
        raise InputError(f"{name}={safe_repr(value)} is not a name; pass one name, as text")


def check_names(values: Any, *, name: str) -> list[str]:
    """Names as a list, from one or several; `InputError` for what is neither."""
    if isinstance(values, str):
        return [values]
    scalar = isinstance(values, np.ndarray) and not values.ndim  # iterable by its type alone
    if scalar or isinstance(values, (bytes, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"{name}={safe_repr(values)} is not allowed; pass a name or a list of names")
    return [str(value) for value in values]


def check_path(value: Any, *, name: str, hint: str) -> Path:
    """Return a path, its ``~`` expanded, or raise `InputError`."""
    if not isinstance(value, (str, os.PathLike)) or isinstance(value, bytes) or not os.fspath(value):
        raise InputError(f"{name}={safe_repr(value)} is not a path; pass {hint}")
    if "\0" in os.fspath(value):
        raise InputError(f"{name}={value!r} holds a null character; pass {hint}")
    return Path(value).expanduser()


def check_output_file(value: Any, *, name: str, example: str) -> Path:
    """The path of a file that can be written, links followed to their end, or raise `InputError`.

    Its folder must be there and open to us, and what is there already under its name must be a file: a device would
    become one.
    """
    hint = f"pass the name of a file, such as '{example}'"
    given = check_path(value, name=name, hint=hint.removeprefix("pass "))
    place = Path(os.path.realpath(given))
    if place.is_dir():
        raise InputError(f"{name}='{given}' is a folder; {hint}")
    if not place.parent.is_dir():
        raise InputError(f"{name}='{given}' lies in a folder that does not exist; make it first")
    if os.path.lexists(place) and not place.is_file():
        raise InputError(f"{name}='{given}' is there already and no file, but a device or the like; {hint}")
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise InputError(f"{name}='{given}' cannot be written: no permission in '{place.parent}'; pass another folder")
    return place
