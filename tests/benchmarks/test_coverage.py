"""The imputation benchmark: metrics, trials and costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.quality.costs import alone
from benchmarks.quality.coverage import unmatched
from benchmarks.quality.coverage.measure import quality
from benchmarks.quality.trials import Trials

import spacex as sx


def test_metrics_are_perfect_for_rescaled_truth() -> None:
    truth = np.random.default_rng(0).gamma(2.0, size=(200, 3))
    metrics = quality(truth, 4 * truth)
    assert metrics["PCC"] == pytest.approx(np.ones(3))
    assert metrics["SSIM"] == pytest.approx(np.ones(3))
    assert metrics["RMSE"] == pytest.approx(np.zeros(3), abs=1e-7)
    assert metrics["JS"] == pytest.approx(np.zeros(3), abs=1e-9)


def test_metrics_are_low_by_chance_and_nan_for_constants() -> None:
    rng = np.random.default_rng(0)
    truth = rng.gamma(2.0, size=(2000, 2))
    prediction = np.stack([rng.permutation(truth[:, 0]), np.ones(2000)], axis=1)
    metrics = quality(truth, prediction)
    assert abs(metrics["PCC"][0]) < 0.1
    assert metrics["RMSE"][0] == pytest.approx(np.sqrt(2 - 2 * metrics["PCC"][0]))
    assert all(np.isnan(values[1]) for values in metrics.values())


def test_failures_are_printed_and_other_methods_continue(capsys, tmp_path) -> None:
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


def test_subprocess_returns_result_and_costs_and_raises_errors() -> None:
    result, costs = alone(divmod, 17, 5)
    assert result == (3, 2)
    assert costs["peak MB"] > 1
    with pytest.raises(ZeroDivisionError):
        alone(divmod, 1, 0)


def test_reference_beats_its_permutation_without_a_matched_section(capsys, tmp_path) -> None:
    sections = [sx.datasets.simulate_section(150, 400, 4, 3, seed=0, depth=2.0, effect=2.0)]
    sections.append(sections[0][::2].copy())
    sx.Reference.fit([sections[0]], progress=False).save(tmp_path / "reference.safetensors")
    sections[1].write_h5ad(tmp_path / "target.h5ad")
    sections[0].write_h5ad(tmp_path / "section.h5ad")
    paths = {name: str(tmp_path / name) for name in ("target.h5ad", "section.h5ad", "reference.safetensors", "all.csv")}
    unmatched.main([
        paths["target.h5ad"], "--reference", paths["reference.safetensors"], "--section", paths["section.h5ad"],
        "--seeds", "1", "--csv", paths["all.csv"],
    ])  # fmt: skip
    figures = pd.read_csv(paths["all.csv"]).set_index(["method", "metric"])["value"]
    assert figures["reference", "PCC"] > figures["permuted", "PCC"] + 0.1
    assert figures["sections and reference", "matched"] == figures["sections and reference", "PCC"]
    assert "permuted" in capsys.readouterr().out
