"""Several sections in one command, and one section in the processes of a launcher."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.cli.commands import FAST, names_in

import spacex as sx
from spacex.cli import main
from spacex.cli._batch import list_sections
from spacex.cli._run_options import RunOptions

pytestmark = pytest.mark.usefixtures("no_launcher")


@pytest.fixture
def torchrun(no_launcher, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "2" if name == "WORLD_SIZE" else "0")


def empty_sections(folder, *names):
    paths = [folder / f"{name}.h5ad" for name in names]
    for path in paths:
        path.write_bytes(b"")
    return list(map(str, paths))


def read_table(out):
    return pd.read_csv(out / "sections.csv").set_index("section")


def test_folders_are_replaced_by_their_sections(tmp_path):
    for name in ("b.h5ad", "a.zarr", "C.H5AD", "notes.csv"):
        (tmp_path / name).write_text("gene\n")
    sections = [tmp_path / name for name in ("C.H5AD", "a.zarr", "b.h5ad")]
    assert list_sections([tmp_path, tmp_path / "b.h5ad"]) == [*sections, tmp_path / "b.h5ad"]


def test_a_folder_that_is_a_section_is_not_replaced(tmp_path):
    tables, vendor = tmp_path / "tables", tmp_path / "outs"
    for folder in (tables, vendor):
        folder.mkdir()
        (folder / "saved.h5ad").write_text("")
    (tables / "coordinates.csv").write_text("barcode,x,y\ns1,0,0\ns2,1,0\n")
    (tables / "counts.csv").write_text("barcode,MBP\ns1,1\ns2,3\n")
    (vendor / "cell_feature_matrix.h5").write_text("")
    assert list_sections([tables, vendor]) == [tables, vendor]
    assert list_sections([vendor / "saved.h5ad"]) == [vendor / "saved.h5ad"]


def test_sections_with_the_same_name_raise(tmp_path, capsys):
    paths = [tmp_path / name / "outs" for name in ("a", "b")] + [tmp_path / "c" / "a.h5ad"]
    assert main(["run", *map(str, paths), "-o", str(tmp_path / "out")]) == 2
    assert "several sections named a; rename them" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["one by one", "workers", "scheduler"])
def test_sections_csv_lists_all_sections(where, toy, tmp_path, request, capfd):
    folder, out = tmp_path / "sections", tmp_path / "out"
    folder.mkdir()
    toy.write_h5ad(folder / "one.h5ad")
    empty_sections(folder, "broken", "two")
    command = ["run", str(folder), "-o", str(out), *FAST]
    if where == "workers":
        command += ["--workers", "2"]
    elif where == "scheduler":
        command += ["--scheduler", request.getfixturevalue("cluster")]
    assert main(command) == 2
    table = read_table(out)
    assert list(table.index) == ["broken", "one", "two"]
    assert table["genes"].dropna().to_dict() == {"one": 120}
    assert table["error"].notna().to_dict() == {"broken": True, "one": False, "two": True}
    assert "is empty" in table["error"]["two"]
    assert "report.html" in names_in(out / "one")
    assert not (out / "broken").exists()
    if where == "one by one":  # complete sections are skipped
        for name in ("broken", "two"):
            toy.write_h5ad(folder / f"{name}.h5ad")
        before = (out / "one" / "result.h5ad").stat().st_mtime_ns
        assert main([*command, "--resume"]) == 0
        assert (out / "one" / "result.h5ad").stat().st_mtime_ns == before
        assert read_table(out)["error"].isna().all()
        assert "nothing to do" in capfd.readouterr().err


KILLED = """
import os, signal, sys, spacex.cli._run as run
from spacex.cli import main

run.run_file = lambda *_, **__: os.kill(os.getpid(), signal.%s)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("name", "workers", "error"),
    [("SIGKILL", "2", "killed by SIGKILL (usually out of memory)"), ("SIGTERM", "1", "terminated"),
     ("SIGINT", "1", "interrupted")],
)  # fmt: skip
def test_killed_sections_do_not_stop_the_others(name, workers, error, tmp_path, monkeypatch, capfd):
    (tmp_path / "killed.py").write_text(KILLED % name)
    python = tmp_path / "python"  # replaces `python -m spacex.cli` in subprocesses
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {tmp_path / "killed.py"} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr("spacex.cli._subprocess.sys.executable", str(python))
    sections = empty_sections(tmp_path, "one", "two")
    assert main(["run", *sections, "-o", str(tmp_path / "out"), "--workers", workers]) == 2
    assert read_table(tmp_path / "out")["error"].to_dict() == {"one": error, "two": error}
    assert "failed: one, two" in capfd.readouterr().err


def test_an_unreachable_scheduler_raises(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("spacex.cli._subprocess.CONNECT_SECONDS", 1)
    sections = empty_sections(tmp_path, "one")
    assert main(["run", *sections, "-o", str(tmp_path / "out"), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "--scheduler tcp://127.0.0.1:9 cannot be reached" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_flags_have_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = RunOptions(gene_sets=Path("sets.gmt"), devices=2, lazy=True, layer="raw").to_flags()
    options = {flag: flags[i + 1] for i, flag in enumerate(flags[:-1]) if flag.startswith("--")}
    assert options["--gene-sets"] == str(tmp_path / "sets.gmt")
    assert (options["--devices"], options["--layer"]) == ("2", "raw")
    assert flags[-1] == "--lazy"
    assert "--lazy" not in RunOptions().to_flags()
    assert "--layer" not in RunOptions().to_flags()


def test_devices_do_not_change_the_result_choices():
    parallel = RunOptions(devices=4, num_nodes=2, precision="bf16-mixed")
    assert parallel.result_choices() == RunOptions().result_choices()


@pytest.mark.usefixtures("torchrun")
def test_torchrun_with_one_device_raises(files, tmp_path, capsys):
    assert main(["run", str(files / "section.h5ad"), "-o", str(tmp_path / "out")]) == 2
    assert "torchrun started 2 processes" in capsys.readouterr().err


@pytest.mark.usefixtures("torchrun")
def test_several_sections_under_torchrun_raise(tmp_path, capsys):
    sections = empty_sections(tmp_path, "one", "two")
    assert main(["run", *sections, "-o", str(tmp_path / "out"), "--devices", "2"]) == 2
    assert "cannot share the processes that torchrun started" in capsys.readouterr().err


def test_two_processes_of_torchrun_write_the_same_result(files, tmp_path):
    command = ["run", str(files / "section.h5ad"), *FAST, "--device", "cpu"]
    assert main([*command, "-o", str(tmp_path / "one")]) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = [*torchrun, "-m", "spacex.cli", *command, "-o", str(tmp_path / "two"), "--devices", "2"]
    done = subprocess.run(two, capture_output=True, text=True, env={**os.environ}, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("embed: ") == 1  # only the main process logs
    single, parallel = (sx.read(tmp_path / name / "result.h5ad") for name in ("one", "two"))
    np.testing.assert_allclose(parallel.varm["X_spacex"], single.varm["X_spacex"], atol=1e-5)
    assert (parallel.var["spacex_module"] == single.var["spacex_module"]).all()
    assert names_in(tmp_path / "one") == names_in(tmp_path / "two")
