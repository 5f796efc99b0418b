"""Fixtures shared with the tests of invalid input."""

from tests.invalid_input.conftest import _no_umap, files

__all__ = ["_no_umap", "files"]
