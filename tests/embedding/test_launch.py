"""Several processes, exchanging through gloo, fit what one fits; one that is lost ends the job at once."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException

import spacex as sx
from spacex._infra.errors import WorkerError
from spacex.distributed.fabric import FabricProcessGroup
from spacex.embedding import launch
from spacex.embedding import mixture as mx
from spacex.embedding.linear_init import linear_init

LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID", "SLURM_NTASKS")
SMALL = {"n_dims": 8, "genes_per_dim": 5, "fine_dims": 8, "em_starts": 2}


@pytest.fixture(autouse=True)
def _stands_alone(monkeypatch):
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


def section(**changed):
    return sx.datasets.simulate_section(**{"n_genes": 121, "n_spots": 200, "n_modules": 3, "depth": 1.0, **changed})


def clouds():
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(4, 5))
    x = centers[rng.integers(4, size=301)] + 0.1 * rng.standard_t(5, size=(301, 5))
    centers[0] += 50.0  # to be placed anew
    x, null = torch.from_numpy(x), torch.from_numpy(rng.uniform(0.01, 0.9, len(x)))
    return x, null, mx.start(torch.from_numpy(centers), x, background=0.1)


def joined_group():
    """The process group of this process, as a fit would open it."""
    model = sx.SpaCEX(sx.Config(devices=2, **SMALL), device="cpu", progress=False)
    return launch._session(model, "torchrun").group


def shared_work(folder):
    """What a process does in the test of the parts of a fit."""
    group = joined_group()
    x, null, first = clouds()
    own = group.shard(len(x))
    fitted = mx.StudentMixture().fit(x[own], first, null[own], group=group)
    start = linear_init(sx.pp.gene_images(section()), sx.Config(**SMALL), 0, group)
    empty = group.all_gather(np.ones((group.rank, 2), dtype=np.float32))
    parameters = [value.numpy() for value in fitted.parameters_]
    found = (group.rank, group.size, parameters, fitted.objective_, fitted.reseeded_, tuple(start), empty.shape)
    (Path(folder) / f"{group.rank}.pickle").write_bytes(pickle.dumps(found))


def killed_work(folder):
    """The second process is killed after the first exchange; the first waits for it."""
    group = joined_group()
    for step in range(10**6):
        group.all_reduce(np.ones(1000))
        if group.rank and step == 3:
            os.kill(os.getpid(), signal.SIGKILL)


def failing_work(folder):
    """The first process fails by itself; the second waits for it."""
    group = joined_group()
    group.all_reduce(np.ones(1))
    if group.rank == 0:
        raise ZeroDivisionError("nothing to divide by")
    group.all_reduce(np.ones(1))


@pytest.mark.slow
def test_the_parts_of_a_fit_are_those_of_one_process(tmp_path):
    launch.run_in_processes(shared_work, str(tmp_path), 2)
    found = [pickle.loads((tmp_path / f"{rank}.pickle").read_bytes()) for rank in (0, 1)]
    x, null, first = clouds()
    alone = mx.StudentMixture().fit(x, first, null)
    start = linear_init(sx.pp.gene_images(section()), sx.Config(**SMALL), 0)
    assert alone.reseeded_
    for rank, (own_rank, size, parameters, objective, reseeded, parts, empty) in enumerate(found):
        assert (own_rank, size, empty) == (rank, 2, (1, 2))
        assert reseeded == alone.reseeded_
        np.testing.assert_allclose(objective, alone.objective_, rtol=1e-10)
        for ours, theirs in zip(parameters, alone.parameters_, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-8)
        for ours, theirs in zip(parts, start, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert found[0][3] == found[1][3]  # to the last bit: decisions hang on it


TRAINED = {"epochs": 2, "boost_rounds": 1, "batch_size": 50}


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SMALL, SMALL | TRAINED], ids=["default", "trained"])
def test_two_processes_embed_what_one_embeds(settings):
    one, two = section(), section()
    alone = sx.tl.embed(one, config=sx.Config(**settings), device="cpu", progress=False)
    config = sx.Config(devices=2, **settings)
    model = sx.tl.embed(two, config=config, device="cpu", progress=False)
    assert not multiprocessing.active_children()
    norm = np.linalg.norm(one.varm["X_spacex"], axis=1).max()
    np.testing.assert_allclose(two.varm["X_spacex"] / norm, one.varm["X_spacex"] / norm, rtol=0, atol=1e-6)
    assert two.var["spacex_module"].equals(one.var["spacex_module"])
    np.testing.assert_allclose(two.var["spacex_module_prob"], one.var["spacex_module_prob"], atol=1e-5)
    assert model.config == config
    assert model.n_modules_ == alone.n_modules_
    assert [*model.history_.records] == [*alone.history_.records]
    for stage, rows in alone.history_.records.items():
        for ours, theirs in zip(model.history_.records[stage], rows, strict=True):
            np.testing.assert_allclose([*ours.values()], [*theirs.values()], rtol=1e-4, atol=1e-5)


# AdamW divides a gradient by its own size, so that where a gradient is nearly zero a step is made of rounding. At the
# sizes of the default encoder one process with one thread or with two differs as much, and the number of modules and
# the labels, which are discrete, follow; the test compares the embeddings.
@pytest.mark.slow
def test_two_processes_train_the_default_encoder_to_the_embedding_of_one():
    one, two = section(), section()
    sx.tl.embed(one, config=sx.Config(**TRAINED), device="cpu", progress=False)
    config = sx.Config(devices=2, **TRAINED)
    model = sx.tl.embed(two, config=config, device="cpu", progress=False)
    assert not multiprocessing.active_children()
    assert model.config == config
    norm = np.linalg.norm(one.varm["X_spacex"], axis=1).max()
    np.testing.assert_allclose(two.varm["X_spacex"] / norm, one.varm["X_spacex"] / norm, rtol=0, atol=5e-4)


@pytest.mark.slow
def test_a_killed_process_ends_all_at_once(tmp_path):
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"process 1 of 2 was ended by SIGKILL.*run again"):
        launch.run_in_processes(killed_work, str(tmp_path), 2)
    assert time.monotonic() - began < 300  # most of it to start them
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_process_that_fails_says_why(tmp_path):
    with pytest.raises(WorkerError) as caught:
        launch.run_in_processes(failing_work, str(tmp_path), 2)
    assert str(caught.value) == "process 0 of 2 failed: ZeroDivisionError: nothing to divide by"
    assert not multiprocessing.active_children()


LOST = "WorkerError: process 1 of 2 lost another one"
REASONS = {
    "bad input": ([1, 1], ["InputError: no such thing", LOST], sx.InputError, "no such thing"),
    "all lost another": ([1, 1], [LOST, LOST], WorkerError, "process 1 of 2 lost another one"),
    "the second failed first": ([1, 1], [LOST, "KeyError: 3"], WorkerError, "process 1 of 2 failed: KeyError: 3"),
    "killed": ([1, -signal.SIGKILL], [LOST, None], WorkerError, "process 1 of 2 was ended by SIGKILL"),
    "ended by ours": ([3, -signal.SIGTERM], [None, None], WorkerError, "gone, and the fit with it"),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_reason_is_that_of_the_process_which_failed_first(case, tmp_path):
    codes, lines, kind, expected = REASONS[case]
    for rank, line in enumerate(lines):
        if line is not None:
            (tmp_path / launch.FAILED.format(rank)).write_text(line)
    context = SimpleNamespace(processes=[SimpleNamespace(exitcode=code) for code in codes])
    found = launch._to_worker_error(ProcessExitedException("gone", 0, 1, 1), context, tmp_path)
    assert type(found) is kind
    assert expected in str(found)


def test_a_fit_that_lost_a_process_leaves_the_section_as_it_was():
    adata = section()
    before = {*adata.obsm}, {*adata.varm}, {*adata.var}, {*adata.uns}

    def kill():
        while not (children := multiprocessing.active_children()):
            time.sleep(0.05)
        time.sleep(1.0)
        os.kill(children[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(WorkerError, match="ended by SIGKILL"):
        sx.tl.embed(adata, config=sx.Config(devices=2, **SMALL), device="cpu", progress=False)
    killer.join()
    assert ({*adata.obsm}, {*adata.varm}, {*adata.var}, {*adata.uns}) == before
    assert not multiprocessing.active_children()


GLOO = "[/pytorch/third_party/gloo/pair.cc:537] Read error [127.0.0.1]:5: Connection reset by peer. This is typical"


def test_an_exchange_with_a_lost_process_is_told_from_other_errors():
    group = FabricProcessGroup(SimpleNamespace(global_rank=0, world_size=2))

    def broken(text):
        raise RuntimeError(text)

    with pytest.raises(WorkerError, match=r"^process 0 of 2 lost another one \(Read error .* reset by peer\); the log"):
        group.run_collective(broken, GLOO)
    with pytest.raises(RuntimeError, match=r"^out of memory$"):
        group.run_collective(broken, "out of memory")
    assert group.run_collective(len, "abc") == 3


UNGUARDED = """
import numpy as np
import spacex as sx
adata = sx.datasets.simulate_section(n_genes=60, n_spots=100, n_modules=2, depth=1.0)
config = sx.Config(devices=2, n_dims=4, genes_per_dim=5, fine_dims=2, em_starts=1)
model = sx.tl.embed(adata, n_modules=2, config=config, device="cpu", progress=False)
print("embedded", adata.varm["X_spacex"].shape[0])
"""


@pytest.mark.slow
def test_a_script_needs_no_guard_and_says_nothing(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "embedded 60\n", done.stderr
    assert done.stderr == ""


def test_what_is_loaded_works_alone(tmp_path):
    images = sx.pp.gene_images(section())
    model = sx.SpaCEX(sx.Config(**SMALL), n_modules=3, device="cpu", progress=False).fit(images)
    model.config = sx.Config(devices=8, num_nodes=4, strategy="ddp", **SMALL)
    model.save(tmp_path)
    again = sx.SpaCEX.load(tmp_path, device="cpu")
    assert again.config.n_processes == 1
    assert (again.transform(images) == model.transform(images)).all()


def test_machines_need_a_launcher():
    model = sx.SpaCEX(sx.Config(devices=2, num_nodes=3), device="cpu", progress=False)
    with pytest.raises(sx.InputError, match=r"srun --nodes 3 --ntasks-per-node 2 or torchrun --nnodes 3"):
        model.fit(sx.pp.gene_images(section()))


def test_launcher_and_settings_must_agree(monkeypatch):
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", "1")
    model = sx.SpaCEX(sx.Config(devices=2), device="cpu", progress=False)
    with pytest.raises(sx.InputError, match=r"2 process\(es\), but torchrun started 4"):
        model.fit(sx.pp.gene_images(section()))


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("spacex._infra.validation.find_spec", lambda name: None)
    model = sx.SpaCEX(sx.Config(devices=2), device="cpu", progress=False)
    with pytest.raises(sx.InputError, match=r'pip install "spacex-st\[scale\]"'):
        model.fit(sx.pp.gene_images(section()))


def test_half_precision_needs_a_gpu():
    model = sx.SpaCEX(sx.Config(precision="16-mixed"), device="cpu", progress=False)
    with pytest.raises(sx.InputError, match="needs a GPU"):
        model.fit(sx.pp.gene_images(section()))


def test_lower_precision_trains_too():
    config = sx.Config(epochs=1, batch_size=50, n_layers=1, precision="bf16-mixed", **SMALL)
    model = sx.SpaCEX(config, n_modules=3, device="cpu", progress=False).fit(sx.pp.gene_images(section()))
    assert model.model_.encoder.linear.dtype == torch.float32
    assert np.isfinite(model.history_.records["pretrain"][1]["loss"])


@pytest.mark.parametrize(("asked", "there", "most"), [(9, 1, 8), (99, 2, 8), (65, 64, 64)])
def test_more_processes_than_the_cores_can_bear_are_not_started(monkeypatch, asked, there, most):
    monkeypatch.setattr(launch, "_cores", lambda: there)
    monkeypatch.setattr(launch, "run_in_processes", lambda *given: pytest.fail("started"))
    model = sx.SpaCEX(sx.Config(devices=asked), n_modules=3, device="cpu", progress=False)
    expected = rf"^Config.devices={asked} is not allowed: .* {there} core\(s\); pass at most {most}\b"
    with pytest.raises(sx.InputError, match=expected):
        model.fit(sx.pp.gene_images(section()))


def test_eight_processes_may_share_a_core(monkeypatch):
    class Started(Exception):
        pass

    def start(work, folder, size, *given):
        raise Started(size)

    monkeypatch.setattr(launch, "_cores", lambda: 1)
    monkeypatch.setattr(launch, "run_in_processes", start)
    with pytest.raises(Started, match="8"):
        sx.SpaCEX(sx.Config(devices=8), n_modules=3, device="cpu", progress=False).fit(sx.pp.gene_images(section()))


def spawned(process):
    """The processes of a fit that another one has started."""
    import psutil

    return [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.slow
@pytest.mark.parametrize("later", [0.0, 1.5])
def test_an_interrupt_of_all_is_told_once_and_leaves_none(tmp_path, later):
    """As Ctrl-C in a shell does it: every process of the group hears it, those too that only begin."""
    (tmp_path / "script.py").write_text(UNGUARDED)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "script.py")]
    hears = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=hears
    ) as process:
        while len(children := spawned(process)) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(later)
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    assert not said
    assert "spawn_main" not in errors
    assert errors.count("Traceback") == 1
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert not any(child.is_running() for child in children)
