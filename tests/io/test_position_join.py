"""Counts and coordinates are joined rightly, or refused in one line, whatever their tables look like."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
PACK = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def zipped(data: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("table.csv", data)
    return archive.getvalue()


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
def tables(draw: st.DrawFn) -> dict[str, Any]:
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
        "turned": draw(st.booleans()),
        "delimiter": draw(st.sampled_from([",", "\t", ";"])),
        "packed": draw(st.sampled_from([*PACK, ".zip"])),
        "comments": draw(st.sampled_from(["", "# made by R\n", "#DGE\tVERSION:1.1\n\n"])),
        "first": draw(st.booleans()),
        "named_rows": draw(st.booleans()),
        "labels": draw(st.sampled_from(["rows", "rows", "beside numbers", "beside shuffled numbers", "last"])),
        "other_sample": draw(st.integers(0, 5)) == 0,
    }


def coordinate_table(given: dict[str, Any], names: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Rows in any order, some of spots without counts; x is ten times the number of the spot."""
    n = len(names)
    table = pd.DataFrame({given["name"]: [SPELLINGS[given["spelling"]](name) for name in names]})
    table[given["xy"][0]], table[given["xy"][1]] = np.arange(n) * 10.0, np.arange(n) * 0.5
    made = {
        "cluster": rng.integers(0, 3, n), "n_counts": rng.permutation(n) + 1, "area": rng.random(n),
        "type": rng.choice(["neuron", "glia"], n), "rank": rng.permutation(n),
    }  # fmt: skip
    for other in given["others"]:
        table.insert(0 if given["first"] else len(table.columns), other, made[other])
    table = table.iloc[rng.permutation(n)].reset_index(drop=True)
    start = {"from 0": np.arange(n), "from 1": np.arange(n) + 1, "shuffled": rng.permutation(n) + 1}
    if given["row_names"] in start:
        table.insert(0, "", start[given["row_names"]])
    return table


def with_labels(counts: pd.DataFrame, given: dict[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Counts whose names of spots stand where R and pandas may put them: before the genes, or after them."""
    if given["turned"] or given["labels"] == "rows":
        return counts
    table = counts.rename_axis("barcode" if given["named_rows"] else "").reset_index()
    if given["labels"] == "last":
        return table[[*table.columns[1:], table.columns[0]]]
    return table.set_axis(rng.permutation(len(table)) if "shuffled" in given["labels"] else range(len(table)))


def write(folder: Path, name: str, table: pd.DataFrame, given: dict[str, Any], *, index: bool = False) -> None:
    text = given["comments"] + table.to_csv(sep=given["delimiter"], index=index)
    packed = given["packed"]
    data = zipped(text.encode()) if packed == ".zip" else PACK[packed](text.encode())
    ending = ".tsv" if given["delimiter"] == "\t" else ".csv"
    (folder / f"{name}{ending}{packed}").write_bytes(data)


@settings(
    max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(given=tables())
def test_a_join_is_right_or_refused(given: dict[str, Any]) -> None:
    rng = np.random.default_rng(given["seed"])
    names = identifiers(given["kind"], given["n"] + given["extra_rows"], rng)
    table = coordinate_table(given, names, rng)
    spots = rng.permutation(given["n"])  # the first n have counts, in any order
    counts = pd.DataFrame({"Mbp": spots + 1, "Plp1": 7, "Gad1": spots % 3}, index=[names[i] for i in spots])
    counts.index.name = "barcode" if given["named_rows"] else None
    if given["other_sample"]:
        counts.index, table[given["name"]] = "A_" + counts.index, "B_" + table[given["name"]]
    counts = with_labels(counts.T if given["turned"] else counts, given, rng)
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        write(folder, "counts", counts, given, index=given["labels"] != "last" or given["turned"])
        write(folder, "coordinates", table, given)
        adata, refusal = None, ""
        try:
            adata = sx.read(folder)
        except sx.InputError as error:
            refusal = str(error)
    if adata is None:
        assert "\n" not in refusal
        assert "not a readable" not in refusal
        is_clear = given["labels"] == "rows" or given["named_rows"] or given["turned"]
        is_same = given["spelling"] == "same" and not given["other_sample"]
        assert given["name"] not in USUAL or not (is_same and is_clear), refusal
        return
    assert not given["other_sample"]
    spot = adata[:, "Mbp"].X.toarray().ravel() - 1
    assert adata.shape == (given["n"], 3)
    np.testing.assert_array_equal(adata.obsm["spatial"], np.column_stack([spot * 10.0, spot * 0.5]))
    assert adata.obs_names.tolist() == [names[int(i)] for i in spot]
