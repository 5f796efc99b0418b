"""The benchmark of scaling: what its exponents mean, and that it measures what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.speed import scaling


def test_the_exponent_is_the_power_of_the_size() -> None:
    size = pd.Series([100, 200, 400, 800])
    seconds = pd.DataFrame({"linear": 3.0 * size, "square": 1e-4 * size**2.0, "constant": np.full(4, 7.0)})
    found = scaling.exponents(size, seconds)
    assert dict(found) == pytest.approx({"linear": 1, "square": 2, "constant": 0}, abs=1e-9)


def test_every_stage_is_timed_and_drawn(tmp_path) -> None:
    table = pd.DataFrame([{"genes": n, "spots": n, **scaling.timed(n, 200)} for n in (120, 240)])
    assert (table[list(scaling.STAGES)] > 0).all(axis=None)
    assert (table["peak MB"] > 50).all()
    scaling.plot({"genes": table, "spots": table}, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000
