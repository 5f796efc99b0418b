"""Going on after an interruption: what was done, of which input, with which choices."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Literal

from anndata import AnnData

import spacex as sx
from spacex._infra.atomic_write import process_tag, remove_on_error, remove_stale, translate_os_errors
from spacex._infra.errors import InputError
from spacex._infra.serialization import file_sha256, read_json
from spacex.cli._outputs import CHECKPOINT

PARTIAL = f"{CHECKPOINT}-partial-"
NOTES = "checkpoint.json"
FILES = ("section.h5ad", "model/config.json", "model/model.safetensors")
FORMAT = 1
START_ANEW = "leave out --resume to start anew"


def fingerprint(path: Path) -> str:
    """What tells one input from another: the bytes of a file; names, sizes and times of a folder's files.

    A folder of a vendor may hold a hundred gigabytes of images, which are not read only to be told apart.
    """
    names = hashlib.sha256()
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            status = file.stat()
            names.update(f"{file.relative_to(path)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return names.hexdigest()
    return file_sha256(path)


class Checkpoint:
    """The state after the embedding, kept in a hidden folder of the result until the result is complete.

    Parameters
    ----------
    out
        Folder of the result.
    choices
        What the embedding depends on.
    """

    def __init__(self, out: Path, choices: dict[str, Any]):
        self.out, self.choices = out, choices
        self.made_out = self.written = False
        self.folder = out / CHECKPOINT
        self.model = self.folder / "model"

    def write(self, adata: AnnData, model: Any, seconds: dict[str, float]) -> None:
        """Keep the state; the folder gets its name once it is complete."""
        self.made_out = not self.out.exists()
        self._sweep()
        partial = self.out / f"{PARTIAL}{process_tag()}"
        try:
            with translate_os_errors(self.folder), remove_on_error(partial):
                partial.mkdir(parents=True)
                adata.write_h5ad(partial / "section.h5ad")
                model.save(partial / "model")
                files = {name: file_sha256(partial / name) for name in FILES}
                notes = {"format": FORMAT, "choices": self.choices, "seconds": seconds, "files": files}
                (partial / NOTES).write_text(json.dumps(notes))
                shutil.rmtree(self.folder, ignore_errors=True)
                partial.rename(self.folder)
                self.written = True
        except BaseException:
            self._remove_empty_out()
            raise

    def read(self, *, lazy: bool = False) -> tuple[AnnData, dict[str, float]]:
        """The section with its embedding, its counts left on disk if `lazy`; and the seconds that it took."""
        notes = self.notes()
        for name, known in notes["files"].items():
            if not (self.folder / name).is_file() or file_sha256(self.folder / name) != known:
                raise InputError(f"--resume: '{self.folder / name}' is not what was written there; {START_ANEW}")
        return sx.read(self.folder / "section.h5ad", lazy=lazy), notes["seconds"]

    def notes(self) -> dict[str, Any]:
        """What was noted beside the state; empty where there is none; an error where it is of another version."""
        file = self.folder / NOTES
        if not file.is_file():
            return {}
        notes = read_json(file, hint=START_ANEW)
        if notes.get("format") != FORMAT:
            raise InputError(
                f"--resume: '{file}' has format {notes.get('format')!r}, and this version reads {FORMAT}; {START_ANEW}"
            )
        parts = [notes.get(name) for name in ("choices", "seconds", "files")]
        if not all(isinstance(part, dict) for part in parts) or set(notes["files"]) != set(FILES):
            raise InputError(f"--resume: '{file}' is not what was written there; {START_ANEW}")
        return notes

    def remove(self) -> None:
        """Remove the state, and the folder of the result if nothing else is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._sweep()
        self._remove_empty_out()

    def _remove_empty_out(self) -> None:
        if self.made_out and self.out.is_dir() and not any(self.out.iterdir()):
            self.out.rmdir()

    def _sweep(self) -> None:
        """Remove what killed runs left half-written."""
        for left in remove_stale(self.out, PARTIAL):
            shutil.rmtree(left, ignore_errors=True)


def resume_state(checkpoint: Checkpoint, choices: dict[str, Any]) -> Literal["complete", "checkpoint"] | None:
    """What ``--resume`` can go on from; an error where the folder holds something of another job."""
    result = _finished(checkpoint.out)
    if result == choices:
        return "complete"
    kept = checkpoint.notes().get("choices")
    if kept == checkpoint.choices:
        return "checkpoint"
    if result is None and kept is None:
        return None
    other, mine = (kept, checkpoint.choices) if kept is not None else (result, choices)
    changed = [name.replace("_", "-") for name in mine if (other or {}).get(name) != mine[name]]
    raise InputError(
        f"--resume: {checkpoint.out} holds work of another job (different: {', '.join(changed)}); "
        "leave out --resume to replace it, or pass another folder by -o"
    )


def _finished(out: Path) -> dict[str, Any] | None:
    """The choices of the complete result in a folder, if one is there."""
    try:
        notes = read_json(out / "run.json", hint=START_ANEW)
        complete = all((out / name).exists() for name in notes["files"])
        return dict(notes["choices"]) if complete else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
