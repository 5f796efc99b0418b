"""Print what mutation testing found, and fail where the tests see fewer than four changes of five."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEAST = 0.8


def main(path: str) -> int:
    """0 where the tests see enough changes, 1 where they do not."""
    found = json.loads(Path(path).read_text())
    seen = found["killed"] + found["timeout"]
    print(f"the tests see {seen} of {found['total']} changes ({seen / found['total']:.1%}; at least {LEAST:.0%})")
    print("those that they do not see: mutmut results; one of them: mutmut show NAME")
    return int(seen < LEAST * found["total"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
