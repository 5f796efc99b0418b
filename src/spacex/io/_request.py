"""What a reader is asked for: a file or folder, and the options that pick a part of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from spacex._infra.errors import InputError
from spacex.io._folder import Folder


@dataclass(frozen=True)
class Request:
    """What is to be read, and how.

    Attributes
    ----------
    path
        File or folder.
    bin
        Size of bins, or ``"cells"``.
    sample
        Name of one sample, as in the names of its files, in a folder of several.
    """

    path: Path
    bin: str | int | None = None
    sample: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether the path is a folder."""
        return self.path.is_dir()

    @property
    def folder(self) -> Folder:
        """The folder, as far as it belongs to the sample."""
        return Folder(self.path, self.sample)

    def at(self, path: Path) -> Request:
        """The same for another path."""
        return replace(self, path=path)

    def refuse_bin(self) -> None:
        """Raise `InputError` where bins were asked for and the layout has none."""
        if self.bin is not None:
            raise InputError(f"bin={self.bin!r} does not apply to '{self.path}', which has no bins; leave it out")
