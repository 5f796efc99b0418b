"""JSON files and checksums."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from spacex._infra.errors import InputError

MAX_JSON_BYTES = 32 * 2**20
"""Maximum size of a JSON file; SpaCEX writes files of a few kilobytes."""


def read_json(path: Path, *, hint: str) -> dict[str, Any]:
    """Read a JSON object from an untrusted file.

    Raises
    ------
    InputError
        If the file is too large, not valid JSON, or holds no object; the message ends with `hint`.
    """
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise InputError(f"'{path}' has {size} bytes, and at most {MAX_JSON_BYTES} are read; {hint}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{path}' cannot be read ({error}); {hint}") from error
    if not isinstance(values, dict):
        raise InputError(f"'{path}' holds a {type(values).__name__}, not a JSON object; {hint}")
    return values


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_sha256(values: Any) -> str:
    """SHA-256 of JSON values, independent of the order of keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
