"""Jobs in subprocesses: on this machine, on a Dask cluster, and stopped together."""

import subprocess
import sys
import threading
import time

import pytest

from spacex.cli._subprocess import Job, WorkerPool, run_locally, run_on_cluster

JOBS = [Job("version", ["--version"]), Job("absent", ["query", "absent.h5ad", "MBP"]), Job("help", ["--help"])]


def check_results(results):
    results = {result.job_index: result for result in results}
    assert {index: result.exit_code for index, result in results.items()} == {0: 0, 1: 2, 2: 0}
    assert "absent.h5ad" in results[1].last_line


@pytest.mark.parametrize("workers", [1, 2])
def test_local_jobs_return_exit_code_and_last_line(workers, capfd):
    check_results(run_locally(JOBS, workers))
    assert "absent.h5ad" in capfd.readouterr().err


def test_cluster_jobs_return_exit_code_and_last_line(cluster):
    check_results(run_on_cluster(JOBS, cluster))


def test_stop_terminates_running_and_later_jobs():
    pool = WorkerPool()
    waiting = Job("waiting", ["query", "/dev/stdin", "MBP"])
    threading.Thread(target=lambda: (time.sleep(1.0), pool.stop())).start()
    code, _ = pool.run(waiting, "")
    assert code != 0
    assert pool.run(waiting, "") == (-1, "stopped")


CHILD = """
import sys, time, spacex.cli._run as run
from spacex._infra.atomic_write import atomic_path
from spacex.cli import main
from spacex.cli._log import log_status

def wait_forever(path, out, options, *, resume):
    with atomic_path(out) as draft:
        draft.write_text("half")
        log_status("started")
        while True:
            time.sleep(0.05)

run.run_file = wait_forever
sys.exit(main(sys.argv[1:]))
"""
PARENT = """
import os, subprocess, sys
environment = {**os.environ, "SPACEX_PARENT": str(os.getpid())}
child = subprocess.Popen(sys.argv[1:], stderr=sys.stderr, env=environment)
sys.stdin.read()
"""


def test_a_subprocess_terminates_when_its_parent_is_killed(tmp_path):
    (tmp_path / "child.py").write_text(CHILD)
    child = [sys.executable, str(tmp_path / "child.py"), "run", "a.h5ad", "-o", str(tmp_path / "out")]
    command = [sys.executable, "-c", PARENT, *child]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stderr.readline() == "spacex: started\n"
        assert len(list(tmp_path.iterdir())) == 2
        parent.kill()
        assert parent.stderr.read() == "spacex: terminated\n"  # ends when the child has closed stderr
    assert [path.name for path in tmp_path.iterdir()] == ["child.py"]
