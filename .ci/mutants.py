"""Print the result of mutation tests, and fail if the tests detect less than 80 % of the mutants."""

from __future__ import annotations

import json
import sys
from pathlib import Path

MIN_DETECTED = 0.8


def main(path: str) -> int:
    """Return 0 if the tests detect enough mutants, else 1."""
    counts = json.loads(Path(path).read_text())
    total, n_detected = counts["total"], counts["killed"] + counts["timeout"]
    print(f"{n_detected} of {total} mutants detected ({n_detected / total:.1%}; minimum {MIN_DETECTED:.0%})")
    print("list undetected mutants: mutmut results; show one: mutmut show NAME")
    return int(n_detected < MIN_DETECTED * total)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
