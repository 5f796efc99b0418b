"""Arrays inside the page: deflated, as base64 in elements that no browser runs, unpacked by the page when needed."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEVEL = 6


@dataclass
class PackedArrays:
    """Packed arrays by name, and what the page must know to unpack them.

    Attributes
    ----------
    packed
        Base64 of every deflated array.
    shapes
        Type and shape of every array, for the page.
    """

    packed: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, values: np.ndarray) -> int:
        """Pack an array, little-endian and in the order of rows; return its length in characters."""
        values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        self.packed[name] = base64.b64encode(zlib.compress(values.tobytes(), LEVEL)).decode()
        self.shapes[name] = {"type": values.dtype.name, "shape": list(values.shape)}
        return len(self.packed[name])

    @property
    def size(self) -> int:
        """Characters of all arrays."""
        return sum(map(len, self.packed.values()))


def smallest_int(values: np.ndarray, low: int = -1) -> np.ndarray:
    """Whole numbers from `low` on in the smallest type that holds them: int16 or int32."""
    return values.astype(np.int16 if values.max(initial=low) < 2**15 else np.int32)


def bytes_of(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Numbers as bytes, 1 at `low` and 255 at `high`; 0 where a value is missing."""
    level = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return np.where(np.isfinite(values), 1 + np.rint(254 * np.nan_to_num(level)), 0).astype(np.uint8)
