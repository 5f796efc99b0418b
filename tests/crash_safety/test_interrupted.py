"""Ctrl-C ends a command within seconds, with exit code 130, one message and no incomplete files."""

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

COMMAND = "import sys; from spacex.cli import main; sys.exit(main(sys.argv[1:]))"
# The main thread is in library code that does not return, so that the signal handler of Python never runs.
BLOCKED = """
import hashlib, sys, spacex.cli._run as job
from spacex._infra.atomic_write import atomic_path
from spacex.cli import main
from spacex.cli._log import log_status

def blocked(path, out, options, *, resume):
    with atomic_path(out) as draft:
        draft.write_text("half")
        log_status("blocked")
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

job.run_file = blocked
sys.exit(main(sys.argv[1:]))
"""

MAX_SECONDS = 60.0
"""About two seconds on an idle machine; the computation of the library takes many minutes."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "section.h5ad"
    sx.datasets.simulate_section(n_genes=300, n_spots=600, n_modules=4, n_domains=3, depth=1.0).write_h5ad(path)
    return path


def reset_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(code: str, source: Path, out: Path, line: str) -> tuple[int, float, str]:
    """Interrupt a run when it logs `line`; return its exit code, the seconds until its end, and its log."""
    command = [sys.executable, "-c", code, "run", str(source), "-o", str(out), "--n-domains", "3"]
    # Background jobs of a shell ignore SIGINT, and so do their children; these tests may run in one.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=reset_sigint) as process:
        assert process.stderr is not None
        log = ""
        while not log.splitlines()[-1:] or not log.splitlines()[-1].startswith(f"spacex: {line}"):
            text = process.stderr.readline()
            assert text, log
            log += text
        time.sleep(0.5 if code == BLOCKED else 0.0)  # until it is in the library
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        log += process.stderr.read()
        return process.wait(), time.monotonic() - start, log


@pytest.mark.slow
@pytest.mark.parametrize("line", ["read", "rasterize", "embed", "svg", "interactions", "domains", "report"])
def test_interrupt_at_any_stage(source: Path, tmp_path: Path, line: str) -> None:
    code, _, log = interrupted(COMMAND, source, tmp_path / "out", line)
    assert code == 130, log
    assert "Traceback" not in log
    assert log.splitlines()[-1] == "spacex: interrupted"
    left = {path.name for path in (tmp_path / "out").iterdir()} if (tmp_path / "out").exists() else set()
    assert left <= {".spacex-checkpoint"}
    assert {path.name for path in tmp_path.iterdir()} <= {"out"}


@pytest.mark.slow
def test_interrupt_while_a_library_is_blocked(source: Path, tmp_path: Path) -> None:
    code, seconds, log = interrupted(BLOCKED, source, tmp_path / "out", "blocked")
    assert code == 130, log
    assert seconds < MAX_SECONDS
    assert log.splitlines()[-1] == "spacex: interrupted"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("error", [TypeError, sx.InputError, OSError, KeyboardInterrupt, SystemExit])
def test_interrupt_replaced_by_another_error(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    error: type[BaseException],
) -> None:
    def replace_error(*_: object, **__: object) -> None:
        for _ in range(2):  # the second signal is ignored
            try:
                os.kill(os.getpid(), number)
            except BaseException:
                caught.append(number)
        raise error("Operation not defined for data type class")

    caught: list[int] = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("spacex.cli._run.run_file", replace_error)
    assert main(["run", str(source), "-o", str(tmp_path / "out")]) == 128 + number
    assert caught == [number]
    assert capsys.readouterr().err == f"spacex: {'interrupted' if number == signal.SIGINT else 'terminated'}\n"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_suppressed_interrupt_is_ignored(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def suppress_interrupt(*_: object, **__: object) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("spacex.cli._run.run_demo", suppress_interrupt)
    assert main(["demo"]) == 0
    assert capsys.readouterr().err == ""
