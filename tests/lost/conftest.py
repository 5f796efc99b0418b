"""The files of the tables of bad input serve here too."""

from tests.bad.conftest import _no_umap, files

__all__ = ["_no_umap", "files"]
