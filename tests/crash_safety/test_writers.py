"""A full disk or a read-only folder raises a one-line error in every writer and keeps existing files."""

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


def write_table(path: Path) -> None:
    with atomic_file(path) as file:
        pd.DataFrame({"section": [f"s{i}" for i in range(20_000)]}).to_csv(file)


def write_imputed(path: Path) -> None:
    part, genes = whole()[:, :40].copy(), list(whole().var_names[60:64])
    sx.tl.impute(part, whole(), genes=genes, path=path, progress=False).file.close()


def write_run(path: Path) -> None:
    from spacex.cli._outputs import write_result
    from spacex.cli._stage_timer import StageTimer

    write_result(section().copy(), path, model(), None, choices={}, input_name="s", timer=StageTimer())


WRITERS: dict[str, tuple[str, Write]] = {
    "model": ("model", lambda path: model().save(path)),
    "report": ("report.html", lambda path: write_report(section(), path)),
    "figure": ("figure.png", lambda path: sx.pl.imputed(imputed(), save=path)),
    "table of sections": ("sections.csv", write_table),
    "imputed": ("out.h5ad", write_imputed),
    "checkpoint": ("checkpoint", lambda path: Checkpoint(path, {}).write(section(), model(), {"embed": 1.0})),
    "result": ("result", write_run),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def on_a_full_disk(n_bytes: int, work: Callable[[], Any], log: Path) -> str:
    """Return the error of `work` under a limit on file sizes, which fails like a full disk.

    The work runs in a forked process, because HDF5 does not recover from a failed write. It uses one thread: threads of
    the parent do not exist in the child, and OpenMP would wait for them.
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
            log.write_text(error)
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return log.read_text()


@pytest.mark.parametrize("n_bytes", [0, 500, 5_000])
@pytest.mark.parametrize("writer", WRITERS)
def test_full_disk_raises(writer: str, n_bytes: int, tmp_path: Path) -> None:
    name, write = WRITERS[writer]
    write(tmp_path / name)
    before = contents(tmp_path)
    assert before
    message = on_a_full_disk(n_bytes, lambda: write(tmp_path / name), tmp_path.parent / f"{tmp_path.name}.log")
    assert message.startswith("DiskFullError: ")
    assert "cannot be written: the disk is full; free some" in message
    left = contents(tmp_path)
    if writer != "checkpoint":  # deleted to free space
        assert left == before
    assert not [path for path in left if DRAFT_MARK in path or "partial" in path]


@pytest.mark.parametrize("writer", WRITERS)
def test_files_of_killed_writers_are_removed(writer: str, tmp_path: Path) -> None:
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


def test_files_of_active_writers_are_kept(tmp_path: Path) -> None:
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


def test_wildcards_in_names_are_literal(tmp_path: Path) -> None:
    for name in ("*.txt", "[a].txt", "?.txt"):
        with atomic_path(tmp_path / name) as draft:
            draft.write_text(name)
    assert {path.name for path in tmp_path.iterdir()} == {"*.txt", "[a].txt", "?.txt"}


READ_ONLY = """
import os, sys, spacex as sx
from pathlib import Path
from spacex.report import write_report
from spacex.cli import main
adata, path = sx.read(sys.argv[1]), Path(sys.argv[2])
def model():
    estimator = sx.SpaCEX(sx.Config(n_null_genes=50), n_modules=2, progress=False)
    estimator.fit(sx.pp.gene_images(adata)).save(path / "m")
def impute():
    sx.tl.impute(adata[:, :40].copy(), adata, path=path / "a.h5ad", progress=False)
fitted = sx.SpaCEX(sx.Config(n_null_genes=50), n_modules=2, progress=False).fit(sx.pp.gene_images(adata))
import matplotlib.pyplot, bokeh.models, jinja2, spacex.report._page, spacex.tl._stream
spacex.report._page.build(adata)
os.setuid(65534)
for write in (lambda: fitted.save(path / "m"), lambda: write_report(adata, path / "r.html"), impute):
    try:
        write()
    except (OSError, sx.InputError) as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can change the user")
def test_read_only_folder_raises(files: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        done = subprocess.run([sys.executable, "-c", READ_ONLY, str(files / "result.h5ad"), folder],
                              capture_output=True, text=True, check=False)  # fmt: skip
        left = list(Path(folder).iterdir())
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    assert all("cannot be written: no permission" in line for line in lines), lines
    assert left == []


@pytest.mark.slow
def test_command_reports_a_full_disk(tmp_path: Path, files: Path) -> None:
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


def test_changed_checkpoint_raises(
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
    entries = json.loads((folder / "checkpoint.json").read_text())
    saved = contents(folder)
    damages: dict[str, tuple[str, bytes, str]] = {
        "state": ("section.h5ad", saved["section.h5ad"][:-1], "section.h5ad' was changed"),
        "model": ("model/model.safetensors", b"x", "model.safetensors' was changed"),
        "not JSON": ("checkpoint.json", b"{", "cannot be read"),
        "a list": ("checkpoint.json", b"[]", "not a JSON object"),
        "deep": ("checkpoint.json", b"[" * 100_000, "cannot be read"),
        "another version": ("checkpoint.json", json.dumps({**entries, "format": 99}).encode(), "has format 99"),
        "no version": ("checkpoint.json", b"{}", "has format None"),
        "other names": (
            "checkpoint.json", json.dumps({**entries, "files": {"../../x": "0"}}).encode(), "was changed",
        ),
        "other data": (
            "checkpoint.json", json.dumps({**entries, "choices": {**entries["choices"], "input": "0"}}).encode(),
            "different: input",
        ),
    }  # fmt: skip
    for what, (name, data, message) in damages.items():
        (folder / name).write_bytes(data)
        assert main([*command, "--resume"]) == 2, what
        assert message in capsys.readouterr().err.splitlines()[-1], what
        (folder / name).write_bytes(saved[name])
    assert main([*command, "--resume"]) == 0


CHANGED_SETTINGS = "settings .* changed after saving"


def test_changed_model_raises(tmp_path: Path) -> None:
    model().save(tmp_path / "m")
    saved = contents(tmp_path / "m")
    settings = json.loads(saved["config.json"])
    damages = {
        "arrays": ("model.safetensors", saved["model.safetensors"][:-8] + b"\0" * 8, "arrays .* changed after saving"),
        "cut": ("model.safetensors", saved["model.safetensors"][:100], "arrays .* changed after saving"),
        "settings": (
            "config.json",
            json.dumps({**settings, "null_mean": 9.0}).encode(),
            CHANGED_SETTINGS,
        ),
        "checksum": (
            "config.json",
            json.dumps({**settings, "sha256": "x"}).encode(),
            CHANGED_SETTINGS,
        ),
        "no checksum": (
            "config.json",
            json.dumps({**settings, "sha256": None}).encode(),
            CHANGED_SETTINGS,
        ),
        "version": ("config.json", json.dumps({**settings, "format": 3}).encode(), "has format 3"),
        "version before": (
            "config.json",
            json.dumps({**settings, "format": 6}).encode(),
            "has format 6, this version reads 7; fit it again",
        ),
        "not JSON": ("config.json", b"\xff\xfe", "cannot be read"),
        "huge": ("config.json", b" " * (33 * 2**20), "at most"),
    }
    for name, data, message in damages.values():
        (tmp_path / "m" / name).write_bytes(data)
        with pytest.raises(sx.InputError, match=message):
            sx.SpaCEX.load(tmp_path / "m")
        (tmp_path / "m" / name).write_bytes(saved[name])
    np.testing.assert_array_equal(sx.SpaCEX.load(tmp_path / "m").components(), model().components())


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    for name, target in (("file.txt", "target/file.txt"), ("new.txt", "target/new.txt")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "target" / "file.txt").write_text("old")
    for name in ("file.txt", "new.txt"):
        with atomic_file(tmp_path / name) as file:
            file.write("new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "target" / name).read_text() == "new"


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "link to a folder", "link to itself"])
def test_other_than_regular_files_raise(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "page.html"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"pipe": "pipe", "folder": "folder", "itself": "page.html"}[kind.split()[-1]])
    before = os.lstat(path)
    with pytest.raises(sx.InputError, match=r"page\.html' (exists and is not a regular file|is a folder)"):
        check_output_file(path, name="path", example="report.html")
    assert os.lstat(path).st_ino == before.st_ino
