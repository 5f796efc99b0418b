"""Ctrl-C ends a command soon, with exit code 130, one line, and nothing half-written."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import spacex as sx
from spacex.cli import main

PATIENT = "import sys; from spacex.cli import main; sys.exit(main(sys.argv[1:]))"
# The main thread is in a library that does not come back, so that Python's own handler of the signal never runs.
STUCK = """
import hashlib, sys, spacex.cli._run as job
from spacex._infra.atomic_write import atomic_path
from spacex.cli import main
from spacex.cli._log import log_status

def stuck(path, out, options, *, resume):
    with atomic_path(out) as draft:
        draft.write_text("half")
        log_status("stuck")
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

job.run_file = stuck
sys.exit(main(sys.argv[1:]))
"""

SOON = 60.0
"""Two seconds on a machine that has nothing else to do; what the library computes goes on for many minutes."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "section.h5ad"
    sx.datasets.simulate_section(n_genes=300, n_spots=600, n_modules=4, n_domains=3, depth=1.0).write_h5ad(path)
    return path


def attentive() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(code: str, source: Path, out: Path, line: str) -> tuple[int, float, str]:
    """Exit code, seconds until the end and what was said, of a run interrupted when it says `line`."""
    command = [sys.executable, "-c", code, "run", str(source), "-o", str(out), "--n-domains", "3"]
    # A job in the background of a shell ignores Ctrl-C, and so would what it starts: these tests may be such a job.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=attentive) as process:
        assert process.stderr is not None
        said = ""
        while not said.splitlines()[-1:] or not said.splitlines()[-1].startswith(f"spacex: {line}"):
            read = process.stderr.readline()
            assert read, said
            said += read
        time.sleep(0.5 if code == STUCK else 0.0)  # so that it is in the library, and not on the way there
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
        return process.wait(), time.monotonic() - start, said


@pytest.mark.slow
@pytest.mark.parametrize("line", ["read", "rasterize", "embed", "svg", "interactions", "domains", "report"])
def test_at_any_stage(source: Path, tmp_path: Path, line: str) -> None:
    code, _, said = interrupted(PATIENT, source, tmp_path / "out", line)
    assert code == 130, said
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "spacex: interrupted"
    left = {path.name for path in (tmp_path / "out").iterdir()} if (tmp_path / "out").exists() else set()
    assert left <= {".spacex-checkpoint"}
    assert {path.name for path in tmp_path.iterdir()} <= {"out"}


@pytest.mark.slow
def test_while_a_library_does_not_come_back(source: Path, tmp_path: Path) -> None:
    code, seconds, said = interrupted(STUCK, source, tmp_path / "out", "stuck")
    assert code == 130, said
    assert seconds < SOON
    assert said.splitlines()[-1] == "spacex: interrupted"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("error", [TypeError, sx.InputError, OSError, KeyboardInterrupt, SystemExit])
def test_in_a_library_that_puts_another_error_in_its_place(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    error: type[BaseException],
) -> None:
    def misled(*_: object, **__: object) -> None:
        for _again in range(2):  # a second request does not break off what the first began
            try:
                os.kill(os.getpid(), number)
            except BaseException:
                caught.append(number)
        raise error("Operation not defined for data type class")

    caught: list[int] = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("spacex.cli._run.run_file", misled)
    assert main(["run", str(source), "-o", str(tmp_path / "out")]) == 128 + number
    assert caught == [number]
    assert capsys.readouterr().err == f"spacex: {'interrupted' if number == signal.SIGINT else 'terminated'}\n"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_after_the_work_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def heard_by_nobody(*_: object, **__: object) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("spacex.cli._run.run_demo", heard_by_nobody)
    assert main(["demo"]) == 0
    assert capsys.readouterr().err == ""
