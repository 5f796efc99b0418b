"""Process groups give the results of one process; threads stand in for processes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.embedding.clusters import draw_points, separated_parameters

import spacex as sx
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup, detect_launcher, launcher_for
from spacex.embedding import mixture as mx
from spacex.embedding.history import History
from spacex.embedding.linear_init import linear_init, mask_genes
from spacex.embedding.mixture import noise_nu
from spacex.embedding.modules import choose_n_modules, fit_modules, remove_unsupported
from spacex.embedding.student_t import initial_parameters


class ThreadGroup(ProcessGroup):
    """Threads that exchange their parts through a shared list."""

    def __init__(self, rank, table, barrier):
        self.rank, self.size, self.table, self.barrier = rank, len(table), table, barrier

    def _all(self, part):
        self.barrier.wait(timeout=60)
        self.table[self.rank] = part
        self.barrier.wait(timeout=60)
        return list(self.table)

    def all_reduce(self, part):
        return np.sum(self._all(part), axis=0)

    def all_gather(self, part):
        return np.concatenate(self._all(part))

    def broadcast(self, value):
        return self._all(value)[0]


def run_threads(size, work):
    """Return the result of `work(group)` in each thread."""
    table, barrier = [None] * size, threading.Barrier(size)

    def run(rank):
        try:
            return work(ThreadGroup(rank, table, barrier))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(run, range(size)))


@pytest.fixture(scope="module")
def images():
    adata = sx.datasets.simulate_section(n_genes=250, n_spots=200, n_modules=3, depth=1.0)
    return sx.pp.gene_images(adata)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 12))
def test_every_item_belongs_to_one_process(n, size, batch):
    groups = [ThreadGroup(rank, [None] * size, None) for rank in range(size)]
    items = [list(range(n))[part] for group in groups for part in group.batches(n, batch)]
    assert [item for part in items for item in part] == list(range(n))
    assert max(len(part) for part in items) <= batch
    assert {len(range(n)[group.shard(n)]) for group in groups} <= {n // size, n // size + 1}


def test_a_group_of_one_returns_its_input():
    values = np.arange(3.0)
    assert SINGLE_PROCESS.all_reduce(values) is values
    assert SINGLE_PROCESS.all_gather(values) is values
    assert [*SINGLE_PROCESS.batches(5, 2)] == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_linear_init_equals_that_of_one_process(images):
    config = sx.Config(n_dims=8, genes_per_dim=5, fine_dims=6)
    alone = linear_init(images, 50, config, 0)
    for start in run_threads(3, lambda group: linear_init(images, 50, config, 0, group)):
        for ours, theirs in zip(start, alone, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_thinning_of_a_gene_does_not_depend_on_the_process(images):
    shard = slice(40, 90)
    single = images.thin(0.5, np.random.default_rng(0))
    distributed = mask_genes(images, shard).thin(0.5, np.random.default_rng(0))
    for ours, theirs in zip(distributed, single, strict=True):
        np.testing.assert_array_equal(ours.residuals(shard), theirs.residuals(shard))
        assert ours.n_genes == images.n_genes
        assert ours.counts.nnz < 0.5 * theirs.counts.nnz


def some_points(n=303, k=4, seed=0):
    """Return points of a mixture, the first of which are of one module, and initial parameters."""
    p = separated_parameters(k=k)
    points, module = draw_points(p, n - n // 4, n // 4, seed)
    points = points.take(np.argsort(-module, kind="stable"))
    centers = p.mean + 0.1 * torch.from_numpy(np.random.default_rng(seed).normal(size=p.mean.shape))
    return points, initial_parameters(centers, p.signal, noise_nu(points, 2))


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("n", [303, 1801])
def test_em_equals_that_of_one_process(size, n):
    """The larger set has more points than those from which the spread is estimated."""
    points, first = some_points(n)
    alone = mx.StudentMixture().fit(points, first)
    fits = run_threads(size, lambda group: mx.StudentMixture().fit(points.take(group.shard(n)), first, group=group))
    for fitted in fits:
        np.testing.assert_allclose(fitted.objective_, alone.objective_, rtol=1e-10)
        for ours, theirs in zip(fitted.parameters_, alone.parameters_, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-8)
        assert fitted.objective_ == fits[0].objective_


def test_more_processes_than_points():
    points, first = some_points(n=8, k=2)
    alone = mx.StudentMixture().fit(points, first)
    for fitted in run_threads(
        9, lambda group: mx.StudentMixture().fit(points.take(group.shard(8)), first, group=group)
    ):
        np.testing.assert_allclose(fitted.parameters_.mean, alone.parameters_.mean, atol=1e-8)


def sorted_means(parameters):
    return parameters.mean[parameters.mean[:, 0].argsort()]


def test_modules_and_their_number_equal_those_of_one_process():
    points, first = some_points(n=600)
    config, signal = replace(sx.Config(), em_starts=3, max_modules=8), first.signal
    alone = fit_modules(points, 4, config, 0, signal=signal)
    history = History()
    chosen = choose_n_modules(points, config, 0, history, signal=signal)
    for fitted in run_threads(2, lambda group: fit_modules(points, 4, config, 0, signal=signal, group=group)):
        # Starts with the same optimum tie, so that the numbering of the modules depends on rounding.
        np.testing.assert_allclose(sorted_means(fitted), sorted_means(alone), atol=1e-6)
    histories = [History(), History(), History()]
    numbers = run_threads(
        3, lambda group: choose_n_modules(points, config, 0, histories[group.rank], signal=signal, group=group)
    )
    assert numbers == [chosen] * 3
    assert all(one.records == history.records for one in histories)
    too_many = fit_modules(points, 12, config, 0, signal=signal)
    supported = remove_unsupported(points, too_many, config)
    for found in run_threads(2, lambda group: remove_unsupported(points, too_many, config, group)):
        np.testing.assert_allclose(found.mean, supported.mean, atol=1e-8)


TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "a", "MASTER_PORT": "1"}


def test_launchers_are_detected_from_the_environment(monkeypatch):
    for name in (*TORCHRUN, "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    assert detect_launcher() is None
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert detect_launcher() is None  # a single task
    monkeypatch.setenv("SLURM_NTASKS", "8")
    assert detect_launcher() == (0, 8, "srun")
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert detect_launcher() == (1, 4, "torchrun")
    assert launcher_for(sx.Config()) is None
    assert launcher_for(sx.Config(devices=4)) == (1, 4, "torchrun")
    assert launcher_for(sx.Config(devices=4, strategy="ddp_spawn")) is None
