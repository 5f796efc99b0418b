"""Goals for speed and memory, and their comparison with measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GENES, SPOTS = 16_000, 3_500
"""Size of the section for which the goals are set."""


def size_of(genes: int, spots: int) -> str:
    """Size of a section as text."""
    return f"{genes:,} genes × {spots:,} spots"


class Goal(NamedTuple):
    """Upper limit `most` of a quantity `what`; `size` as text if the goal applies only to one size."""

    what: str
    most: float
    size: str = ""


AT = size_of(GENES, SPOTS)
EMBEDDING = Goal("seconds of the embedding", 60, AT)
RATIO = Goal("CPU seconds of the embedding over those of the yardstick", 20, AT)
APPLICATIONS = Goal("seconds of all five applications", 180, AT)
MEMORY = Goal("peak MB of any stage", 2000, AT)
IMPORT = Goal("seconds of import spacex", 0.3)
NAMES = Goal("CPU seconds to match 500,000 spot names", 20)


def verdict(goal: Goal, measured: float, size: str = "") -> str:
    """One line: the goal, the measurement at `size`, and whether the goal is met; other sizes are not judged."""
    line = f"goal: {goal.what}{f', {goal.size}' if goal.size else ''} <= {goal.most:g}: "
    if size != goal.size:
        return line + f"not judged: {size}"
    return line + f"measured {measured:.4g}: {'met' if measured <= goal.most else 'NOT met'}"


def verdicts(genes: int, spots: int, stages: Mapping[str, Mapping[str, float]], to_import: float) -> list[str]:
    """Lines for a section, from the measurements of the stages: "wall" and "cpu" in seconds, "peak" in MB."""
    size, embed = size_of(genes, spots), stages["embed"]
    ours = [row["peak"] for stage, row in stages.items() if stage != "yardstick"]
    return [
        verdict(EMBEDDING, embed["wall"], size),
        verdict(RATIO, embed["cpu"] / stages["yardstick"]["cpu"], size),
        verdict(APPLICATIONS, stages["all five"]["wall"], size),
        verdict(MEMORY, max(ours), size),
        verdict(IMPORT, to_import),
    ]
