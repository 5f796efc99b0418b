"""Fits in several processes: results equal those of one process, and a lost process ends the fit."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.embedding.clusters import draw_points, separated_parameters

import spacex as sx
from spacex._infra.errors import WorkerError
from spacex.distributed.worker_processes import run_in_processes
from spacex.embedding import launch
from spacex.embedding.context import FitContext
from spacex.embedding.linear_init import linear_init
from spacex.embedding.mixture import StudentMixture, noise_nu
from spacex.embedding.state import save
from spacex.embedding.student_t import initial_parameters

pytestmark = pytest.mark.usefixtures("no_launcher")
SMALL = {"n_dims": 8, "genes_per_dim": 5, "fine_dims": 8, "em_starts": 2}


def section():
    return sx.datasets.simulate_section(n_genes=121, n_spots=200, n_modules=3, depth=1.0)


def some_points():
    """Return points of a mixture and initial parameters."""
    p = separated_parameters()
    points, _ = draw_points(p, 231, 70)
    centers = p.mean + 0.1 * torch.from_numpy(np.random.default_rng(0).normal(size=p.mean.shape))
    return points, initial_parameters(centers, p.signal, noise_nu(points, 2))


def joined_group():
    """Join the process group as in a fit, and return it."""
    return launch.join_processes(sx.Config(devices=2, **SMALL), FitContext(torch.device("cpu")), "torchrun").group


def shared_work(folder):
    """Compute the stages of a fit in one of two processes and save the results."""
    group = joined_group()
    points, first = some_points()
    fitted = StudentMixture().fit(points.take(group.shard(len(points.x))), first, group=group)
    start = linear_init(sx.pp.gene_images(section()), 20, sx.Config(**SMALL), 0, group)
    empty = group.all_gather(np.ones((group.rank, 2), dtype=np.float32))
    parameters = [value.numpy() for value in fitted.parameters_]
    results = (group.rank, group.size, parameters, fitted.objective_, tuple(start), empty.shape)
    (Path(folder) / f"{group.rank}.pickle").write_bytes(pickle.dumps(results))


def test_stages_of_a_fit_equal_those_of_one_process(tmp_path):
    run_in_processes(shared_work, str(tmp_path), 2)
    results = [pickle.loads((tmp_path / f"{rank}.pickle").read_bytes()) for rank in (0, 1)]
    points, first = some_points()
    alone = StudentMixture().fit(points, first)
    start = linear_init(sx.pp.gene_images(section()), 20, sx.Config(**SMALL), 0)
    for rank, (worker_rank, size, parameters, objective, parts, empty) in enumerate(results):
        assert (worker_rank, size, empty) == (rank, 2, (1, 2))
        np.testing.assert_allclose(objective, alone.objective_, rtol=1e-10)
        for ours, theirs in zip(parameters, alone.parameters_, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-8)
        for ours, theirs in zip(parts, start, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert results[0][3] == results[1][3]  # to the last bit, since choices depend on it


TRAINED = {"epochs": 2, "boost_rounds": 1, "batch_size": 50}


@pytest.mark.parametrize("settings", [SMALL, SMALL | TRAINED], ids=["default", "trained"])
def test_two_processes_give_the_embedding_of_one(settings):
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


# AdamW normalizes gradients, so that steps with gradients near zero consist of rounding errors. In the default encoder,
# one and two threads of one process differ as much. Labels are discrete and may differ; only embeddings are compared.
def test_two_processes_train_the_default_encoder_as_one():
    one, two = section(), section()
    sx.tl.embed(one, config=sx.Config(**TRAINED), device="cpu", progress=False)
    config = sx.Config(devices=2, **TRAINED)
    model = sx.tl.embed(two, config=config, device="cpu", progress=False)
    assert not multiprocessing.active_children()
    assert model.config == config
    norm = np.linalg.norm(one.varm["X_spacex"], axis=1).max()
    np.testing.assert_allclose(two.varm["X_spacex"] / norm, one.varm["X_spacex"] / norm, rtol=0, atol=5e-4)


def test_a_lost_process_leaves_adata_unchanged():
    adata = section()
    before = {*adata.obsm}, {*adata.varm}, {*adata.var}, {*adata.uns}

    def kill():
        while not (children := multiprocessing.active_children()):
            time.sleep(0.05)
        time.sleep(1.0)
        os.kill(children[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(WorkerError, match="killed by SIGKILL"):
        sx.tl.embed(adata, config=sx.Config(devices=2, **SMALL), device="cpu", progress=False)
    killer.join()
    assert ({*adata.obsm}, {*adata.varm}, {*adata.var}, {*adata.uns}) == before
    assert not multiprocessing.active_children()


UNGUARDED = """
import numpy as np
import spacex as sx
adata = sx.datasets.simulate_section(n_genes=60, n_spots=100, n_modules=2, depth=1.0)
config = sx.Config(devices=2, n_dims=4, genes_per_dim=5, fine_dims=2, em_starts=1)
model = sx.tl.embed(adata, n_modules=2, config=config, device="cpu", progress=False)
print("embedded", adata.varm["X_spacex"].shape[0])
"""


def test_a_script_needs_no_main_guard_and_prints_nothing(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "embedded 60\n", done.stderr
    assert done.stderr == ""


def test_a_loaded_model_uses_one_process(tmp_path):
    images = sx.pp.gene_images(section())
    model = sx.SpaCEX(sx.Config(**SMALL), n_modules=3, device="cpu", progress=False).fit(images)
    save(replace(model.state_, config=sx.Config(devices=8, num_nodes=4, strategy="ddp", **SMALL)), tmp_path)
    again = sx.SpaCEX.load(tmp_path, device="cpu")
    assert again.config.n_processes == 1
    assert (again.transform(images) == model.transform(images)).all()


def test_several_machines_need_a_launcher():
    model = sx.SpaCEX(sx.Config(devices=2, num_nodes=3), device="cpu", progress=False)
    with pytest.raises(sx.InputError, match=r"srun --nodes 3 --ntasks-per-node 2 or torchrun --nnodes 3"):
        model.fit(sx.pp.gene_images(section()))


def test_launcher_and_settings_must_match(monkeypatch):
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", "1")
    model = sx.SpaCEX(sx.Config(devices=2), device="cpu", progress=False)
    with pytest.raises(sx.InputError, match=r"2 process\(es\), but torchrun started 4"):
        model.fit(sx.pp.gene_images(section()))


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr("spacex._infra.validation.find_spec", lambda name: None)
    model = sx.SpaCEX(sx.Config(devices=2), device="cpu", progress=False)
    with pytest.raises(sx.InputError, match=r'pip install "spacex-st\[scale\]"'):
        model.fit(sx.pp.gene_images(section()))


def test_half_precision_needs_a_gpu():
    model = sx.SpaCEX(sx.Config(precision="16-mixed"), device="cpu", progress=False)
    with pytest.raises(sx.InputError, match="needs a GPU"):
        model.fit(sx.pp.gene_images(section()))


def test_training_in_lower_precision():
    config = sx.Config(epochs=1, batch_size=50, n_layers=1, precision="bf16-mixed", **SMALL)
    model = sx.SpaCEX(config, n_modules=3, device="cpu", progress=False).fit(sx.pp.gene_images(section()))
    assert model.state_.autoencoder.encoder.linear.dtype == torch.float32
    assert np.isfinite(model.history_.records["pretrain"][1]["loss"])


@pytest.mark.parametrize(("devices", "n_cores", "max_devices"), [(9, 1, 8), (99, 2, 8), (65, 64, 64)])
def test_too_many_processes_for_the_cores_raise(monkeypatch, devices, n_cores, max_devices):
    monkeypatch.setattr(launch, "_n_cores", lambda: n_cores)
    monkeypatch.setattr(launch, "run_in_processes", lambda *arguments: pytest.fail("started"))
    model = sx.SpaCEX(sx.Config(devices=devices), n_modules=3, device="cpu", progress=False)
    expected = rf"^Config.devices={devices} is not allowed: .* {n_cores} core\(s\); pass at most {max_devices}\b"
    with pytest.raises(sx.InputError, match=expected):
        model.fit(sx.pp.gene_images(section()))


def test_eight_processes_may_share_a_core(monkeypatch):
    class Started(Exception):
        pass

    def start(work, folder, size, *arguments):
        raise Started(size)

    monkeypatch.setattr(launch, "_n_cores", lambda: 1)
    monkeypatch.setattr(launch, "run_in_processes", start)
    with pytest.raises(Started, match="8"):
        sx.SpaCEX(sx.Config(devices=8), n_modules=3, device="cpu", progress=False).fit(sx.pp.gene_images(section()))


def spawned(process):
    """Return the worker processes of another process."""
    import psutil

    def is_worker(child):
        try:
            return "spawn_main" in " ".join(child.cmdline())
        except psutil.NoSuchProcess:  # it has just ended
            return False

    return [child for child in psutil.Process(process.pid).children() if is_worker(child)]


@pytest.mark.parametrize("delay", [0.0, 1.5])
def test_an_interrupt_prints_one_traceback_and_stops_all_processes(tmp_path, delay):
    """Like Ctrl-C in a shell: SIGINT goes to the whole process group, also while processes start."""
    (tmp_path / "script.py").write_text(UNGUARDED)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "script.py")]
    reset_handler = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=reset_handler,
    ) as process:
        while len(children := spawned(process)) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    assert not output
    assert "spawn_main" not in errors
    assert errors.count("Traceback") == 1
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert not any(child.is_running() for child in children)
