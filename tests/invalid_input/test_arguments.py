"""Every argument of every public function meets what is no value of it: one clear line, or it is taken."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from tests.invalid_input.calls import CALLS, section
from tests.invalid_input.cases import assert_one_clear_line, state

import spacex as sx
from spacex.report import write_report

OF = {
    "tl.impute": sx.tl.impute, "SpaCEX": sx.SpaCEX, "report.write_report": write_report,
}  # fmt: skip
"""Functions that a call of the table wraps."""

LEFT_OUT = {"tl.impute, reference", "datasets.fetch_dlpfc", "datasets.fetch_visium", "SpaCEX.save", "SpaCEX.load"}


def parameters(call: str) -> Iterator[inspect.Parameter]:
    """Those of the function behind a call, but for the section that it works on."""
    for parameter in inspect.signature(OF.get(call, CALLS[call].function)).parameters.values():
        if parameter.name not in ("adata", "target"):
            yield parameter


ARGUMENTS = [(call, p) for call in CALLS if call not in LEFT_OUT for p in parameters(call)]
FLAGS = [(call, p) for call, p in ARGUMENTS if "bool" in str(p.annotation) or isinstance(p.default, bool)]

NO_FLAG: dict[str, Callable[[], Any]] = {
    "no": lambda: "no", "2": lambda: 2, "1.0": lambda: 1.0, "None": lambda: None, "object": object,
    "array": lambda: np.array([True, False]), "NA": lambda: pd.NA, "list": lambda: [True],
}  # fmt: skip

ODD: dict[str, Callable[[], Any]] = {
    "array": lambda: np.array([3, 4]), "texts": lambda: np.array(["auto", "b"]), "scalar": lambda: np.array(3),
    "empty": lambda: np.array([]), "series": lambda: pd.Series([1, 2]), "index": lambda: pd.Index(["a", "b"]),
    "table": lambda: pd.DataFrame({"a": [1, 2]}), "sparse": lambda: sp.eye(3, format="csr"), "NA": lambda: pd.NA,
    "2**70": lambda: 2**70, "10**400": lambda: 10**400, "10**5000": lambda: 10**5000, "zero": lambda: "a\0b",
    "10**9": lambda: 10**9, "true": lambda: np.True_, "bytes": lambda: b"a",
}  # fmt: skip


def refused(call: str, name: str, value: Any) -> str | None:
    """What is said of a value; None if it is taken. The section is as it was where it is refused."""
    adata = section().copy()
    before = state(adata)
    try:
        CALLS[call](adata, **{name: value})
    except (sx.InputError, FileNotFoundError) as error:
        assert state(adata) == before
        return str(error)
    return None


def test_all_flags_are_found() -> None:
    names = {p.name for _, p in FLAGS}
    assert names == {"progress", "shared", "counts", "learned", "lazy", "probability", "image", "show"}
    assert len(FLAGS) > 20


@pytest.mark.parametrize("kind", NO_FLAG)
@pytest.mark.parametrize(("call", "parameter"), FLAGS, ids=lambda value: getattr(value, "name", value))
def test_a_flag_is_true_or_false(call: str, parameter: inspect.Parameter, kind: str) -> None:
    value = NO_FLAG[kind]()
    said = refused(call, parameter.name, value)
    if value is None and parameter.default is None:
        assert said is None
        return
    assert said is not None
    assert_one_clear_line(said, rf"^{parameter.name}=.*True.*False")


@pytest.mark.parametrize("call", [call for call, parameter in ARGUMENTS if parameter.name == "seed"])
def test_a_seed_has_32_bits(call: str) -> None:
    for seed in (2**32, 2**70, -1, 0.5, True, np.array([1])):
        said = refused(call, "seed", seed)
        assert said is not None
        assert_one_clear_line(said, r"^seed=.* from 0 to 4294967295")
    assert refused(call, "seed", np.uint32(2**32 - 1)) is None


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("call", dict.fromkeys(call for call, _ in ARGUMENTS))
def test_odd_values_are_taken_or_refused(call: str, kind: str) -> None:
    for parameter in parameters(call):
        said = refused(call, parameter.name, ODD[kind]())
        if said is not None:
            assert_one_clear_line(said, "")
