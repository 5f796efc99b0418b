"""The files of the tables of bad input serve here too."""

from tests.invalid_input.conftest import _no_umap, files

__all__ = ["_no_umap", "files"]
