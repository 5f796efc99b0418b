"""Checks of what callers hand in, and the one kind of error that they raise.

Every message names the argument, its value, what is allowed and the call that mends it, on one line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

LONGEST_WORD = 300


class InputError(ValueError):
    """The input cannot be used as it is; the message says what is wrong and what mends it, on one line.

    Examples
    --------
    >>> import spacex as sx
    >>> try:
    ...     sx.Config(theta=0)
    ... except sx.InputError as error:
    ...     print(error)
    Config.theta=0 is not allowed; pass a number > 0
    """

    def __init__(self, message: object = ""):
        super().__init__(shortened(str(message)))


def shortened(message: str) -> str:
    """A message on one line, in which no word is longer than can be read: names of genes and of files may be."""
    return re.sub(
        rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][:60]}...{word[0][-20:]}", " ".join(message.split())
    )


class WorkerError(RuntimeError):
    """One of several processes that work together is gone; the message says which and what to do.

    Raised by a fit with `Config.devices` or `Config.num_nodes` above one; what was given is as it was.

    Examples
    --------
    >>> import spacex as sx
    >>> issubclass(sx.WorkerError, RuntimeError)
    True
    """


def check_finite(values: np.ndarray, *, name: str, mend: str) -> None:
    """Raise `InputError` where `values` holds NaN or infinity."""
    bad = int(np.size(values) - np.isfinite(values).sum())
    if bad:
        raise InputError(f"{name} holds {bad} NaN or infinite value(s); all must be finite: {mend}")


def check_indices(matrix: Any, *, what: str) -> Any:
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


def check_int(value: Any, *, name: str, low: int, high: int | None = None) -> int:
    """Return `value` as an int between `low` and `high` (both inclusive), or raise `InputError`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not whole or value < low or (high is not None and value > high):
        allowed = f"a whole number from {low} to {high}" if high is not None else f"a whole number >= {low}"
        raise InputError(f"{name}={value!r} is not allowed; pass {allowed}")
    return int(value)


def check_choice(value: Any, *, name: str, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of `allowed`, or raise `InputError`."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name}={value!r} is not allowed; pass one of {', '.join(map(repr, allowed))}")
    return str(value)


def check_instance(value: Any, kind: type, *, name: str) -> None:
    """Raise `InputError` where `value` is not an instance of `kind`."""
    if not isinstance(value, kind):
        raise InputError(f"{name}={value!r} is not allowed; pass a {kind.__name__}, or leave it out")


def check_extra(module: str, *, extra: str, purpose: str) -> None:
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
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    inside = number and np.isfinite(value)
    inside = inside and (above is None or value > above) and (at_least is None or value >= at_least)
    if not inside or (below is not None and value >= below) or (at_most is not None and value > at_most):
        limits = {">": above, ">=": at_least, "<": below, "<=": at_most}
        allowed = " and ".join(f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None)
        raise InputError(
            f"{name}={value!r} is not allowed; pass a {'number ' + allowed if allowed else 'finite number'}"
        )
    return float(value)


def check_key(value: Any, *, name: str) -> None:
    """Raise `InputError` for what cannot be the name of a column, a layer or a gene: lists, tables, arrays."""
    if not isinstance(value, (str, int, float, np.generic, type(None))):
        raise InputError(f"{name}={value!r} is not a name; pass one name, as text")


def check_names(values: Any, *, name: str) -> list[str]:
    """Names as a list, from one or several; `InputError` for what is neither."""
    if isinstance(values, str):
        return [values]
    if isinstance(values, (bytes, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"{name}={values!r} is not allowed; pass a name or a list of names")
    return [str(value) for value in values]


def check_path(value: Any, *, name: str, mend: str) -> Path:
    """Return a path, its ``~`` expanded, or raise `InputError`."""
    if not isinstance(value, (str, os.PathLike)) or isinstance(value, bytes) or not os.fspath(value):
        raise InputError(f"{name}={value!r} is not a path; pass {mend}")
    if "\0" in os.fspath(value):
        raise InputError(f"{name}={value!r} holds a null character; pass {mend}")
    return Path(value).expanduser()
