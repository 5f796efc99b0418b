"""Work beyond the available memory raises before it starts; memory does not grow over many runs."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import psutil
import pytest
from anndata import AnnData

import spacex as sx
from spacex._infra import memory
from spacex.imaging.gene_images import WORKING_BYTES
from spacex.pairs import neighbor_pairs


@pytest.fixture(scope="module")
def simulated() -> AnnData:
    return sx.datasets.simulate_section(100, 400, 3, 3, depth=1.0)


@pytest.fixture
def section(simulated: AnnData) -> AnnData:
    return simulated.copy()


def set_available(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: free)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_files_beyond_memory_name_lazy_reading(
    section: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"section{suffix}"
    section.write_h5ad(path) if suffix == ".h5ad" else section.write_zarr(path)
    sx.read(path)
    set_available(monkeypatch, section.X.data.nbytes + section.X.indices.nbytes)
    with pytest.raises(sx.InputError, match=r"needs about .* GB of memory.*: read it with lazy=True"):
        sx.read(path)
    assert sx.read(path, lazy=True).shape == section.shape


def test_work_beyond_memory_raises_and_changes_nothing(section: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = sx.pp.gene_images(section.copy()).working_bytes
    set_available(monkeypatch, needed - 1)
    for call in (lambda: sx.tl.embed(section, progress=False), lambda: sx.tl.svg(section)):
        with pytest.raises(sx.InputError, match=r"on .* pixels .* coarser grid"):
            call()
    assert "X_spacex" not in section.varm
    assert "spacex_svg_score" not in section.var
    set_available(monkeypatch, needed)
    sx.tl.svg(section)


def test_pairs_beyond_memory_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    z = np.random.default_rng(0).normal(size=(50, 4))
    all_pairs = neighbor_pairs(z, 2**62)
    assert len(all_pairs) == 50 * 49 // 2
    set_available(monkeypatch, 100 * 50 * 10)
    assert len(neighbor_pairs(z, 10)) >= 250
    with pytest.raises(sx.InputError, match=r"^comparing 50 genes with 11 .* needs .*: pass fewer n_neighbors="):
        neighbor_pairs(z, 11)


def test_simulation_beyond_memory_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    set_available(monkeypatch, 1_000_000)
    sx.datasets.simulate_section(60, 300, 3, 3)
    for size in ({"n_genes": 3000}, {"n_spots": 3000}, {"n_genes": 600, "n_spots": 600, "depth": 1.0}):
        with pytest.raises(
            sx.InputError, match=r"^a section of \d+ spots × \d+ genes needs about .*pass smaller numbers"
        ):
            sx.datasets.simulate_section(**{"n_genes": 60, "n_spots": 300, "n_modules": 3, "n_domains": 3, **size})


def test_result_beyond_disk_space_raises_before_the_work(
    section: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 does not recover from a failed write, so that disk space is checked first."""
    target, needed = section[:, :60].copy(), 4 * 400 * 40
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    monkeypatch.setattr("spacex.tl._impute.fit_reference", lambda *_, **__: pytest.fail("the work was started"))
    with pytest.raises(sx.InputError, match=r"40 genes need 0.0 GB, and 0.0 GB are free on the disk of path"):
        sx.tl.impute(target, section, path=tmp_path / "out.h5ad", progress=False)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
    assert sx.tl.impute(target, section, path=tmp_path / "out.h5ad", progress=False).shape == (400, 40)


def test_dense_matrices_on_disk_are_not_loaded_beyond_memory(section: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    sx.tl.embed(section, progress=False)
    sx.tl.domains(section, n_domains=3)
    section.X = da.from_array(section.X.toarray(), chunks=(100, -1))
    set_available(monkeypatch, section.X.nbytes - 1)
    with pytest.raises(sx.InputError, match="X: reading it whole needs"):
        sx.tl.markers(section)


def test_estimate_covers_measurements() -> None:
    """Half a million bins × 18,000 genes (48 million values in 7,028 pixels) took 3.3 GB, 400 × 400 pixels 1.25 GB."""
    counts, pixels = WORKING_BYTES
    assert 2.6e9 < counts * 48.1e6 + pixels * 7028 < 4e9
    assert 1.25e9 < counts * 5.2e6 + pixels * 86_504 < 2.5e9


GB = 10**9


def group(folder: Path, version: int, *, limit: int | str, used: int, files: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(memory.CGROUP_FIELDS[version], (limit, used, files), strict=True):
        (folder / (name if "." in name else "memory.stat")).write_text(
            f"{value}\n" if "." in name else f"{name} {value}\n"
        )


@pytest.mark.parametrize("version", [1, 2])
def test_available_memory_respects_cgroup_limits(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, unlimited = tmp_path / ("memory" if version == 1 else ""), 2**63 - 4096 if version == 1 else "max"
    (tmp_path / "cgroup").write_text(f"3:cpu:/\n{'4:hugetlb,memory' if version == 1 else '0:'}:/slurm/job_7/step_0\n")
    monkeypatch.setattr(memory, "CGROUP_FILE", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=9 * GB))
    assert memory.available_memory() == 9 * GB
    group(root / "slurm/job_7/step_0", version, limit=unlimited, used=GB)
    assert memory.available_memory() == 9 * GB
    # The job has a limit and its step has none; most of the used memory is page cache.
    group(root / "slurm/job_7", version, limit=8 * GB, used=7 * GB, files=5 * GB)
    assert memory.available_memory() == 6 * GB
    group(root / "slurm/job_7/step_0", version, limit=3 * GB, used=4 * GB, files=0)
    assert memory.available_memory() == 0


def test_containers_without_parent_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cgroup").write_text("0::/of/the/host\n")
    monkeypatch.setattr(memory, "CGROUP_FILE", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "CGROUP_ROOT", tmp_path)
    group(tmp_path, 2, limit=GB, used=GB // 2, files=0)
    assert memory.available_memory() == GB // 2
    monkeypatch.setattr(memory, "CGROUP_FILE", tmp_path / "absent")  # not Linux
    assert memory.available_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.3)


def test_batches_are_smaller_for_many_pixels(section: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    images = sx.pp.gene_images(section)
    whole = images.residuals()
    monkeypatch.setattr("spacex.imaging.gene_images.MAX_BATCH_VALUES", 7 * images.n_pixels)
    parts = [maps for _, maps in images.batches(512)]
    assert max(map(len, parts)) == 7
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.slow
def test_fifty_runs_do_not_leak_memory() -> None:
    process = psutil.Process(os.getpid())

    def run(seed: int) -> None:
        adata = sx.datasets.simulate_section(300, 600, 4, 3, depth=1.0, seed=seed)
        sx.tl.embed(adata, n_modules=4, progress=False, config=sx.Config(em_starts=2))
        sx.tl.svg(adata)
        sx.tl.interactions(adata)
        sx.tl.domains(adata, n_domains=3)

    resident = []
    for seed in range(55):
        run(seed)
        gc.collect()
        resident.append(process.memory_info().rss)
    # One section takes 1 to 2 MB: fifty that are not freed would take at least 50 MB.
    assert np.median(resident[-5:]) - np.median(resident[3:8]) < 25e6
