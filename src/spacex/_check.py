"""Checks of what callers hand in, and the one kind of error that they raise.

Every message names the argument, its value, what is allowed and the call that mends it, on one line.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np


class InputError(ValueError):
    """The input cannot be used as it is; the message says what is wrong and what mends it.

    Examples
    --------
    >>> import spacex as sx
    >>> try:
    ...     sx.Config(theta=0)
    ... except sx.InputError as error:
    ...     print(error)
    Config.theta=0 is not allowed; pass a number > 0
    """


class WorkerError(RuntimeError):
    """One of several processes that work together is gone; the message says which and what to do."""


def check_finite(values: np.ndarray, *, name: str, mend: str) -> None:
    """Raise `InputError` where `values` holds NaN or infinity."""
    bad = int(np.size(values) - np.isfinite(values).sum())
    if bad:
        raise InputError(f"{name} holds {bad} NaN or infinite value(s); all must be finite: {mend}")


def check_int(value: Any, *, name: str, low: int, high: int | None = None) -> int:
    """Return `value` as an int between `low` and `high` (both inclusive), or raise `InputError`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not whole or value < low or (high is not None and value > high):
        allowed = f"a whole number from {low} to {high}" if high is not None else f"a whole number >= {low}"
        raise InputError(f"{name}={value!r} is not allowed; pass {allowed}")
    return int(value)


def check_choice(value: Any, *, name: str, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of `allowed`, or raise `InputError`."""
    if value not in allowed:
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


def available_memory() -> int:
    """Bytes that this process can still take: of the machine, or of the group (job, container) that limits it."""
    import psutil

    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return free if limit == "max" else min(free, max(int(limit) - int(used), 0))
    except (OSError, ValueError):  # not Linux, or no group
        return int(free)


def check_memory(needed: int, *, what: str, mend: str) -> None:
    """Raise `InputError` where something would take more bytes than there are."""
    free = available_memory()
    if needed > free:
        sizes = f"{needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"
        raise InputError(f"{what} needs about {sizes}: {mend}")
