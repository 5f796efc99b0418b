"""CPU seconds to match 500,000 spot names with the columns of a coordinate table.

    python -m benchmarks.speed.names

Names are matched by hashing; a loop over rows and columns would take minutes.
"""

from __future__ import annotations

import time

from spacex.io._identifier_columns import find_identifier_column
from spacex.io._name_matching import Names

from .goals import NAMES, verdict

N_NAMES, N_OTHER_COLUMNS = 500_000, 10


def matching_seconds(n_names: int = N_NAMES) -> float:
    """CPU seconds to find the column of the names, which holds them in reverse order, among columns of numbers."""
    names = [f"cell_{i:06}-1" for i in range(n_names)]
    columns = {f"column{i}": [str(i)] * n_names for i in range(N_OTHER_COLUMNS)} | {"barcode": names[::-1]}
    start = time.process_time()
    match = find_identifier_column({name: Names(values) for name, values in columns.items()}, Names(names), "spots.csv")
    seconds = time.process_time() - start
    assert match is not None
    assert match.column == "barcode"
    return seconds


if __name__ == "__main__":
    print(verdict(NAMES, matching_seconds()))
