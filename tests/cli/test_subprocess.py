"""Sections side by side: in processes of this machine, on a Dask cluster; and one section in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spacex as sx
from spacex.cli import main
from spacex.cli._run import Options
from spacex.cli._subprocess import Job, WorkerPool, on_cluster, run_locally

distributed = pytest.importorskip("distributed")

QUICK = [Job("version", ["--version"]), Job("absent", ["query", "absent.h5ad", "MBP"]), Job("help", ["--help"])]
LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID", "SLURM_NTASKS")


@pytest.fixture(autouse=True)
def _stands_alone(monkeypatch):
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("spacex.get._gene_layout._umap", lambda direction: direction[:, :2])


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


def small(**changed):
    return sx.datasets.simulate_section(**{"n_genes": 60, "n_spots": 150, "n_modules": 2, "depth": 1.0, **changed})


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_ends_with_its_code_and_its_last_line(workers, capfd):
    ends = {number: (code, last) for number, code, last in run_locally(QUICK, workers)}
    assert {number: code for number, (code, _) in ends.items()} == {0: 0, 1: 2, 2: 0}
    assert "absent.h5ad" in ends[1][1]
    assert "absent.h5ad" in capfd.readouterr().err


def test_a_cluster_ends_jobs_alike(cluster):
    ends = {number: (code, last) for number, code, last in on_cluster(QUICK, cluster)}
    assert {number: code for number, (code, _) in ends.items()} == {0: 0, 1: 2, 2: 0}
    assert "absent.h5ad" in ends[1][1]


def test_children_are_stopped_together():
    children = WorkerPool()
    patient = Job("patient", ["query", "/dev/stdin", "MBP"])
    threading.Thread(target=lambda: (time.sleep(1.0), children.stop())).start()
    code, _ = children.follow(patient, "")
    assert code != 0
    assert children.follow(patient, "") == (-1, "stopped")


KILLED = """
import os, signal, sys, spacex.cli._run as job
from spacex.cli import main

def killed(path, out, options, *, resume):
    os.kill(os.getpid(), signal.%s)

job.run_file = killed
sys.exit(main(sys.argv[1:]))
"""
LINGERING = """
import sys, time, spacex.cli._run as job
from spacex._infra.atomic_write import atomic_path
from spacex.cli import main
from spacex.cli._log import log_status

def lingering(path, out, options, *, resume):
    with atomic_path(out) as draft:
        draft.write_text("half")
        log_status("begun")
        while True:
            time.sleep(0.05)

