"""Checkpoint after the embedding, from which an interrupted run is resumed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Literal

from anndata import AnnData

import spacex as sx
from spacex._infra.atomic_write import process_tag, remove_on_exit, remove_stale, translate_os_errors
from spacex._infra.errors import InputError
from spacex._infra.serialization import file_sha256, read_json
from spacex.cli._outputs import CHECKPOINT

PARTIAL_PREFIX = f"{CHECKPOINT}-partial-"
METADATA_FILE = "checkpoint.json"
FILES = ("section.h5ad", "model/config.json", "model/model.safetensors")
FORMAT_VERSION = 1
START_OVER = "omit --resume to start over"


def fingerprint(path: Path) -> str:
    """Return a SHA-256 of a file's bytes, or of the names, sizes and times of the files of a folder.

    The content of folders is not hashed, because a vendor's folder may hold a hundred gigabytes of images.
    """
    if not path.is_dir():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        status = file.stat()
        digest.update(f"{file.relative_to(path)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class Checkpoint:
    """State after the embedding, stored in a hidden subfolder until the result is complete.

    Parameters
    ----------
    out
        Folder of the result.
    choices
        Input and options that the embedding depends on.
    """

    def __init__(self, out: Path, choices: dict[str, Any]):
        self.out, self.choices = out, choices
        self.created_out = self.is_written = False
        self.folder = out / CHECKPOINT
        self.model = self.folder / "model"

    def write(self, adata: AnnData, model: Any, seconds: dict[str, float]) -> None:
        """Write the state; the folder is renamed to its final name when it is complete."""
        self.created_out = not self.out.exists()
        self._remove_partial()
        partial = self.out / f"{PARTIAL_PREFIX}{process_tag()}"
        try:
            with translate_os_errors(self.folder), remove_on_exit(partial):
                partial.mkdir(parents=True)
                adata.write_h5ad(partial / "section.h5ad")
                model.save(partial / "model")
                files = {name: file_sha256(partial / name) for name in FILES}
                metadata = {"format": FORMAT_VERSION, "choices": self.choices, "seconds": seconds, "files": files}
                (partial / METADATA_FILE).write_text(json.dumps(metadata))
                shutil.rmtree(self.folder, ignore_errors=True)
                partial.rename(self.folder)
                self.is_written = True
        except BaseException:
            self._remove_empty_out()
            raise

    def read(self, *, lazy: bool = False) -> tuple[AnnData, dict[str, float]]:
        """Return the embedded section and the seconds of its stages; `lazy` leaves the counts on disk."""
        metadata = self.read_metadata()
        for name, digest in metadata["files"].items():
            file = self.folder / name
            if not file.is_file() or file_sha256(file) != digest:
                raise InputError(f"--resume: '{file}' was changed after spacex wrote it; {START_OVER}")
        return sx.read(self.folder / "section.h5ad", lazy=lazy), metadata["seconds"]

    def read_metadata(self) -> dict[str, Any]:
        """Return the metadata of the checkpoint, or an empty dictionary if there is no checkpoint."""
        file = self.folder / METADATA_FILE
        if not file.is_file():
            return {}
        metadata = read_json(file, hint=START_OVER)
        if metadata.get("format") != FORMAT_VERSION:
            raise InputError(
                f"--resume: '{file}' has format {metadata.get('format')!r}, but this version reads format "
                f"{FORMAT_VERSION}; {START_OVER}"
            )
        parts = [metadata.get(name) for name in ("choices", "seconds", "files")]
        if not all(isinstance(part, dict) for part in parts) or set(metadata["files"]) != set(FILES):
            raise InputError(f"--resume: '{file}' was changed after spacex wrote it; {START_OVER}")
        return metadata

    def remove(self) -> None:
        """Remove the checkpoint, and the folder of the result if this run created it and it is empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._remove_partial()
        self._remove_empty_out()

    def _remove_empty_out(self) -> None:
        if self.created_out and self.out.is_dir() and not any(self.out.iterdir()):
            self.out.rmdir()

    def _remove_partial(self) -> None:
        """Remove the partial checkpoints of killed runs."""
        for folder in remove_stale(self.out, PARTIAL_PREFIX):
            shutil.rmtree(folder, ignore_errors=True)


def resume_state(checkpoint: Checkpoint, choices: dict[str, Any]) -> Literal["complete", "checkpoint"] | None:
    """Return the state that ``--resume`` starts from, or None to start from the beginning.

    Raises
    ------
    InputError
        If the folder contains output from a run with another input or other options.
    """
    result_choices = _result_choices(checkpoint.out)
    if result_choices == choices:
        return "complete"
    checkpoint_choices = checkpoint.read_metadata().get("choices")
    if checkpoint_choices == checkpoint.choices:
        return "checkpoint"
    if checkpoint_choices is not None:
        previous, current = checkpoint_choices, checkpoint.choices
    elif result_choices is not None:
        previous, current = result_choices, choices
    else:
        return None
    changed = [name.replace("_", "-") for name in current if previous.get(name) != current[name]]
    raise InputError(
        f"--resume: {checkpoint.out} contains output from a different run (different: {', '.join(changed)}); "
        "omit --resume to replace it, or pass another folder with -o"
    )


def _result_choices(out: Path) -> dict[str, Any] | None:
    """Return the input and options of the complete result in a folder; None if there is no complete result."""
    try:
        run = read_json(out / "run.json", hint=START_OVER)
        is_complete = all((out / name).exists() for name in run["files"])
        return dict(run["choices"]) if is_complete else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
