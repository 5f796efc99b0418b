"""Matching of spot names: the column and the spelling."""

import numpy as np
import pytest

from spacex import InputError
from spacex.io._identifier_columns import OTHER, STRONG, WEAK, find_identifier_column, is_row_name_column, name_class
from spacex.io._name_matching import Names, as_text, match_names


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, 2], ["1", "2"]),
        (np.array([1.0, 2.0]), ["1", "2"]),
        (np.array([1.5, np.nan]), ["1.5", ""]),
        ([b"a ", " b"], ["a", "b"]),
        ([None, 1057000000000000001], ["", "1057000000000000001"]),
    ],
)
def test_names_as_text(values, text):
    assert as_text(values).tolist() == text


@pytest.mark.parametrize(
    ("query", "target", "row"),
    [
        (["b", "a", "z"], ["a", "b", "c"], [1, 0, -1]),
        (["", "a"], ["", "a"], [-1, 1]),  # an empty name matches nothing
        (["7", "8"], ["8.0", "07"], [1, 0]),
        (["1", "100000"], ["1e+05", "1"], [1, 0]),
        (["1057000000000000001"], ["1.057e18"], [-1]),  # too many digits for a float
        (["7", "7.0"], ["07", "8"], [-1, -1]),  # distinct names must stay distinct
        (["X1.2", "AAAC.1"], ["AAAC-1", "1-2"], [1, 0]),
        (["A-1", "A.1"], ["A_1", "A/1"], [-1, -1]),
        (["s_a", "s_b"], ["b", "a"], [1, 0]),
        (["a", "b"], ["p:s_b", "p:s_a"], [1, 0]),
        (["a-1", "b-1"], ["b", "a"], [1, 0]),
        (["a-1_2", "b-1_2"], ["b-1", "a-1"], [1, 0]),
        (["s_a", "s_b"], ["b-1", "a-1"], [1, 0]),
        (["s_a", "s_b"], ["b_t", "a_t"], [-1, -1]),  # the samples s and t
        (["s_a", "s_b"], ["t_b", "t_a"], [-1, -1]),
        (["a-1", "b-1"], ["b-2", "a-2"], [-1, -1]),
        (["1.5", "1.7"], ["7", "5"], [-1, -1]),
        (["-5", "-7"], ["7", "5"], [-1, -1]),
        (["P_S_a-1", "P_S_b-1"], ["S_b-1", "S_a-1"], [1, 0]),
        (["S_a-1", "S_b-1"], ["b-1_T", "a-1_T"], [-1, -1]),
        (["a-1", "b-1", "c-1"], ["A_a-1", "B_b-1", "A_c-1"], [-1, -1, -1]),
    ],
)
def test_spellings(query, target, row):
    assert match_names(Names(query), Names(target)).row.tolist() == row


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, STRONG) for name in ("barcode", "Cell ID", "cell_id", "EntityID", "beadBarcode")),
        *((name, WEAK) for name in ("id", "my_cells_id", "sample_barcode", "Object name", "gene")),
        *((name, OTHER) for name in ("", "x_centroid", "fluid", "n_counts", "cells_per_area", "Unnamed: 0")),
    ],
)
def test_name_classes(name, kind):
    assert name_class(name) == kind
    assert is_row_name_column(name) == (name in ("", "Unnamed: 0"))


def column(columns, names, **options):
    named = {name: Names(values) for name, values in columns.items()}
    match = find_identifier_column(named, Names(names), "spots.csv", **options)
    return None if match is None else (match.column, match.match.row.tolist())


def test_usual_name_is_preferred():
    columns = {"": ["1", "2", "3"], "rank": ["2", "1", "3"], "cell_id": ["3", "1", "2"]}
    assert column(columns, ["1", "2", "3"]) == ("cell_id", [1, 2, 0])


def test_disagreeing_columns_raise():
    for other in ("", "rank", "weight"):
        with pytest.raises(InputError, match="disagree"):
            column({"segment": ["3", "1", "2"], other: ["1", "2", "3"]}, ["1", "2", "3"])
    equal = {"segment": ["3", "1", "2"], "copy": ["3", "1", "2"], "": ["3", "1", "2"]}
    assert column(equal, ["1", "2", "3"]) == ("segment", [1, 2, 0])


def test_literal_match_is_preferred():
    columns = {"spot": ["1", "2", "3"], "cell_id": ["c_3", "c_1", "c_2"]}
    assert column(columns, ["c_1", "c_2", "c_3"]) == ("cell_id", [1, 2, 0])


def test_numbers_match_prefixed_names_only_in_identifier_columns():
    names = ["cell_1", "cell_2", "cell_3"]
    assert column({"rank": ["2", "1", "3"]}, names) is None
    assert column({"": ["2", "1", "3"]}, names) is None
    assert column({"cell": ["2", "1", "3"]}, names) == ("cell", [1, 0, 2])


def test_columns_with_few_of_the_names():
    names = ["a", "b", "c", "d", "e"]
    assert column({"note": ["a", "b", "x"]}, names) is None
    assert column({"barcode": ["a", "b", "x"]}, names) == ("barcode", [0, 1, -1, -1, -1])
    assert column({"barcode": ["a", "b", "x"]}, names, exact_only=True) is None
    assert column({"barcode": ["a", "a", "b"], "note": ["a", "a", "b"]}, ["a", "b"])[0] == "barcode"


def test_names_in_reverse_order_are_matched_among_other_columns():
    names = [f"cell_{i:06}-1" for i in range(1000)]
    columns = {f"column{i}": [str(i)] * len(names) for i in range(10)} | {"barcode": names[::-1]}
    assert column(columns, names) == ("barcode", list(range(999, -1, -1)))
