"""Property test: counts and coordinates are joined correctly, or rejected with a clear message."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.io.layouts import compressed

import spacex as sx

USUAL = ("barcode", "Barcodes", "cell_id", "CellID", "cell", "spot", "EntityID", "bead_barcode")
OTHER = ("key", "my_cells", "name", "id", "label", "sample_barcode_used")
PAIRS = (
    ("x", "y"),
    ("X", "Y"),
    ("sdimx", "sdimy"),
    ("imagecol", "imagerow"),
    ("center_x", "center_y"),
    ("beadX", "beadY"),
)


def identifiers(kind: str, n: int, rng: np.random.Generator) -> list[str]:
    match kind:
        case "numbers":
            return [str(i + 1) for i in rng.permutation(n)]
        case "large numbers":
            return [str(10**18 + int(i)) for i in rng.choice(10**6, n, replace=False)]
        case "cells":
            return [f"cell_{i}" for i in rng.permutation(n)]
        case _:
            letters = ["".join("ACGT"[i // 4**k % 4] for k in range(6)) for i in rng.choice(4**6, n, replace=False)]
            return [f"{text}-1" for text in letters]


SPELLINGS = {
    "same": lambda text: text,
    "float": lambda text: f"{text}.0" if text.isdecimal() and len(text) < 15 else text,
    "R": lambda text: f"X{text}" if text.isdecimal() else text.replace("-", "."),
    "prefix": lambda text: f"sample1_{text}",
    "no suffix": lambda text: text.removesuffix("-1"),
}


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "seed": draw(st.integers(0, 10**6)),
        "n": draw(st.integers(2, 12)),
        "extra_rows": draw(st.integers(0, 4)),
        "kind": draw(st.sampled_from(["numbers", "large numbers", "cells", "barcodes"])),
        "name": draw(st.sampled_from([*USUAL, *OTHER])),
        "xy": draw(st.sampled_from(PAIRS)),
        "spelling": draw(st.sampled_from(list(SPELLINGS))),
        "row_names": draw(st.sampled_from(["none", "from 0", "from 1", "shuffled"])),
        "others": draw(st.lists(st.sampled_from(["cluster", "n_counts", "area", "type", "rank"]), unique=True)),
        "transpose": draw(st.booleans()),
        "delimiter": draw(st.sampled_from([",", "\t", ";"])),
        "compression": draw(st.sampled_from(["", ".gz", ".bz2", ".xz", ".zip"])),
        "comments": draw(st.sampled_from(["", "# made by R\n", "#DGE\tVERSION:1.1\n\n"])),
        "first": draw(st.booleans()),
        "named_rows": draw(st.booleans()),
        "labels": draw(st.sampled_from(["rows", "rows", "beside numbers", "beside shuffled numbers", "last"])),
        "other_sample": draw(st.integers(0, 5)) == 0,
    }


def coordinate_table(layout: dict[str, Any], names: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Rows in random order, some of spots without counts; x is ten times the index of the spot."""
    n = len(names)
    table = pd.DataFrame({layout["name"]: [SPELLINGS[layout["spelling"]](name) for name in names]})
    table[layout["xy"][0]], table[layout["xy"][1]] = np.arange(n) * 10.0, np.arange(n) * 0.5
    values = {
        "cluster": rng.integers(0, 3, n), "n_counts": rng.permutation(n) + 1, "area": rng.random(n),
        "type": rng.choice(["neuron", "glia"], n), "rank": rng.permutation(n),
    }  # fmt: skip
    for other in layout["others"]:
        table.insert(0 if layout["first"] else len(table.columns), other, values[other])
    table = table.iloc[rng.permutation(n)].reset_index(drop=True)
    start = {"from 0": np.arange(n), "from 1": np.arange(n) + 1, "shuffled": rng.permutation(n) + 1}
    if layout["row_names"] in start:
        table.insert(0, "", start[layout["row_names"]])
    return table


def with_labels(counts: pd.DataFrame, layout: dict[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Return counts with spot names where R and pandas write them: before or after the genes."""
    if layout["transpose"] or layout["labels"] == "rows":
        return counts
    table = counts.rename_axis("barcode" if layout["named_rows"] else "").reset_index()
    if layout["labels"] == "last":
        return table[[*table.columns[1:], table.columns[0]]]
    return table.set_axis(rng.permutation(len(table)) if "shuffled" in layout["labels"] else range(len(table)))


def write(folder: Path, name: str, table: pd.DataFrame, layout: dict[str, Any], *, index: bool = False) -> None:
    text = layout["comments"] + table.to_csv(sep=layout["delimiter"], index=index)
    file = f"{name}{'.tsv' if layout['delimiter'] == chr(9) else '.csv'}{layout['compression']}"
    (folder / file).write_bytes(compressed(text.encode(), file))


@settings(
    max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(layout=layouts())
def test_join_is_correct_or_rejected(layout: dict[str, Any]) -> None:
    rng = np.random.default_rng(layout["seed"])
    names = identifiers(layout["kind"], layout["n"] + layout["extra_rows"], rng)
    table = coordinate_table(layout, names, rng)
    spots = rng.permutation(layout["n"])  # the first n have counts, in any order
    counts = pd.DataFrame({"Mbp": spots + 1, "Plp1": 7, "Gad1": spots % 3}, index=[names[i] for i in spots])
    counts.index.name = "barcode" if layout["named_rows"] else None
    if layout["other_sample"]:
        counts.index, table[layout["name"]] = "A_" + counts.index, "B_" + table[layout["name"]]
    counts = with_labels(counts.T if layout["transpose"] else counts, layout, rng)
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        write(folder, "counts", counts, layout, index=layout["labels"] != "last" or layout["transpose"])
        write(folder, "coordinates", table, layout)
        adata, message = None, ""
        try:
            adata = sx.read(folder)
        except sx.InputError as error:
            message = str(error)
    if adata is None:
        assert "\n" not in message
        assert "not a readable" not in message
        is_clear = layout["labels"] == "rows" or layout["named_rows"] or layout["transpose"]
        is_same = layout["spelling"] == "same" and not layout["other_sample"]
        assert layout["name"] not in USUAL or not (is_same and is_clear), message
        return
    assert not layout["other_sample"]
    spot = adata[:, "Mbp"].X.toarray().ravel() - 1
    assert adata.shape == (layout["n"], 3)
    np.testing.assert_array_equal(adata.obsm["spatial"], np.column_stack([spot * 10.0, spot * 0.5]))
    assert adata.obs_names.tolist() == [names[int(i)] for i in spot]
