"""What every test needs; a file with needs of its own keeps its fixtures."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

# Before numpy and torch are imported: the workers of pytest-xdist share the cores, threads would only fight.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Under nohup, or in the background of a shell, SIGINT is ignored, and so in every process that a test starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_figures_left() -> Iterator[None]:
    """Figures are pyplot's, which is one for all tests of a process, and for the examples in docstrings."""

    def close() -> None:
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")

    close()
    yield
    close()
