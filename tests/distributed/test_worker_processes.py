"""Worker processes: the first failure is reported, and no process is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException

import spacex as sx
from spacex._infra.errors import WorkerError
from spacex.distributed.fabric import FabricProcessGroup, open_fabric
from spacex.distributed.worker_processes import FAILURE_FILE, _to_worker_error, run_in_processes

pytestmark = pytest.mark.usefixtures("no_launcher")


def joined_group():
    """Join the process group of two workers, and return it."""
    return FabricProcessGroup(open_fabric(sx.Config(devices=2), torch.device("cpu"), "torchrun"))


def killed_work(folder):
    """Kill the second process after some exchanges, while the first waits for it."""
    group = joined_group()
    for step in range(10**6):
        group.all_reduce(np.ones(1000))
        if group.rank and step == 3:
            os.kill(os.getpid(), signal.SIGKILL)


def failing_work(folder):
    """Fail in the first process, while the second waits for it."""
    group = joined_group()
    group.all_reduce(np.ones(1))
    if group.rank == 0:
        raise ZeroDivisionError("nothing to divide by")
    group.all_reduce(np.ones(1))


def test_a_killed_process_stops_all_others(tmp_path):
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"process 1 of 2 was killed by SIGKILL.*rerun"):
        run_in_processes(killed_work, str(tmp_path), 2)
    assert time.monotonic() - began < 300  # mostly start-up
    assert not multiprocessing.active_children()


def test_the_error_of_a_failed_process_is_raised(tmp_path):
    with pytest.raises(WorkerError) as caught:
        run_in_processes(failing_work, str(tmp_path), 2)
    assert str(caught.value) == "process 0 of 2 failed: ZeroDivisionError: nothing to divide by"
    assert not multiprocessing.active_children()


LOST = "WorkerError: process 1 of 2 lost the connection"
REASONS = {
    "bad input": ([1, 1], ["InputError: no such thing", LOST], sx.InputError, "no such thing"),
    "all lost the connection": ([1, 1], [LOST, LOST], WorkerError, "process 1 of 2 lost the connection"),
    "the second failed first": ([1, 1], [LOST, "KeyError: 3"], WorkerError, "process 1 of 2 failed: KeyError: 3"),
    "killed": ([1, -signal.SIGKILL], [LOST, None], WorkerError, "process 1 of 2 was killed by SIGKILL"),
    "terminated by the parent": ([3, -signal.SIGTERM], [None, None], WorkerError, "gone, so the fit was stopped"),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_first_failure_is_reported(case, tmp_path):
    codes, lines, kind, expected = REASONS[case]
    for rank, line in enumerate(lines):
        if line is not None:
            (tmp_path / FAILURE_FILE.format(rank)).write_text(line)
    error = _to_worker_error(ProcessExitedException("gone", 0, 1, 1), codes, tmp_path)
    assert type(error) is kind
    assert expected in str(error)


GLOO = "[/pytorch/third_party/gloo/pair.cc:537] Read error [127.0.0.1]:5: Connection reset by peer. This is typical"


def test_lost_connections_are_distinguished_from_other_errors():
    group = FabricProcessGroup(SimpleNamespace(global_rank=0, world_size=2))

    def fail(text):
        raise RuntimeError(text)

    with pytest.raises(
        WorkerError,
        match=r"^process 0 of 2 lost the connection to another process \(Read error .* reset by peer\); see the log",
    ):
        group.run_collective(fail, GLOO)
    with pytest.raises(RuntimeError, match=r"^out of memory$"):
        group.run_collective(fail, "out of memory")
    assert group.run_collective(len, "abc") == 3
