"""Arguments that cannot be taken are refused by one clear line, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from tests.invalid_input.calls import CALLS, Call, images, section
from tests.invalid_input.cases import SettingKind, assert_one_clear_line, state
from tests.invalid_input.settings import SETTINGS

import spacex as sx
from spacex.cli import app, main
from spacex.cli._option_names import option_names, to_option_names

PUBLIC = {
    *(f"{room}.{name}" for room in ("pp", "tl", "pl", "io", "datasets") for name in getattr(sx, room).__all__),
    "read", "Config", "SpaCEX", "genes_as_obs",
}  # fmt: skip


def names_of(kinds: list[SettingKind]) -> list[str]:
    return [f"{kind.name[:70]}" for kind in kinds]


def test_every_public_function_is_called() -> None:
    assert PUBLIC - {"io.read", "datasets.toy"} <= set(CALLS)
    assert {kind.call for kind in SETTINGS} >= set(CALLS) - {"tl.impute, reference", "io.to_spatialdata"}


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    (tmp_path / "BYTES").write_bytes(b"\xff\xfe\x00\x81")
    return tmp_path


PYTHON = [kind for kind in SETTINGS if kind.call != "command"]


@pytest.mark.parametrize("kind", PYTHON, ids=names_of(PYTHON))
def test_python_refuses(kind: SettingKind, workdir: Path) -> None:
    call, adata = CALLS[kind.call], section().copy()
    settings: dict[str, Any] = dict(kind.settings)
    if kind.call.startswith("SpaCEX.") and "images" not in settings and "directory" not in settings:
        settings["images"] = images()
    first = adata
    for name in ("adata", "target"):
        if call.section and name in settings:
            first = settings.pop(name)
    before = state(adata)
    if first is not adata:
        settings = {**call.settings(adata), **settings}
        call = Call(call.function)
    with pytest.raises((sx.InputError, FileNotFoundError, OSError)) as caught:
        call(first, **settings)
    assert_one_clear_line(str(caught.value), kind.message)
    assert state(adata) == before
    assert sorted(path.name for path in workdir.iterdir()) == ["BYTES", "FILE"]


COMMANDS = [kind for kind in SETTINGS if kind.flags]


@pytest.mark.parametrize("kind", COMMANDS, ids=names_of(COMMANDS))
def test_the_command_line_refuses(kind: SettingKind, workdir: Path, files: Path, capsys: pytest.CaptureFixture) -> None:
    paths = {"SECTION": str(files / "section.h5ad"), "RESULT": str(files / "result.h5ad")}
    assert main([paths.get(word, word) for word in kind.flags or ()]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "Traceback" not in err
    command = typer.main.get_command(app).commands.get((kind.flags or ("",))[0])  # type: ignore[attr-defined]
    message = to_option_names(kind.message, option_names(command))  # as the command line spells it
    assert_one_clear_line([line for line in err.splitlines() if line][-1], message)
    assert sorted(path.name for path in workdir.iterdir()) == ["BYTES", "FILE"]
