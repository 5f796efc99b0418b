"""Compressed arrays inside the report, which its script unpacks on demand."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEVEL = 6


@dataclass
class PackedArrays:
    """Arrays by name, deflated and encoded as base64.

    Attributes
    ----------
    packed
        Base64 text of each array.
    shapes
        Data type and shape of each array.
    """

    packed: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, values: np.ndarray) -> int:
        """Pack an array, little-endian and in row-major order; return the length of its text."""
        values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        self.packed[name] = base64.b64encode(zlib.compress(values.tobytes(), LEVEL)).decode()
        self.shapes[name] = {"type": values.dtype.name, "shape": list(values.shape)}
        return len(self.packed[name])


def to_smallest_int(values: np.ndarray) -> np.ndarray:
    """Convert integers of at least -1 to int16 if they fit, else to int32."""
    return values.astype(np.int16 if values.max(initial=-1) < 2**15 else np.int32)


def to_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale values to 1 at `low` and 255 at `high`; missing values become 0."""
    level = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return np.where(np.isfinite(values), 1 + np.rint(254 * np.nan_to_num(level)), 0).astype(np.uint8)
