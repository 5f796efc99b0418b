"""Scores of methods on sections, failures with their reasons, and one table of all."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = ["section", "method", "seed", "metric", "value"]
DIGITS = {"seconds": 1, "modules": 1, "peak MB": 0}
"""Digits after the decimal point of a metric, if not three."""
Figure = tuple[int, str, float]


class Trials:
    """Scores of methods on sections; the metric `headline` is printed to stderr during the runs."""

    def __init__(self, headline: str) -> None:
        self.headline = headline
        self.rows: list[tuple[str, str, int, str, float]] = []
        self.failures: list[str] = []

    def add(self, section: str, method: str, figures: Iterable[Figure]) -> None:
        """Add scores (seed, metric, value) of a running method; an error of a peer is recorded."""
        first = len(self.rows)
        try:
            for figure in figures:
                self.rows.append((section, method, *figure))
        except Exception as error:
            self.failures.append(f"{method} on {section}: {type(error).__name__}: {error}".splitlines()[0])
            return
        values = [value for *_, metric, value in self.rows[first:] if metric == self.headline]
        if values:
            print(f"{section} {method}: {self.headline} {np.mean(values):.3f}", file=sys.stderr, flush=True)

    def show(self, csv: Path | None) -> None:
        """Print the table and the failures; write all scores to `csv`, if not None."""
        rows = pd.DataFrame(self.rows, columns=COLUMNS)
        if csv:
            rows.to_csv(csv, index=False)
        print(table(rows))
        if self.failures:
            print("\nfailed\n" + "\n".join(self.failures))


def table(rows: pd.DataFrame) -> str:
    """Mean ± standard deviation over seeds, one row for each section and method."""
    groups = rows.groupby(["section", "method", "metric"], sort=False)["value"].agg(["mean", "std"]).reset_index()
    digits = [DIGITS.get(metric, 3) for metric in groups["metric"]]
    groups["text"] = [
        f"{mean:.{n}f}" + (f" ± {std:.{n}f}" if std > 0 else "")
        for mean, std, n in zip(groups["mean"], groups["std"], digits, strict=True)
    ]
    wide = groups.pivot(index=["section", "method"], columns="metric", values="text")
    order = pd.MultiIndex.from_frame(rows[["section", "method"]].drop_duplicates())
    wide = wide.reindex(index=order, columns=rows["metric"].drop_duplicates())
    return wide.fillna("").reset_index().to_string(index=False)
