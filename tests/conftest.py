"""What every test needs; a file with needs of its own keeps its fixtures."""

import os

# Before numpy and torch are imported: the workers of pytest-xdist share the cores, threads would only fight.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
