"""References that are shipped with the package."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files

from spacex._infra.validation import check_choice
from spacex.reference.reference import Reference

SPECIES = ("human", "mouse")


def shipped_reference(species: str) -> Reference:
    """Return the shipped reference of a species, ``"human"`` or ``"mouse"``; raises `InputError` for others."""
    return _load(check_choice(species, name="species", allowed=SPECIES))


@lru_cache(maxsize=len(SPECIES))
def _load(species: str) -> Reference:
    with as_file(files("spacex.reference") / "data" / f"{species}.safetensors") as path:
        return Reference.load(path)
