"""The benchmark of transcriptomic coverage: what it measures, and how trials are kept."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.quality.costs import alone
from benchmarks.quality.coverage.measure import quality
from benchmarks.quality.trials import Trials


def test_the_measured_values_are_perfect_in_any_unit() -> None:
    truth = np.random.default_rng(0).gamma(2.0, size=(200, 3))
    found = quality(truth, 4 * truth)
    assert found["PCC"] == pytest.approx(np.ones(3))
    assert found["SSIM"] == pytest.approx(np.ones(3))
    assert found["RMSE"] == pytest.approx(np.zeros(3), abs=1e-7)
    assert found["JS"] == pytest.approx(np.zeros(3), abs=1e-9)


def test_chance_is_far_from_perfect_and_a_constant_has_no_figure() -> None:
    rng = np.random.default_rng(0)
    truth = rng.gamma(2.0, size=(2000, 2))
    made = np.stack([rng.permutation(truth[:, 0]), np.ones(2000)], axis=1)
    found = quality(truth, made)
    assert abs(found["PCC"][0]) < 0.1
    assert found["RMSE"][0] == pytest.approx(np.sqrt(2 - 2 * found["PCC"][0]))
    assert all(np.isnan(figure[1]) for figure in found.values())


def test_a_method_that_fails_is_told_and_the_others_go_on(capsys, tmp_path) -> None:
    def failing():
        yield 0, "PCC", 0.5
        raise ValueError("no genes")

    trials = Trials("PCC")
    trials.add("mob", "guest", failing())
    trials.add("mob", "ours", [(0, "PCC", 0.25), (1, "PCC", 0.75), (0, "seconds", 2.04)])
    trials.show(tmp_path / "all.csv")
    out, err = capsys.readouterr()
    assert "ValueError: no genes" in out
    assert "0.500 ± 0.354" in out
    assert "2.0" in out
    assert "mob ours: PCC 0.500" in err
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 5


def test_a_call_in_a_process_of_its_own_has_costs_and_raises_what_it_raises() -> None:
    found, costs = alone(divmod, 17, 5)
    assert found == (3, 2)
    assert costs["peak MB"] > 1
    with pytest.raises(ZeroDivisionError):
        alone(divmod, 1, 0)
