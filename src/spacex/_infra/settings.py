"""Validation and storage of frozen dataclasses of settings, such as `PairParams`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from spacex._infra.errors import InputError, safe_repr
from spacex._infra.validation import check_int, check_number

T = TypeVar("T")


def validate_ints(settings: Any, limits: Mapping[str, tuple[int, int]]) -> None:
    """Store the named settings as ints, or raise `InputError` for one outside its limits (both inclusive)."""
    for name, (low, high) in limits.items():
        label = f"{type(settings).__name__}.{name}"
        object.__setattr__(settings, name, check_int(getattr(settings, name), name=label, low=low, high=high))


def validate_floats(settings: Any, *names: str, **bounds: float) -> None:
    """Store the named settings as floats, or raise `InputError` for one outside the bounds of `check_number`."""
    for name in names:
        label = f"{type(settings).__name__}.{name}"
        object.__setattr__(settings, name, check_number(getattr(settings, name), name=label, **bounds))


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
