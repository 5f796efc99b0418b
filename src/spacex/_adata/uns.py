"""``uns["spacex"]``: parameters, grid, history and versions, in types that HDF5 and zarr can hold."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
from anndata import AnnData

from spacex._adata import keys
from spacex._config import Config
from spacex._infra.errors import InputError

PACKAGES = ("anndata", "numpy", "pandas", "scanpy", "scikit-learn", "scipy", "torch")
WRITTEN_BY = {
    "grid": "sx.pp.rasterize(adata)",
    "impute": "sx.tl.impute(...)",
    "interactions": "sx.tl.interactions(adata)",
}


def write_uns(adata: AnnData, **sections: Any) -> None:
    """Write sections of ``uns["spacex"]``, keeping the others; values of types that HDF5 and zarr can hold."""
    uns = read_uns(adata)
    for name, values in sections.items():
        uns[name] = _writable(values)
    uns["versions"] = _versions()
    adata.uns[keys.UNS] = uns


def read_uns(adata: AnnData) -> dict[str, Any]:
    """All of ``uns["spacex"]``; empty where nothing was written."""
    found = adata.uns.get(keys.UNS, {})
    if not isinstance(found, Mapping):
        raise InputError(
            f'uns["{keys.UNS}"] is a {type(found).__name__} and not what SpaCEX wrote; delete it, '
            f'del adata.uns["{keys.UNS}"], and call sx.tl.embed(adata)'
        )
    return dict(found)


def read_uns_entry(adata: AnnData, name: str, *needed: str) -> dict[str, Any]:
    """One section of ``uns["spacex"]``; empty where it was not written, an error where it lacks what is `needed`."""
    found = read_uns(adata).get(name, {})
    lost = [key for key in needed if key not in found] if isinstance(found, Mapping) else []
    if lost or not isinstance(found, Mapping):
        what = f"{', '.join(lost)} missing" if lost else f"it is a {type(found).__name__}"
        raise InputError(
            f'uns["{keys.UNS}"]["{name}"] is not what SpaCEX wrote ({what}); '
            f"call {WRITTEN_BY.get(name, 'sx.tl.embed(adata)')}"
        )
    return dict(found)


def read_embedded_layer(adata: AnnData) -> str | None:
    """The layer that the embedding was made from; None for ``X``, and where there is no embedding."""
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


def _versions() -> dict[str, str]:
    found: dict[Literal["spacex"] | str, str] = {}
    for package in ("spacex-st", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
