"""Whoever writes a file: a full disk, or a folder that is closed, is one clear error, and what was there stays."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.invalid_input.calls import imputed, model, section, whole

import spacex as sx
from spacex._infra.atomic_write import DRAFT_MARK, atomic_file, atomic_path, process_tag
from spacex._infra.validation import check_output_file
from spacex.cli import main
from spacex.cli._checkpoint import Checkpoint
from spacex.embedding.context import one_thread
from spacex.report import write_report

Write = Callable[[Path], Any]


def a_table(place: Path) -> None:
    with atomic_file(place) as file:
        pd.DataFrame({"section": [f"s{i}" for i in range(20_000)]}).to_csv(file)


def an_imputed_file(place: Path) -> None:
    part, genes = whole()[:, :40].copy(), list(whole().var_names[60:64])
    sx.tl.impute(part, whole(), genes=genes, path=place, progress=False).file.close()


def a_result(place: Path) -> None:
    from spacex.cli._outputs import write_result
    from spacex.cli._stage_timer import StageTimer

    write_result(section().copy(), place, model(), None, choices={}, input_name="s", timer=StageTimer())


WRITERS: dict[str, tuple[str, Write]] = {
    "model": ("model", lambda place: model().save(place)),
    "report": ("report.html", lambda place: write_report(section(), place)),
    "figure": ("figure.png", lambda place: sx.pl.imputed(imputed(), save=place)),
    "table of sections": ("sections.csv", a_table),
    "imputed": ("out.h5ad", an_imputed_file),
    "checkpoint": ("checkpoint", lambda place: Checkpoint(place, {}).write(section(), model(), {"embed": 1.0})),
    "result": ("result", a_result),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def on_a_full_disk(n_bytes: int, work: Callable[[], Any], said: Path) -> str:
    """What is said when no file may be larger: the system then refuses to write on, as it does on a full disk.

    In a child, because HDF5 is in no state to go on after a file that it could not write. It keeps to one thread: those
    of its parent, which numba may have started, do not live in it, and OpenMP would wait for them.
    """
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        error = "nothing was raised"
        try:
            with one_thread():
                work()
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[1:] * 2)
            said.write_text(error)
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return said.read_text()


@pytest.mark.parametrize("n_bytes", [0, 500, 5_000])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk(writer: str, n_bytes: int, tmp_path: Path) -> None:
    name, write = WRITERS[writer]
    write(tmp_path / name)
    before = contents(tmp_path)
    assert before
    said = on_a_full_disk(n_bytes, lambda: write(tmp_path / name), tmp_path.parent / f"{tmp_path.name}.said")
    assert said.startswith("DiskFullError: ")
    assert "cannot be written: the disk is full; free some" in said
    left = contents(tmp_path)
    if writer != "checkpoint":  # one that cannot be replaced is of no use, and takes space
        assert left == before
    assert not [path for path in left if DRAFT_MARK in path or "partial" in path]


@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_killed_writer_left_goes(writer: str, tmp_path: Path) -> None:
    name, write = WRITERS[writer]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mark = f"{process_tag().split('-')[0]}-{dead.pid}"
    folder = tmp_path / name if writer == "model" else tmp_path
    folder.mkdir(exist_ok=True)
    left = {
        "model": [f".model.safetensors{DRAFT_MARK}{mark}.safetensors", f".config.json{DRAFT_MARK}{mark}.json"],
        "checkpoint": [], "result": [],
    }.get(writer, [f".{name}{DRAFT_MARK}{mark}{Path(name).suffix}"])  # fmt: skip
    for file in left:
        (folder / file).write_text("half")
    if writer == "result":
        (folder / f".spacex-partial-{mark}" / "model").mkdir(parents=True)
    if writer == "checkpoint":
        (folder / name / f".spacex-checkpoint-partial-{mark}" / "model").mkdir(parents=True)
    write(tmp_path / name)
    assert not [path for path in tmp_path.rglob("*") if "half" in path.name or DRAFT_MARK in path.name]
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]


def test_what_others_are_writing_stays(tmp_path: Path) -> None:
    mine, theirs = (
        f".a.txt{DRAFT_MARK}{process_tag().split('-')[0]}-{os.getppid()}.txt",
        f".a.txt{DRAFT_MARK}00000000-1.txt",
    )
    for name in (mine, theirs, f".b.txt{DRAFT_MARK}x"):
        (tmp_path / name).write_text("being written")
    with atomic_file(tmp_path / "a.txt") as file:
        file.write("done")
    assert {path.name for path in tmp_path.iterdir()} == {mine, theirs, f".b.txt{DRAFT_MARK}x", "a.txt"}
    os.utime(tmp_path / theirs, (0, 0))  # long ago, on another machine
    with atomic_file(tmp_path / "a.txt") as file:
        file.write("done")
    assert theirs not in {path.name for path in tmp_path.iterdir()}


def test_a_name_with_wildcards_is_only_a_name(tmp_path: Path) -> None:
    for name in ("*.txt", "[a].txt", "?.txt"):
        with atomic_path(tmp_path / name) as draft:
            draft.write_text(name)
    assert {path.name for path in tmp_path.iterdir()} == {"*.txt", "[a].txt", "?.txt"}


CLOSED = """
import os, sys, spacex as sx
from pathlib import Path
from spacex.report import write_report
from spacex.cli import main
adata, place = sx.read(sys.argv[1]), Path(sys.argv[2])
def model():
    estimator = sx.SpaCEX(sx.Config(n_permuted_genes=50), n_modules=2, progress=False)
    estimator.fit(sx.pp.gene_images(adata)).save(place / "m")
