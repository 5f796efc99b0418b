"""The arguments of `sx.read` that readers use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from spacex._infra.errors import InputError
from spacex.io._folder import Folder


@dataclass(frozen=True)
class Request:
    """An input file or folder, and the selected part of it.

    Attributes
    ----------
    path
        File or folder.
    bin
        Size of the bins, or ``"cells"``.
    sample
        Name of a sample, a part of its file names, in a folder with several samples.
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
        """The folder, restricted to the sample."""
        return Folder(self.path, self.sample)

    def with_path(self, path: Path) -> Request:
        """Return the same request for another path."""
        return replace(self, path=path)

    def reject_bin(self) -> None:
        """Raise `InputError` if `bin` was passed: for layouts without bins."""
        if self.bin is not None:
            raise InputError(f"bin={self.bin!r} does not apply to '{self.path}', which has no bins; omit it")
