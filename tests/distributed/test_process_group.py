"""Genes shared by several processes give what one gives; here these are threads, so that any number is quick."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import spacex as sx
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup, detect_launcher, launcher_for
from spacex.embedding import mixture as mx
from spacex.embedding.history import History
from spacex.embedding.linear_init import linear_init, mask_genes
from spacex.embedding.modules import choose_n_modules, fit_modules
from spacex.embedding.null_strength import null_strength


class ThreadGroup(ProcessGroup):
    """Threads that meet at a table where each puts its part."""

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


def together(size, work):
    """What `work(group)` returns in each of so many processes."""
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
def test_every_item_is_exactly_one_process_s_own(n, size, batch):
    groups = [ThreadGroup(rank, [None] * size, None) for rank in range(size)]
    owned = [list(range(n))[part] for group in groups for part in group.batches(n, batch)]
    assert [item for part in owned for item in part] == list(range(n))
    assert max(len(part) for part in owned) <= batch
    assert {len(range(n)[group.shard(n)]) for group in groups} <= {n // size, n // size + 1}


def test_alone_nothing_changes():
    values = np.arange(3.0)
    assert SINGLE_PROCESS.all_reduce(values) is values
    assert SINGLE_PROCESS.all_gather(values) is values
    assert [*SINGLE_PROCESS.batches(5, 2)] == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_the_linear_start_is_that_of_one_process(images):
    config = sx.Config(n_dims=8, genes_per_dim=5, fine_dims=6)
    alone = linear_init(images, config, 0)
    for start in together(3, lambda group: linear_init(images, config, 0, group)):
        for ours, theirs in zip(start, alone, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_halves_of_a_gene_do_not_hang_on_who_draws_them(images):
    whole = images.thin(0.5, np.random.default_rng(0))
    part = slice(40, 90)
    own = mask_genes(images, part).thin(0.5, np.random.default_rng(0))
    for ours, theirs in zip(own, whole, strict=True):
        np.testing.assert_array_equal(ours.residuals(part), theirs.residuals(part))
        assert ours.n_genes == images.n_genes
        assert ours.counts.nnz < 0.5 * theirs.counts.nnz


def test_shuffled_genes_count_once(images):
    trust = torch.ones(6)
    alone = null_strength(images, trust, sx.Config(), 0)
    for found in together(2, lambda group: null_strength(images, trust, sx.Config(), 0, group)):
        np.testing.assert_allclose(found, alone, rtol=1e-6)


def clouds(seed=0, k=4, n=303):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(k, 5))
    x = centers[rng.integers(k, size=n)] + 0.1 * rng.standard_t(5, size=(n, 5))
    return torch.from_numpy(x), torch.from_numpy(centers), torch.from_numpy(rng.uniform(0.01, 0.9, n))


@pytest.mark.parametrize("scale", ["tied", "spherical"])
@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("lost", [0, 2])
def test_em_is_that_of_one_process(scale, size, lost):
    x, centers, null = clouds()
    centers = centers + 0.0
    centers[:lost] += 50.0  # components that no point comes near are placed anew
    first = mx.start(centers, x, background=0.1)
    alone = mx.StudentMixture(scale=scale).fit(x, first, null)
    assert bool(alone.reseeded_) == bool(lost)

    def fit(group):
        own = group.shard(len(x))
        return mx.StudentMixture(scale=scale).fit(x[own], first, null[own], group=group)

    fits = together(size, fit)
    for fitted in fits:
        assert fitted.reseeded_ == alone.reseeded_
        np.testing.assert_allclose(fitted.objective_, alone.objective_, rtol=1e-10)
        for ours, theirs in zip(fitted.parameters_, alone.parameters_, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-8)
        assert fitted.objective_ == fits[0].objective_


def test_more_processes_than_points_are_too_many_but_no_error():
    x, centers, null = clouds(n=6, k=2)
    first = mx.start(centers, x, background=0.1)
    alone = mx.StudentMixture().fit(x, first, null)

    def fit(group):
        own = group.shard(len(x))
        return mx.StudentMixture().fit(x[own], first, null[own], group=group)

    for fitted in together(9, fit):
        np.testing.assert_allclose(fitted.parameters_.mean, alone.parameters_.mean, atol=1e-8)


def in_order(mixture):
    return mixture.parameters_.mean[mixture.parameters_.mean[:, 0].argsort()]


def test_modules_and_their_number_are_those_of_one_process():
    x, _, null = clouds(n=400)
    z, null = x.numpy().astype(np.float32), null.numpy()
    config = replace(sx.Config(), em_starts=3, max_modules=8)
    alone = fit_modules(z, null, 4, config, 0)
    history = History()
    chosen = choose_n_modules(z, null, config, 0, history)
    for fitted in together(2, lambda group: fit_modules(z, null, 4, config, 0, group=group)):
        # Starts that end in the same place tie, and the last bit decides which numbers the modules have.
        np.testing.assert_allclose(in_order(fitted), in_order(alone), atol=1e-6)
    histories = [History(), History(), History()]
    found = together(3, lambda group: choose_n_modules(z, null, config, 0, histories[group.rank], group))
    assert found == [chosen] * 3
    assert all(one.records == history.records for one in histories)


TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "a", "MASTER_PORT": "1"}


def test_the_environment_tells_who_was_launched(monkeypatch):
    for name in (*TORCHRUN, "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    assert launcher_for() is None
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert launcher_for() is None  # alone in its job
    monkeypatch.setenv("SLURM_NTASKS", "8")
    assert launcher_for() == (0, 8, "srun")
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert launcher_for() == (1, 4, "torchrun")
    assert detect_launcher(sx.Config()) is None
    assert detect_launcher(sx.Config(devices=4)) == (1, 4, "torchrun")
    assert detect_launcher(sx.Config(devices=4, strategy="ddp_spawn")) is None
