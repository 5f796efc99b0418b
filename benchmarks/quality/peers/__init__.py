"""Published methods that group or embed the genes of a section, each used as its own documentation says.

A peer that is not installed raises ImportError with the pip line that brings it (`PIP`). All install beside the pins of
``constraints.txt``.
"""

from __future__ import annotations

from collections.abc import Callable

from anndata import AnnData

from ..outcome import Outcome
from . import gspa, hotspot, smoothie

PEERS: dict[str, Callable[[AnnData, int], Outcome]] = {
    "Hotspot": hotspot.readme,
    "Hotspot, tutorial": hotspot.tutorial,
    "Smoothie": smoothie.pipeline,
    "GSPA": gspa.visium,
}
"""A section of raw counts with ``obsm["spatial"]``, and a seed -> `Outcome`."""

PIP: dict[str, str] = {
    "Hotspot": hotspot.PIP,
    "Hotspot, tutorial": hotspot.PIP,
    "Smoothie": smoothie.PIP,
    "GSPA": gspa.PIP,
}
