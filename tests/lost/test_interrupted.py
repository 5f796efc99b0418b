"""Ctrl-C ends a command within two seconds, with exit code 130, one line, and nothing half-written."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import spacex as sx

PATIENT = "import sys; from spacex.cli import main; sys.exit(main(sys.argv[1:]))"
# The main thread is in a library that does not come back, so that Python's own handler of the signal never runs.
STUCK = """
import hashlib, sys, spacex.cli._job as job
from spacex._whole import whole_path
from spacex.cli import main, say

def stuck(path, out, options, *, resume):
    with whole_path(out) as draft:
        draft.write_text("half")
        say("stuck")
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

job.run_file = stuck
sys.exit(main(sys.argv[1:]))
"""

SOON = 10.0
"""Two seconds on a machine that has nothing else to do; the stages, and what a library computes, go on for longer."""


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
    code, seconds, said = interrupted(PATIENT, source, tmp_path / "out", line)
    assert code == 130, said
    assert seconds < SOON
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
