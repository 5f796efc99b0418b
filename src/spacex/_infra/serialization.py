"""What was stored for a later call: read with care, since anybody may have changed it meanwhile."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from spacex._infra.errors import InputError

MAX_JSON_BYTES = 32 * 2**20
"""Bytes of a file of settings or notes; those that are written have some thousands."""


def read_json(path: Path, *, hint: str) -> dict[str, Any]:
    """The object in a JSON file, which is looked at before it is read; an error that names the `hint`."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise InputError(f"'{path}' has {size} bytes, and at most {MAX_JSON_BYTES} are read; {hint}")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"'{path}' cannot be read ({error}); {hint}") from error
    if not isinstance(found, dict):
        raise InputError(f"'{path}' holds no settings but a {type(found).__name__}; {hint}")
    return found


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def json_sha256(values: Any) -> str:
    """SHA-256 of values that JSON can hold, whatever the order of their names."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
