"""``uns["spacex"]``: parameters, grid, history and versions, in types that HDF5 and zarr can hold."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
from anndata import AnnData

KEY = "spacex"
PACKAGES = ("anndata", "numpy", "pandas", "scanpy", "scikit-learn", "scipy", "torch")


def note(adata: AnnData, **sections: Any) -> None:
    """Write sections of ``uns["spacex"]``, keeping the others; values of types that HDF5 and zarr can hold."""
    uns = dict(adata.uns.get(KEY, {}))
    for name, values in sections.items():
        uns[name] = _writable(values)
    uns["versions"] = _versions()
    adata.uns[KEY] = uns


def noted(adata: AnnData, name: str) -> dict[str, Any]:
    """One section of ``uns["spacex"]``; empty where it was not written."""
    return dict(adata.uns.get(KEY, {}).get(name, {}))


def embedded_layer(adata: AnnData) -> str | None:
    """The layer that the embedding was made from; None for ``X``, and where there is no embedding."""
    return noted(adata, "embed").get("layer") or None


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
