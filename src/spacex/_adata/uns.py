"""Entries of ``uns["spacex"]``: parameters, grid, history and versions, in types that HDF5 and zarr can store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData

from spacex._adata import keys
from spacex._config import Config
from spacex._infra.errors import InputError
from spacex._infra.versions import installed_versions

PACKAGES = ("anndata", "numpy", "pandas", "scanpy", "scikit-learn", "scipy", "torch")
WRITTEN_BY = {
    "grid": "sx.pp.rasterize(adata)",
    "impute": "sx.tl.impute(...)",
    "interactions": "sx.tl.interactions(adata)",
}


def write_uns(adata: AnnData, **entries: Any) -> None:
    """Write entries of ``uns["spacex"]`` in types that HDF5 and zarr can store; an entry of None is removed.

    Other entries stay.
    """
    uns = read_uns(adata)
    for name, values in entries.items():
        if values is None:
            uns.pop(name, None)
        else:
            uns[name] = _writable(values)
    uns["versions"] = installed_versions(PACKAGES)
    adata.uns[keys.UNS] = uns


def read_uns(adata: AnnData) -> dict[str, Any]:
    """All entries of ``uns["spacex"]``; empty if nothing was written."""
    entries = adata.uns.get(keys.UNS, {})
    if not isinstance(entries, Mapping):
        raise InputError(
            f'uns["{keys.UNS}"] is a {type(entries).__name__}, not what SpaCEX wrote; delete it, '
            f'del adata.uns["{keys.UNS}"], and call sx.tl.embed(adata)'
        )
    return dict(entries)


def read_uns_entry(adata: AnnData, name: str, *required: str) -> dict[str, Any]:
    """One entry of ``uns["spacex"]``; empty if not written. Raises `InputError` if it lacks a `required` key."""
    entry = read_uns(adata).get(name, {})
    missing = [key for key in required if key not in entry] if isinstance(entry, Mapping) else []
    if missing or not isinstance(entry, Mapping):
        problem = f"{', '.join(missing)} missing" if missing else f"it is a {type(entry).__name__}"
        raise InputError(
            f'uns["{keys.UNS}"]["{name}"] is not what SpaCEX wrote ({problem}); '
            f"call {WRITTEN_BY.get(name, 'sx.tl.embed(adata)')}"
        )
    return dict(entry)


def read_embedded_layer(adata: AnnData) -> str | None:
    """Layer of the embedding; None for ``X`` or without an embedding."""
    layer = read_uns_entry(adata, "embed").get("layer", "")
    if not isinstance(layer, str):
        raise InputError(f'uns["{keys.UNS}"]["embed"]["layer"]={layer!r} is not a name; call sx.tl.embed(adata)')
    return layer or None


def read_config(adata: AnnData) -> Config:
    """Return the stored settings of the embedding; settings that are not stored have their defaults."""
    return Config.from_dict(read_uns_entry(adata, "parameters"))


def _writable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _writable(v) for key, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return np.asarray(value)
    return value
