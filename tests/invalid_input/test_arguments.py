"""Unusual values of every argument of every public function are accepted or raise a one-line error."""

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

WRAPPED = {
    "tl.impute": sx.tl.impute, "SpaCEX": sx.SpaCEX, "report.write_report": write_report,
}  # fmt: skip
"""Functions behind the wrappers in `CALLS`."""

EXCLUDED = {"tl.impute, reference", "datasets.fetch_dlpfc", "datasets.fetch_visium", "SpaCEX.save", "SpaCEX.load"}


def parameters(call: str) -> Iterator[inspect.Parameter]:
    """Yield the parameters of the function behind a call, without the section."""
    for parameter in inspect.signature(WRAPPED.get(call, CALLS[call].function)).parameters.values():
        if parameter.name not in ("adata", "target"):
            yield parameter


ARGUMENTS = [(call, p) for call in CALLS if call not in EXCLUDED for p in parameters(call)]
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


def error_of(call: str, name: str, value: Any) -> str | None:
    """Return the error message for a value, or None if it is accepted; the section must not change after an error."""
    adata = section().copy()
    before = state(adata)
    try:
        CALLS[call](adata, **{name: value})
    except (sx.InputError, FileNotFoundError) as error:
        assert state(adata) == before
        return str(error)
    return None


def test_list_of_flags_is_complete() -> None:
    names = {p.name for _, p in FLAGS}
    assert names == {"progress", "shared", "counts", "learned", "lazy", "probability", "image", "show"}
    assert len(FLAGS) > 20


@pytest.mark.parametrize("kind", NO_FLAG)
@pytest.mark.parametrize(("call", "parameter"), FLAGS, ids=lambda value: getattr(value, "name", value))
def test_flags_must_be_boolean(call: str, parameter: inspect.Parameter, kind: str) -> None:
    value = NO_FLAG[kind]()
    message = error_of(call, parameter.name, value)
    if value is None and parameter.default is None:
        assert message is None
        return
    assert message is not None
    assert_one_clear_line(message, rf"^{parameter.name}=.*True.*False")


@pytest.mark.parametrize("call", [call for call, parameter in ARGUMENTS if parameter.name == "seed"])
def test_seeds_have_32_bits(call: str) -> None:
    for seed in (2**32, 2**70, -1, 0.5, True, np.array([1])):
        message = error_of(call, "seed", seed)
        assert message is not None
        assert_one_clear_line(message, r"^seed=.* from 0 to 4294967295")
    assert error_of(call, "seed", np.uint32(2**32 - 1)) is None


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("call", dict.fromkeys(call for call, _ in ARGUMENTS))
def test_unusual_values_are_accepted_or_raise(call: str, kind: str) -> None:
    for parameter in parameters(call):
        message = error_of(call, parameter.name, ODD[kind]())
        if message is not None:
            assert_one_clear_line(message, "")
