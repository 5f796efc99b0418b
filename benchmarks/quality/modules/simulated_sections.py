"""Modules on simulated sections, relative to the limit of a Bayes classifier."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex.stats import calibration_error

from ..sections import SIMULATED as SCOREBOARD
from .measure import assignment, auroc, is_right, recovery, reliability
from .methods import ModuleResult

SIMULATED = {"default": {}, **{name.removeprefix("sim_"): arguments for name, arguments in SCOREBOARD.items()}}
"""Arguments of `sx.datasets.simulate_section`."""

THIRDS = ("low", "middle", "high")


def figures(result: ModuleResult, planted: np.ndarray) -> dict[str, float]:
    """Scores of the modules of a method against planted modules (G,), -1 for genes without a pattern."""
    scores = recovery(result.labels, planted)
    if result.probability is not None:
        scores |= assignment(result.labels, planted)
        scores["ECE"] = calibration_error(result.probability, is_right(result.labels, planted))
    return scores | {metric: auroc(score, planted) for metric, score in result.scores.items()}


def gene_reliability(result: ModuleResult, adata: AnnData) -> pd.DataFrame:
    """Probability of the label of every gene, whether it is right, and the gene's third of expression."""
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    third = np.argsort(np.argsort(total, kind="stable"), kind="stable") * 3 // len(total)
    right = is_right(result.labels, adata.var["module"].to_numpy())
    return pd.DataFrame({"probability": result.probability, "right": right, "third": np.array(THIRDS)[third]})


def reliability_table(genes: pd.DataFrame) -> str:
    """Mean probability and share right by bin, over all genes and in each third of expression, by section."""
    rows = []
    for section, part in genes.groupby("section", sort=False):
        for name in ("all", *THIRDS):
            chosen = part if name == "all" else part[part["third"] == name]
            bins = reliability(chosen["probability"].to_numpy(), chosen["right"].to_numpy())
            for value in ("probability", "right"):
                rows.append([section, name, value, *(f"{entry:.3f}" for entry in bins[value])])
    n_bins = max(map(len, rows)) - 3
    columns = ["section", "expression", "mean", *(str(number + 1) for number in range(n_bins))]
    return pd.DataFrame(rows, columns=columns).fillna("").to_string(index=False)


def distance(rows: pd.DataFrame) -> pd.DataFrame:
    """SpaCEX minus the limit by section and seed, for adjusted Rand indices; "all" is the mean over sections."""
    part = rows[rows["metric"].str.startswith("ARI")]
    wide = part.pivot_table(index=["section", "seed", "metric"], columns="method", values="value", sort=False)
    gap = (wide["SpaCEX"] - wide["limit"]).rename("value").reset_index()
    mean = gap.groupby(["seed", "metric"], sort=False)["value"].mean().reset_index()
    return pd.concat([gap, mean.assign(section="all")]).assign(method="SpaCEX − limit")
