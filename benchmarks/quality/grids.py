"""Results as tables of text, for the terminal and for the Markdown page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .entries import OURS
from .metrics import BY_NAME, METRICS, Metric
from .results import Results

FAILED, ABSENT = "failed", "–"


@dataclass(frozen=True)
class Cell:
    """Text of a cell, and whether it is the best of its row."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Grid:
    """A table: a metric or a title; a note; column names; rows of a name and cells."""

    title: str
    note: str
    columns: list[str]
    rows: list[tuple[str, list[Cell]]]


def means(results: Results) -> pd.DataFrame:
    """Mean, standard deviation (n − 1) and number of the seeds, by metric, section and entry."""
    groups = results.table.groupby(["metric", "section", "entry"], sort=False)["value"]
    return groups.agg(["mean", "std", "count"])


def row_of(values: dict[str, tuple[float, float]], metric: Metric) -> dict[str, Cell]:
    """Cells of means and standard deviations by entry; those equal to the best at the printed precision are marked."""
    d = metric.digits
    finite = [round(mean, d) for mean, _ in values.values() if np.isfinite(mean)]
    best = (max if metric.higher else min)(finite, default=np.nan)
    return {
        entry: Cell(
            f"{mean:.{d}f}" + (f" ± {spread:.{d}f}" if np.isfinite(spread) else ""),
            bool(round(mean, d) == best and len(values) > 1),
        )
        for entry, (mean, spread) in values.items()
    }


def metric_grids(results: Results, entries: list[str]) -> Iterator[Grid]:
    """One grid per metric: sections × entries, mean ± standard deviation over seeds."""
    table = means(results)
    for metric in METRICS:
        if metric.name not in table.index.get_level_values("metric"):
            continue
        part, rows = table.loc[metric.name], []
        columns = [entry for entry in entries if entry in part.index.get_level_values("entry")]
        for section in part.index.get_level_values("section").unique():
            values = part.loc[section]
            cells = row_of(
                {entry: (values.loc[entry, "mean"], values.loc[entry, "std"]) for entry in values.index}, metric
            )
            rows.append((section, [cells.get(entry, _absent(results, section, entry)) for entry in columns]))
        yield Grid(metric.name, _note(metric), columns, rows)


def _note(metric: Metric) -> str:
    return f"{metric.meaning} ({'higher' if metric.higher else 'lower'} is better)"


def _absent(results: Results, section: str, entry: str) -> Cell:
    return Cell(FAILED if results.failed(section, entry) else ABSENT)


def summary_grid(results: Results, entries: list[str]) -> Grid:
    """Means over all sections of a metric; entries that lack a value also show their number of sections."""
    table, rows = means(results)["mean"], []
    for metric in METRICS:
        if metric.name not in table.index.get_level_values("metric"):
            continue
        wide = table.loc[metric.name].unstack("entry")
        values = {
            entry: (wide[entry].mean(), np.nan) for entry in entries if entry in wide and wide[entry].notna().all()
        }
        cells = row_of(values, metric)
        for entry in entries:
            if entry in wide and entry not in cells:
                count = wide[entry].notna().sum()
                cells[entry] = Cell(f"{wide[entry].mean():.{metric.digits}f} on {count} of {len(wide)}")
        rows.append((f"{metric.name} ({len(wide)})", [cells.get(entry, Cell(ABSENT)) for entry in entries]))
    return Grid("summary", "mean over sections; in brackets their number", entries, rows)


def gain_grid(results: Results, kinds: dict[str, str], rivals: str) -> Grid:
    """Gain of SpaCEX over the best rival of each section, by metric; negative if the rival is better.

    `rivals` is a kind of entry. The best rival is chosen for each section separately.
    """
    table, rows = means(results)["mean"], []
    names = [entry for entry, kind in kinds.items() if kind == rivals]
    for metric in table.index.get_level_values("metric").unique():
        wide, how = table.loc[metric].unstack("entry"), BY_NAME[metric]
        present = [name for name in names if name in wide]
        if OURS not in wide or not present:
            continue
        both = wide.dropna(subset=[OURS])[[OURS, *present]].dropna(subset=present, how="all")
        if both.empty:
            continue
        best = both[present].max(axis=1) if how.higher else both[present].min(axis=1)
        gain = pd.Series([how.gain(a, b) for a, b in zip(both[OURS], best, strict=True)], index=both.index)
        worst = gain.idxmin()
        cells = [f"{gain.mean():+.{how.digits}f}", f"{gain.min():+.{how.digits}f} {worst}"]
        rows.append((metric, [*map(Cell, cells), Cell(f"{(gain > 0).sum()} of {len(gain)}")]))
    rows.sort(key=lambda row: list(BY_NAME).index(row[0]))
    note = f"SpaCEX against the best {rivals} entry of each section, positive values are better"
    return Grid(f"gain over {rivals}", note, ["mean", "worst section", "wins"], rows)


def as_text(grid: Grid) -> str:
    """For the terminal; the best of a row ends in an asterisk."""
    lines = [["", *grid.columns]] + [
        [name, *(cell.text + ("*" if cell.best else " ") for cell in cells)] for name, cells in grid.rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    body = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join([f"{grid.title}: {grid.note}", *body])


def as_markdown(grid: Grid) -> str:
    """For the page; the best of a row is bold."""
    lines = [["", *grid.columns], ["---", *["---:"] * len(grid.columns)]] + [
        [name, *(f"**{cell.text}**" if cell.best else cell.text for cell in cells)] for name, cells in grid.rows
    ]
    lines = [[text.replace("|", "\\|") for text in line] for line in lines]  # pairs of sections have one
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"### {grid.title[0].upper()}{grid.title[1:]}\n\n{grid.note[0].upper()}{grid.note[1:]}.\n\n{table}\n"
