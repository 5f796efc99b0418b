"""Validation and storage of frozen dataclasses of settings, such as `PairParams`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from spacex._infra.errors import InputError, safe_repr
from spacex._infra.validation import check_instance, check_int, check_number

T = TypeVar("T")

MAX_COUNT = 1_000_000
"""Upper bound of integer settings that have no other limit."""


def resolve_settings(value: T | None, kind: type[T], *, name: str = "params") -> T:
    """The settings passed as argument `name`, or the defaults if it is None; raises `InputError` for another class."""
    if value is None:
        return kind()
    check_instance(value, kind, name=name)
    return value


def coerce_ints(settings: Any, limits: Mapping[str, tuple[int, int]]) -> None:
    """Store the named settings as ints, or raise `InputError` for one outside its limits (both inclusive)."""
    for name, (low, high) in limits.items():
        label = f"{type(settings).__name__}.{name}"
        object.__setattr__(settings, name, check_int(getattr(settings, name), name=label, low=low, high=high))


def coerce_floats(settings: Any, *names: str, **bounds: float) -> None:
    """Store the named settings as floats, or raise `InputError` for one outside the bounds of `check_number`."""
    for name in names:
        label = f"{type(settings).__name__}.{name}"
        object.__setattr__(settings, name, check_number(getattr(settings, name), name=label, **bounds))


def check_tuple(settings: Any, name: str, *, allowed: str, min_length: int = 1, max_length: int | None = None) -> Any:
    """The named setting if it is a tuple or list of an allowed length, or raise `InputError`."""
    values = getattr(settings, name)
    if not isinstance(values, (tuple, list)) or not min_length <= len(values) <= (max_length or len(values)):
        label = f"{type(settings).__name__}.{name}={safe_repr(values)}"
        raise InputError(f"{label} is not allowed; pass {allowed}")
    return values


def settings_to_dict(settings: Any) -> dict[str, Any]:
    """The settings as plain values that JSON, HDF5 and zarr can hold; tuples become lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}


def settings_from_dict(kind: type[T], values: Any) -> T:
    """The settings of class `kind` from the result of `settings_to_dict`; missing settings get their defaults."""
    if not isinstance(values, Mapping):
        raise InputError(f"{kind.__name__}: {safe_repr(values)} is not a dict; pass a dict from setting to value")
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(map(str, values)) - set(names))
    if unknown:
        raise InputError(
            f"{kind.__name__} has no setting {', '.join(unknown[:5])}; pass some of {', '.join(sorted(names))}"
        )
    return kind(**{str(name): _to_python(value) for name, value in values.items()})


def _to_python(value: Any) -> Any:
    """A stored setting as a Python value; lists and arrays become tuples."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(value) if isinstance(value, list) else value
