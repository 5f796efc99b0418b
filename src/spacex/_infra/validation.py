"""Validation of arguments.

All functions raise `InputError`. Its message names the argument, its value, what is allowed and the fix, on one line.
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
"""Largest integer of arrays and files, and largest seed that all random generators accept."""


def check_finite(values: np.ndarray, *, name: str, hint: str) -> None:
    """Raise `InputError` if `values` holds NaN or infinity."""
    n_nonfinite = int(np.size(values) - np.isfinite(values).sum())
    if n_nonfinite:
        raise InputError(f"{name} holds {n_nonfinite} NaN or infinite value(s); all must be finite: {hint}")


def check_sparse_indices(matrix: Any, *, what: str) -> Any:
    """Check the indices of a sparse matrix, which would otherwise read out of bounds.

    Parameters
    ----------
    matrix
        Sparse matrix; other arrays are returned unchanged.
    what
        Start of the error message.

    Returns
    -------
    A new matrix that shares the arrays but no cached flags, which may be outdated.
    """
    if not hasattr(matrix, "check_format"):
        return matrix
    try:
        checked = type(matrix)((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
        checked.check_format(full_check=True)
    except ValueError as error:
        raise InputError(f"{what}: {error}; copy or download it again") from error
    return checked


def check_int(value: Any, *, name: str, low: int, high: int = MAX_INT) -> int:
    """Return `value` as an int between `low` and `high` (both inclusive), or raise `InputError`."""
    is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_int or not low <= value <= high:
        open_ended = high == MAX_INT and not (is_int and value > high)
        allowed = f"a whole number >= {low}" if open_ended else f"a whole number from {low} to {high}"
        raise InputError(f"{name}={safe_repr(value)} is not allowed; pass {allowed}")
    return int(value)


def check_seed(value: Any, *, name: str = "seed") -> int:
    """Return `value` as the seed of a random generator, or raise `InputError`."""
    return check_int(value, name=name, low=0, high=MAX_SEED)


def is_auto(value: Any) -> bool:
    """Whether `value` is the text ``"auto"``; arrays are not compared with a text."""
    return isinstance(value, str) and value == "auto"


def check_n_modules(value: Any, *, high: int = MAX_INT) -> int | Literal["auto"]:
    """Return `value` as ``"auto"`` or a number of modules from 1 to `high`, or raise `InputError`."""
    return "auto" if is_auto(value) else check_int(value, name="n_modules", low=1, high=high)


def check_bool(value: Any, *, name: str) -> bool:
    """Return `value` if it is a boolean, or raise `InputError`."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name}={safe_repr(value)} is not allowed; pass True or False")
    return bool(value)


def check_choice(value: Any, *, name: str, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of `allowed`, or raise `InputError`."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name}={safe_repr(value)} is not allowed; pass one of {', '.join(map(repr, allowed))}")
    return str(value)


def check_instance(value: Any, kind: type, *, name: str) -> None:
    """Raise `InputError` if `value` is not an instance of `kind`."""
    if not isinstance(value, kind):
        raise InputError(f"{name}={safe_repr(value)} is not allowed; pass a {kind.__name__}, or leave it out")


def check_installed(module: str, *, extra: str, purpose: str) -> None:
    """Raise `InputError` with the pip command if an optional module is not installed."""
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
    """Return `value` as a float, or raise `InputError` if it is not finite or violates a bound.

    Pass at most one lower bound (`above`, `at_least`) and one upper bound (`below`, `at_most`).
    """
    number = math.nan
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        with suppress(OverflowError):  # an int too large for a float
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
    """Raise `InputError` if `value` cannot be the name of a column, layer or gene: only text and numbers can."""
    too_large = isinstance(value, int) and abs(value) > MAX_INT
    if too_large or not isinstance(value, (str, int, float, np.generic, type(None))):
        raise InputError(f"{name}={safe_repr(value)} is not a name; pass one name, as text")


def check_names(values: Any, *, name: str) -> list[str]:
    """Return one or several names as a list of text, or raise `InputError`."""
    if isinstance(values, str):
        return [values]
    is_scalar = isinstance(values, np.ndarray) and not values.ndim  # has __iter__, but raises
    if is_scalar or isinstance(values, (bytes, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"{name}={safe_repr(values)} is not allowed; pass a name or a list of names")
    return [str(value) for value in values]


def check_path(value: Any, *, name: str, hint: str) -> Path:
    """Return `value` as a path with ``~`` expanded, or raise `InputError`."""
    if not isinstance(value, (str, os.PathLike)) or isinstance(value, bytes) or not os.fspath(value):
        raise InputError(f"{name}={safe_repr(value)} is not a path; pass {hint}")
    if "\0" in os.fspath(value):
        raise InputError(f"{name}={value!r} holds a null character; pass {hint}")
    return Path(value).expanduser()


def check_output_file(value: Any, *, name: str, example: str) -> Path:
    """Return the path of a file that can be written, with links resolved, or raise `InputError`.

    Its folder must exist and be writable. An existing path must be a regular file, since replacing a device or pipe
    would destroy it.
    """
    hint = f"pass the name of a file, such as '{example}'"
    path = check_path(value, name=name, hint=hint.removeprefix("pass "))
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{name}='{path}' is a folder; {hint}")
    if not target.parent.is_dir():
        raise InputError(f"{name}='{path}' is in a folder that does not exist; create it first")
    if os.path.lexists(target) and not target.is_file():
        raise InputError(f"{name}='{path}' exists and is not a regular file; {hint}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{name}='{path}' cannot be written: no permission in '{target.parent}'; pass another folder")
    return target
