"""Settings of every test process, and the small sections that many tests share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import spacex as sx  # loads neither numpy nor torch, which read the variables below when they are imported

if TYPE_CHECKING:
    from anndata import AnnData

# The workers of pytest-xdist share the cores, so that each uses one thread.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# nohup and background jobs of a shell ignore SIGINT, and so would the processes that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files and folders whose tests start processes or a browser, or run whole analyses; single slow tests are marked there.
SLOW = (
    "benchmarks/", "cli/test_batch.py", "cli/test_options.py", "cli/test_run.py", "cli/test_subprocess.py",
    "crash_safety/", "distributed/test_worker_processes.py", "embedding/test_launch.py",
    "imputation/test_corrector.py", "invalid_input/", "io/readers/test_anndata_files.py", "io/test_position_join.py",
    "report/", "test_numerics.py", "test_reproducibility.py", "test_symbols.py", "tl/test_embed.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(tests) and item.path.relative_to(tests).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """Close all figures before and after a test: pyplot keeps them for the whole process, docstring examples too."""

    def close() -> None:
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")

    close()
    yield
    close()


@pytest.fixture
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the environment variables of torchrun and srun."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def _toy() -> AnnData:
    return sx.datasets.toy()


@pytest.fixture
def toy(_toy: AnnData) -> AnnData:
    """A copy of `spacex.datasets.toy`: 300 spots × 120 genes, 4 modules, 3 domains."""
    return _toy.copy()


@pytest.fixture(scope="session")
def _toy_embedded(_toy: AnnData) -> AnnData:
    adata = _toy.copy()
    sx.tl.embed(adata, progress=False)
    return adata


@pytest.fixture
def toy_embedded(_toy_embedded: AnnData) -> AnnData:
    """A copy of the toy section after `spacex.tl.embed` with default arguments, which finds its 4 modules."""
    return _toy_embedded.copy()


@pytest.fixture(scope="session")
def _toy_sections() -> AnnData:
    adata = sx.datasets.simulate_section(120, 600, 4, 3, seed=2, depth=2.0, effect=2.5)
    x = adata.obsm["spatial"][:, 0]
    adata.obs["section"] = ["left" if is_left else "right" for is_left in x < sorted(x)[300]]
    return adata


@pytest.fixture
def toy_sections(_toy_sections: AnnData) -> AnnData:
    """Two sections of about 300 spots, the halves of one simulated tissue: ``library_key="section"``."""
    return _toy_sections.copy()
