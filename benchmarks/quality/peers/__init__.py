"""Published methods that group or embed the genes of a section, with the settings of their documentation.

A peer that is not installed raises ImportError with its pip command (`PIP`). All can be installed with the
versions in ``constraints.txt``.
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
"""Functions from a section of raw counts with ``obsm["spatial"]`` and a seed to an `Outcome`."""

PIP: dict[str, str] = {
    "Hotspot": hotspot.PIP,
    "Hotspot, tutorial": hotspot.PIP,
    "Smoothie": smoothie.PIP,
    "GSPA": gspa.PIP,
}
