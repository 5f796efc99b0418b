"""Kinds of invalid input, and the check that input is unchanged after an error."""

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

MAX_LENGTH = 700
"""Maximum number of characters of an error message."""


@dataclass(frozen=True)
class SectionKind:
    """An unusual or invalid section. `message` None: every call returns a valid result."""

    name: str
    change: Callable[[AnnData], AnnData | None]
    message: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()  # the calls that depend on the change; empty: all
    flags: tuple[str, ...] | None = ()  # of the command line; None: not tested there


@dataclass(frozen=True)
class FileKind:
    """A file or folder that is not a section, created in an empty folder."""

    name: str
    make: Callable[[Path], Path]
    message: str


@dataclass(frozen=True)
class SettingKind:
    """Invalid arguments of one call; `flags` are the equivalent arguments of the command line, if there are any."""

    call: str
    settings: Mapping[str, Any]
    message: str
    flags: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Return the call as code."""
        shown = ", ".join(f"{name}={str(value)[:80]!r}" for name, value in self.settings.items())
        return f"{self.call}({shown})"


def assert_one_clear_line(error: str, message: str) -> None:
    """Assert that an error matches a pattern, is one line, and is short."""
    assert re.search(message, error), error
    assert "\n" not in error
    assert len(error) < MAX_LENGTH, error


def state(value: Any) -> Any:
    """Return the content of an AnnData, or of one of its values, in a form that can be compared byte by byte."""
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
