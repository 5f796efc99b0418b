"""What a kind of bad input is, and what may not change when it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

LONGEST = 700
"""Characters of a message; one line that is read, not a page."""


@dataclass(frozen=True)
class SectionKind:
    """A section with something odd about it. `message` None: it has a defined result wherever it is passed."""

    name: str
    change: Callable[[AnnData], AnnData | None]
    message: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()  # the calls that look at what is odd; none: all
    flags: tuple[str, ...] | None = ()  # of the command line; None: it cannot be said there


@dataclass(frozen=True)
class FileKind:
    """Something on disk that is given as a section, made in an empty folder."""

    name: str
    make: Callable[[Path], Path]
    message: str


@dataclass(frozen=True)
class SettingKind:
    """Arguments of one call that it cannot take; `flags` says the same on the command line, where it can be said."""

    call: str
    settings: Mapping[str, Any]
    message: str
    flags: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """As it would be written."""
        shown = ", ".join(f"{name}={str(value)[:80]!r}" for name, value in self.settings.items())
        return f"{self.call}({shown})"


def assert_one_clear_line(error: str, message: str) -> None:
    """The message says what it should, on one line, and no more than can be read."""
    assert re.search(message, error), error
    assert "\n" not in error
    assert len(error) < LONGEST, error


def state(value: Any) -> Any:
    """Everything that is in an AnnData, or in a value of one, in a form that compares, down to the bytes."""
    if isinstance(value, AnnData):
        parts = {name: state(dict(getattr(value, name))) for name in ("obsm", "varm", "obsp", "varp", "layers", "uns")}
        return {**parts, "X": state(value.X), "obs": state(value.obs), "var": state(value.var)}
    if isinstance(value, Mapping):
        return [(str(key), state(part)) for key, part in value.items()]
    if isinstance(value, pd.DataFrame):
        return [state(value.index.to_numpy()), [(str(name), state(value[name])) for name in value]]
    if isinstance(value, pd.Series):
        return str(value.dtype), repr(value.tolist())
    if sp.issparse(value):
        csr = value.tocsr()
        return type(value).__name__, value.dtype.str, csr.data.tobytes(), csr.indices.tobytes(), csr.indptr.tobytes()
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, repr(value.tolist()) if value.dtype == object else value.tobytes()
    return type(value).__name__, repr(value)