def impute():
    sx.tl.impute(adata[:, :40].copy(), adata, path=place / "a.h5ad", progress=False)
fitted = sx.SpaCEX(sx.Config(n_permuted_genes=50), n_modules=2, progress=False).fit(sx.pp.gene_images(adata))
import matplotlib.pyplot, bokeh.models, jinja2, spacex.report._page, spacex.tl._stream
spacex.report._page.build(adata)
os.setuid(65534)
for write in (lambda: fitted.save(place / "m"), lambda: write_report(adata, place / "r.html"), impute):
    try:
        write()
    except (OSError, sx.InputError) as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become somebody else")
def test_a_closed_folder(files: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        done = subprocess.run([sys.executable, "-c", CLOSED, str(files / "result.h5ad"), folder],
                              capture_output=True, text=True, check=False)  # fmt: skip
        left = list(Path(folder).iterdir())
    said = done.stdout.splitlines()
    assert len(said) == 3, done.stderr
    assert all("cannot be written: no permission" in line for line in said), said
    assert left == []


@pytest.mark.slow
def test_the_command_line_says_a_full_disk(tmp_path: Path, files: Path) -> None:
    out = tmp_path / "out"
    command = ["run", str(files / "section.h5ad"), "-o", str(out), "--n-modules", "2"]
    assert main(command) == 0
    before = contents(out)
    for n_bytes in (1_000, 60_000, 200_000):
        limit = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({n_bytes}, {n_bytes}));"
        code = f"{limit} import sys; from spacex.cli import main; sys.exit(main())"
        done = subprocess.run([sys.executable, "-c", code, *command, "--seed", "1"],
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert done.stderr.splitlines()[-1].endswith("free some space, or pass another path")
        assert "Traceback" not in done.stderr
        left = contents(out)
        assert {name: left[name] for name in before} == before
        assert all(name.startswith(".spacex-checkpoint/") for name in set(left) - set(before))


def test_a_checkpoint_that_was_changed_is_refused(
    tmp_path: Path, files: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = ["run", str(files / "section.h5ad"), "-o", str(out), "--n-modules", "2"]

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sx.tl, "interactions", interrupt)
        assert main(command) == 130
    folder = out / ".spacex-checkpoint"
    notes = json.loads((folder / "checkpoint.json").read_text())
    kept = contents(folder)
    damages: dict[str, tuple[str, bytes, str]] = {
        "state": ("section.h5ad", kept["section.h5ad"][:-1], "section.h5ad' was changed"),
        "model": ("model/model.safetensors", b"x", "model.safetensors' was changed"),
        "not JSON": ("checkpoint.json", b"{", "cannot be read"),
        "a list": ("checkpoint.json", b"[]", "not a JSON object"),
        "deep": ("checkpoint.json", b"[" * 100_000, "cannot be read"),
        "another version": ("checkpoint.json", json.dumps({**notes, "format": 99}).encode(), "has format 99"),
        "no version": ("checkpoint.json", b"{}", "has format None"),
        "other names": (
            "checkpoint.json", json.dumps({**notes, "files": {"../../x": "0"}}).encode(), "was changed",
        ),
        "other data": (
            "checkpoint.json", json.dumps({**notes, "choices": {**notes["choices"], "input": "0"}}).encode(),
            "different: input",
        ),
    }  # fmt: skip
    for what, (name, data, message) in damages.items():
        (folder / name).write_bytes(data)
        assert main([*command, "--resume"]) == 2, what
        assert message in capsys.readouterr().err.splitlines()[-1], what
        (folder / name).write_bytes(kept[name])
    assert main([*command, "--resume"]) == 0


def test_a_model_that_was_changed_is_refused(tmp_path: Path) -> None:
    model().save(tmp_path / "m")
    kept = contents(tmp_path / "m")
    settings = json.loads(kept["config.json"])
    damages = {
        "arrays": ("model.safetensors", kept["model.safetensors"][:-8] + b"\0" * 8, "arrays .* changed after saving"),
        "cut": ("model.safetensors", kept["model.safetensors"][:100], "arrays .* changed after saving"),
        "settings": (
            "config.json",
            json.dumps({**settings, "null_mean": 9.0}).encode(),
            "settings .* changed after saving",
        ),
        "seal": ("config.json", json.dumps({**settings, "sha256": "x"}).encode(), "settings .* changed after saving"),
        "no seal": (
            "config.json",
            json.dumps({**settings, "sha256": None}).encode(),
            "settings .* changed after saving",
        ),
        "version": ("config.json", json.dumps({**settings, "format": 3}).encode(), "has format 3"),
        "version before": (
            "config.json",
            json.dumps({**settings, "format": 4}).encode(),
            "settings .* changed after saving",
        ),
        "not JSON": ("config.json", b"\xff\xfe", "cannot be read"),
        "huge": ("config.json", b" " * (33 * 2**20), "at most"),
    }
    for name, data, message in damages.values():
        (tmp_path / "m" / name).write_bytes(data)
        with pytest.raises(sx.InputError, match=message):
            sx.SpaCEX.load(tmp_path / "m")
        (tmp_path / "m" / name).write_bytes(kept[name])
    np.testing.assert_array_equal(sx.SpaCEX.load(tmp_path / "m").components(), model().components())


def test_a_link_is_followed_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name, target in (("file.txt", "there/file.txt"), ("new.txt", "there/new.txt")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "there" / "file.txt").write_text("old")
    for name in ("file.txt", "new.txt"):
        with atomic_file(tmp_path / name) as file:
            file.write("new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "there" / name).read_text() == "new"


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "link to a folder", "link to itself"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "page.html"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to({"pipe": "pipe", "folder": "folder", "itself": "page.html"}[kind.split()[-1]])
    before = os.lstat(place)
    with pytest.raises(sx.InputError, match=r"page\.html' (exists and is not a regular file|is a folder)"):
        check_output_file(place, name="path", example="report.html")
    assert os.lstat(place).st_ino == before.st_ino
