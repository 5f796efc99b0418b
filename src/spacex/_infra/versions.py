"""Versions of installed packages."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of this package and of those of `packages` that are installed."""
    versions: dict[str, str] = {}
    for package in ("spacex-st", *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
