"""`History`: metrics of every stage of a fit, as values that JSON and AnnData can store."""

from __future__ import annotations

from typing import Any


class History:
    """Records of every stage of a fit.

    Attributes
    ----------
    records
        Stage name -> list of records, one dict of numbers per epoch, round or candidate.
    """

    def __init__(self, records: dict[str, list[dict[str, float]]] | None = None):
        self.records: dict[str, list[dict[str, float]]] = records or {}

    def add(self, stage: str, **values: float) -> None:
        """Append one record to a stage."""
        self.records.setdefault(stage, []).append({key: float(value) for key, value in values.items()})

    def columns(self) -> dict[str, dict[str, list[float]]]:
        """Return stage -> name -> values, the form that is written to ``uns``."""
        return {
            stage: {name: [row[name] for row in rows if name in row] for name in rows[0]}
            for stage, rows in self.records.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the records, for JSON."""
        return self.records
