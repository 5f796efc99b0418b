"""Results of a scoreboard: scores, and failures with their reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

COLUMNS = ["section", "seed", "entry", "metric", "value"]


@dataclass
class Results:
    """Scores by section, seed, entry and metric, and failures by section and entry."""

    rows: list[tuple[str, int, str, str, float]] = field(default_factory=list)
    failures: list[tuple[str, int, str, str]] = field(default_factory=list)
    hopeless: dict[tuple[str | None, str], str] = field(default_factory=dict)

    def add(self, section: str, seed: int, entry: str, values: dict[str, float]) -> None:
        """Add scores by metric."""
        self.rows.extend((section, seed, entry, metric, value) for metric, value in values.items())

    def fail(self, section: str, seed: int, entry: str, reason: str) -> None:
        self.failures.append((section, seed, entry, reason))

    def give_up(self, section: str | None, entry: str, reason: str) -> None:
        """Skip further runs of an entry on a section, or on all sections for None."""
        self.hopeless[section, entry] = reason

    def given_up(self, section: str, entry: str) -> str | None:
        """Reason why runs of an entry are skipped, or None."""
        return self.hopeless.get((None, entry)) or self.hopeless.get((section, entry))

    @property
    def table(self) -> pd.DataFrame:
        """Long format."""
        return pd.DataFrame(self.rows, columns=COLUMNS)

    def write_csv(self, path: Path) -> None:
        self.table.to_csv(path, index=False, float_format="%0.6g")

    def failed(self, section: str, entry: str) -> bool:
        """Whether a run of the entry on the section, or on either of a pair, failed."""
        return any(name in section.split(" | ") and who == entry for name, _, who, _ in self.failures)

    def failure_lines(self) -> list[str]:
        """One line for each entry and reason, with sections and seeds."""
        grouped: dict[tuple[str, str], dict[str, list[int]]] = {}
        for section, seed, entry, reason in self.failures:
            grouped.setdefault((entry, reason), {}).setdefault(section, []).append(seed)
        return [
            f"{entry}: {reason}; on "
            + ", ".join(f"{section} (seed {', '.join(map(str, seeds))})" for section, seeds in where.items())
            for (entry, reason), where in grouped.items()
        ]
