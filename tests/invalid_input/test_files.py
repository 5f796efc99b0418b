"""Files that are not sections raise a one-line error in every function and command that reads."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.invalid_input.cases import FileKind, assert_one_clear_line
from tests.invalid_input.files import FILES

import spacex as sx
from spacex.cli import main

EXTRA_MEMORY = 3 * 2**30
"""Additional address space for reading: enough for libraries, but not for false sizes in damaged files."""


@contextmanager
def limited_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + EXTRA_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("kind", FILES, ids=[kind.name for kind in FILES])
def test_read_raises(kind: FileKind, tmp_path: Path) -> None:
    path = kind.make(tmp_path)
    with limited_memory(), pytest.raises((sx.InputError, FileNotFoundError)) as caught:
        sx.read(path)
    assert_one_clear_line(str(caught.value), kind.message)


COMMANDS = {
    "run": ["run", "PATH", "-o", "OUT"],
    "query": ["query", "PATH", "gene0001"],
    "report": ["report", "PATH", "-o", "OUT.html"],
    "impute": ["impute", "PATH", "SECTION", "-o", "OUT.h5ad"],
    "impute, reference": ["impute", "SECTION", "PATH", "-o", "OUT.h5ad"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_fail(command: str, tmp_path: Path, files: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "input").mkdir()
    for number, kind in enumerate(FILES):
        folder = tmp_path / "input" / str(number)
        folder.mkdir()
        path = kind.make(folder)
        if command == "run" and kind.name == "a folder named h5ad":
            continue  # an empty folder of sections
        paths = {"PATH": str(path), "SECTION": str(files / "section.h5ad")}
        words = [paths.get(word, word).replace("OUT", str(tmp_path / "out")) for word in COMMANDS[command]]
        assert main(words) == 2, kind.name
        out, err = capsys.readouterr()
        assert not out
        assert "Traceback" not in err, kind.name
        assert_one_clear_line([line for line in err.splitlines() if line][-1], kind.message)
        assert [entry.name for entry in tmp_path.iterdir()] == ["input"], kind.name


def test_unreadable_file_raises(files: Path) -> None:
    """Root may read all files, so that a process without privileges reads a file in a folder that it can enter."""
    code = "import os, sys, anndata, h5py, spacex as sx, spacex.io._anndata, spacex.io._file_checks\n" \
           "os.setuid(65534) if os.getuid() == 0 else None\n" \
           "try: sx.read(sys.argv[1])\nexcept sx.InputError as error: print(error)"  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "secret.h5ad"
        path.write_bytes((files / "section.h5ad").read_bytes())
        path.chmod(0)
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "may not be read" in done.stdout, done.stderr
