"""Delimited text: delimiter, header, comments and decimal sign are detected from the first lines."""

import numpy as np
import pandas as pd
import pytest

from spacex.io._text_tables import read_header, read_text_table, typed


@pytest.mark.parametrize(
    ("text", "delimiter", "names", "decimal"),
    [
        ("a,b\n1,2\n", ",", ["a", "b"], "."),
        ("a\tb c\n1\t2,5\n", "\t", ["a", "b c"], ","),
        ("a;b;c\ns;1,5;2\n", ";", ["a", "b", "c"], ","),
        ("a;b\ns;1,5\nt;2,5\n", ";", ["a", "b"], ","),  # with the comma, the header would lack a field
        ("a;b\ns;1.5\n", ";", ["a", "b"], "."),
        ("a b\nr 1 2\n", " ", ["", "a", "b"], "."),
        ('"a","b"\n"r",1,2\n', ",", ["", "a", "b"], "."),
        ("a   b\n1 2\n", r"\s+", ["a", "b"], "."),
        ("#DGE\tv:1\n#more\n\nGENE\tx\ny\t1\n", "\t", ["GENE", "x"], "."),
        ("#barcode,x,y\ns,1,2\n", ",", ["barcode", "x", "y"], "."),
        ("# a\n5 3\ng 2 7\nh 7 7\n", " ", ["", "5", "3"], "."),  # a comment, above a header of numbers
        ("\ufeffa,b\n1,2\n", ",", ["a", "b"], "."),
        ("a,b\r\n1,2\r\n", ",", ["a", "b"], "."),
        ('a,"b,c"\n1,2\n', ",", ["a", "b,c"], "."),
    ],
)
def test_format_of_a_table(tmp_path, text, delimiter, names, decimal):
    path = tmp_path / "table.txt"
    path.write_bytes(text.encode())
    header = read_header(path)
    assert (header.delimiter, header.names, header.decimal) == (delimiter, names, decimal)
    table = read_text_table(path, header, "table")
    assert [tuple(row) for row in table.to_numpy()] == [tuple(row) for row in header.rows]


def test_repeated_and_missing_column_names(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(",a,a,\n1,2,3,4\n")
    assert list(read_text_table(path, read_header(path), "table")) == ["", "a", "a.1", ".1"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", " 2", ""], [1, 2, np.nan]),
        (["1.5", "NA", "-2e3"], [1.5, np.nan, -2000]),
        (["TRUE", "False", "true"], [True, False, True]),
        (["TRUE", "", "true"], ["TRUE", np.nan, "true"]),
        (["a", "7", "NA"], ["a", "7", np.nan]),
        ([b"a", b"b", b"a"], ["a", "b", "a"]),
        ([], []),
    ],
)
def test_column_types(values, expected):
    index = range(5, 5 + len(values))
    column = typed(pd.Series(values, index=index, dtype=object))
    pd.testing.assert_series_equal(column, pd.Series(expected, index=index), check_dtype=False, check_index_type=False)


def test_decimal_commas():
    assert typed(pd.Series(["1,5", "2", "-0,25"]), ",").tolist() == [1.5, 2, -0.25]
    assert typed(pd.Series(["1,5", "2"])).tolist() == ["1,5", "2"]