job.run_file = lingering
sys.exit(main(sys.argv[1:]))
"""


def program(code, monkeypatch, folder):
    """Have the command line in processes of its own be another program; `sys.executable` is how they are started."""
    (folder / "program.py").write_text(code)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {folder / "program.py"} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr("spacex.cli._subprocess.sys.executable", str(python))


@pytest.mark.parametrize(("name", "workers"), [("SIGKILL", "1"), ("SIGKILL", "2"), ("SIGTERM", "2"), ("SIGINT", "1")])
def test_a_section_that_is_killed_is_a_row_and_the_others_go_on(name, workers, tmp_path, monkeypatch, capfd):
    program(KILLED % name, monkeypatch, tmp_path)
    for section in ("one", "two"):
        (tmp_path / f"{section}.h5ad").write_bytes(b"")
    sections = [str(tmp_path / f"{section}.h5ad") for section in ("one", "two")]
    assert main(["run", *sections, "-o", str(tmp_path / "out"), "--workers", workers]) == 2
    table = pd.read_csv(tmp_path / "out" / "sections.csv").set_index("section")
    said = {"SIGKILL": "ended by SIGKILL, mostly the", "SIGTERM": "terminated", "SIGINT": "interrupted"}[name]
    assert list(table.index) == ["one", "two"]
    assert table["error"].str.startswith(said).all()
    assert "failed: one, two" in capfd.readouterr().err


def test_a_section_does_not_outlive_what_started_it(tmp_path):
    (tmp_path / "program.py").write_text(LINGERING)
    code = (
        "import os, subprocess, sys\n"
        "here = {**os.environ, 'SPACEX_PARENT': str(os.getpid())}\n"
        "child = subprocess.Popen(sys.argv[1:], stderr=sys.stderr, env=here)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, str(tmp_path / "program.py"), "run", "a.h5ad", "-o", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-c", code, *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stderr.readline() == "spacex: begun\n"
        assert len(list(tmp_path.iterdir())) == 2
        parent.kill()
        assert parent.stderr.read() == "spacex: terminated\n"  # which is over when the child is
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["workers", "scheduler"])
def test_one_table_lists_all_sections(how, tmp_path, request):
    folder, out = tmp_path / "sections", tmp_path / "out"
    folder.mkdir()
    small().write_h5ad(folder / "one.h5ad")
    for name in ("broken", "two"):
        (folder / f"{name}.h5ad").write_bytes(b"")
    options = ["--n-modules", "2", "--seed", "3"]
    assert main(["run", str(folder / "one.h5ad"), "-o", str(out / "one"), *options]) == 0
    chosen = ["--workers", "2"] if how == "workers" else ["--scheduler", request.getfixturevalue("cluster")]
    assert main(["run", str(folder), "-o", str(out), *options, "--resume", *chosen]) == 2
    table = pd.read_csv(out / "sections.csv").set_index("section")
    assert list(table.index) == ["broken", "one", "two"]
    assert table["genes"].dropna().to_dict() == {"one": 60}
    assert table["error"].notna().to_dict() == {"broken": True, "one": False, "two": True}
    assert "is empty" in table["error"]["two"]


def test_a_scheduler_that_is_not_there_is_bad_input(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("spacex.cli._subprocess.CONNECT_SECONDS", 1)
    small().write_h5ad(tmp_path / "one.h5ad")
    command = ["run", str(tmp_path / "one.h5ad"), "-o", str(tmp_path / "out"), "--scheduler", "tcp://127.0.0.1:9"]
    assert main(command) == 2
    assert "cannot be reached" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_flags_hold_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets.gmt").write_text("a\t-\tMBP\n")
    flags = Options(gene_sets=Path("sets.gmt"), devices=2).flags()
    assert flags[flags.index("--gene-sets") + 1] == str(tmp_path / "sets.gmt")
    assert flags[flags.index("--devices") + 1] == "2"


def test_where_the_work_is_done_is_no_choice_of_the_result():
    assert Options(devices=4, num_nodes=2, precision="bf16-mixed").all() == Options().all()


def test_a_launcher_and_one_process_do_not_agree(tmp_path, monkeypatch, capsys):
    for name in LAUNCHERS[:5]:
        monkeypatch.setenv(name, "2" if name == "WORLD_SIZE" else "0")
    small().write_h5ad(tmp_path / "one.h5ad")
    assert main(["run", str(tmp_path / "one.h5ad"), "-o", str(tmp_path / "out")]) == 2
    assert "torchrun started 2 processes" in capsys.readouterr().err


def test_several_sections_do_not_share_a_launcher(tmp_path, monkeypatch, capsys):
    for name in LAUNCHERS[:5]:
        monkeypatch.setenv(name, "2" if name == "WORLD_SIZE" else "0")
    for name in ("one", "two"):
        (tmp_path / f"{name}.h5ad").write_bytes(b"")
    assert main(["run", str(tmp_path), "-o", str(tmp_path / "out"), "--devices", "2"]) == 2
    assert "cannot share what torchrun started" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_of_a_launcher_write_what_one_writes(tmp_path):
    small(n_genes=100).write_h5ad(tmp_path / "section.h5ad")
    job = ["run", str(tmp_path / "section.h5ad"), "--n-modules", "3", "--device", "cpu"]
    assert main([*job, "-o", str(tmp_path / "one")]) == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "spacex.cli", *job, "-o", str(tmp_path / "two"), "--devices", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("embed: ") == 1  # the first speaks for all
    one, two = (sx.read(tmp_path / name / "result.h5ad") for name in ("one", "two"))
    np.testing.assert_allclose(two.varm["X_spacex"], one.varm["X_spacex"], atol=1e-5)
    assert (two.var["spacex_module"] == one.var["spacex_module"]).all()
    names = [{path.name for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert names[0] == names[1]
