"""Look-up of genes by exact name, by symbol and in any case; ambiguous names raise, and the order does not matter."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacex import InputError
from spacex.gene_names import AMBIGUOUS, SYMBOL_COLUMNS, UNKNOWN, GeneNames, is_ensembl_id, normalize_name

IDS = ["ENSG00000197971.14", "ENSG00000123560.13", "ENSG00000015479.19", "ENSG00000280987.4", "ENSG00000237491"]
SYMBOLS = ["MBP", "PLP1", "MATR3", "MATR3", None]


def genes(names: object, **columns: object) -> GeneNames:
    return GeneNames.from_table(pd.DataFrame(columns, index=pd.Index(names)))


@pytest.fixture
def human() -> GeneNames:
    return genes(IDS, feature_name=SYMBOLS)


# -- look-up -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("ENSG00000197971.14", 0),
        ("ENSG00000197971", 0),
        ("ENSG00000197971.3", 0),
        ("ensg00000197971", 0),
        ("MBP", 0),
        ("mbp", 0),
        ("Plp1", 1),
        ("ENSG00000237491", 4),
        ("ENSG00000237491.2", 4),
    ],
)
def test_look_up_by_name_symbol_and_identifier(human: GeneNames, query: str, number: int) -> None:
    assert human.index(query) == number
    assert human.indices([query, "nobody"]).tolist() == [number, UNKNOWN]


@pytest.mark.parametrize("query", ["MATR3", "matr3"])
def test_an_ambiguous_symbol_lists_the_choice(human: GeneNames, query: str) -> None:
    with pytest.raises(InputError, match=f"'{query}' is ambiguous.* 2 genes.*{IDS[2]}, {IDS[3]}"):
        human.index(query)
    assert human.indices([query]).tolist() == [AMBIGUOUS]
    assert human.genes_with_symbol(query) == [2, 3]
    assert human.index(IDS[3]) == 3


def test_an_unknown_name_is_met_with_near_symbols(human: GeneNames) -> None:
    with pytest.raises(InputError, match=r"'PLP2' is not among the 5 genes.*close to it: PLP1"):
        human.index("PLP2")
    with pytest.raises(InputError, match=r"'ENSG00000197979' is not.*close to it: .*ENSG00000197971"):
        human.index("ENSG00000197979")


def test_names_that_repeat_cannot_be_chosen_by_name() -> None:
    with pytest.raises(InputError, match=r"'A' is the name of 2 genes; call adata.var_names_make_unique\(\)"):
        genes(["A", "A", "B"]).index("A")
    with pytest.raises(InputError, match=r"'A' is the name of 2 genes.*make_unique"):
        genes(["A", "A", "B"], symbol=["x", "x", "y"]).index("X")


def test_an_exact_name_comes_before_a_symbol_and_a_symbol_before_another_case() -> None:
    crossed = genes(["A", "B", "C"], symbol=["B", "C", "c"])
    assert [crossed.index(name) for name in ("A", "B", "C", "c", "a")] == [0, 1, 2, 2, 0]
    assert genes(["mbp", "x"], symbol=["y", "MBP"]).index("MBP") == 1


def test_a_gene_set_takes_all_genes_of_a_symbol() -> None:
    made_unique = genes(["TBCE", "TBCE-1", "x"], feature_name=["TBCE", "TBCE", "tbce"])
    assert made_unique.index("TBCE") == 0
    assert made_unique.genes_with_symbol("TBCE") == [0, 1]
    assert made_unique.genes_with_symbol("TBCE-1") == [1]
    assert made_unique.genes_with_symbol("nobody") == []
    assert genes(IDS, symbol=["X"] * 5).genes_with_symbol(IDS[1]) == [1]


def test_numbers_are_names() -> None:
    entrez = genes([4155, 5354], gene_symbol=["MBP", "PLP1"])
    assert [entrez.index(name) for name in (4155, np.int64(4155), "4155", "MBP")] == [0, 0, 0, 0]
    assert entrez.labels.tolist() == ["MBP", "PLP1"]
    assert entrez.names.tolist() == ["4155", "5354"]


# -- columns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", [*SYMBOL_COLUMNS, "Gene_Symbol", "SYMBOL", "Feature Name", "geneNames"])
def test_symbols_stand_in_columns_of_many_names(column: str) -> None:
    assert genes(IDS, **{column: SYMBOLS}).symbols.tolist() == ["MBP", "PLP1", "MATR3", "MATR3", IDS[4]]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(SYMBOLS, dtype=object),
        pd.Series(SYMBOLS, dtype="string"),
        pd.Series(SYMBOLS, dtype="category"),
        pd.Series(["MBP", "PLP1", "MATR3", "MATR3", np.nan], dtype=object),
        pd.Series(["MBP", "PLP1", "MATR3", "MATR3", pd.NA], dtype=object),
        pd.Series([*SYMBOLS[:4], "nan"]),
        pd.Series([*SYMBOLS[:4], "None"], dtype="category"),
        pd.Series([*SYMBOLS[:4], " "]),
        pd.Series([b"MBP", b"PLP1", b"MATR3", b"MATR3", b""], dtype=object),
        pd.Series(["MBP ", " PLP1", "MATR3", "MATR3", ""]),
        pd.Series(["MBP", "PLP1", "MATR3", f"MATR3_{IDS[3]}", IDS[4]]),
    ],
)
def test_symbols_of_any_type_and_missing_ones(values: pd.Series) -> None:
    gene_names = genes(IDS, symbol=values.to_numpy() if values.dtype == object else values.set_axis(IDS))
    assert gene_names.symbols.tolist() == ["MBP", "PLP1", "MATR3", "MATR3", IDS[4]]
    assert gene_names.labels.tolist() == ["MBP", "PLP1", f"MATR3 ({IDS[2]})", f"MATR3 ({IDS[3]})", IDS[4]]
    assert gene_names.has_symbols


def test_columns_that_hold_no_symbols_are_no_labels() -> None:
    names = ["MBP", "PLP1"]
    for column, values in (
        ("feature_name", ["ENSG00000197971", "ENSG00000123560"]),
        ("gene_ids", ["ENSG00000197971", "ENSG00000123560"]),
        ("gene_name", ["myelin basic protein", "proteolipid protein 1"]),
        ("features", [3, 5]),
        ("symbol", [True, False]),
        ("symbol", [None, None]),
        ("symbol", names),
    ):
        gene_names = genes(names, **{column: values})
        assert not gene_names.has_symbols, column
        assert gene_names.labels.tolist() == names
    both = genes(IDS[:2], features=IDS[:2], gene_name=["MBP", "PLP1"])
    assert both.labels.tolist() == ["MBP", "PLP1"]
    few = genes(IDS[:3], gene_symbol=["MBP", None, None], feature_name=["MBP", "PLP1", "MATR3"])
    assert few.labels.tolist() == ["MBP", "PLP1", "MATR3"]


def test_identifiers_beside_symbols_are_names_too_but_positions_are_not() -> None:
    assert genes(["MBP", "PLP1"], gene_ids=["ENSG00000197971", "ENSG00000123560"]).index("ENSG00000123560.7") == 1
    assert genes(["MBP", "PLP1"], gene_ids=["1", "0"]).indices(["0", "1"]).tolist() == [UNKNOWN, UNKNOWN]


def test_tables_get_symbols_where_they_differ() -> None:
    table = pd.DataFrame({"gene": [IDS[1], "nobody"]})
    assert genes(IDS).with_symbols(table, symbol=np.array([1, -1])) is table
    labeled = genes(IDS, symbol=SYMBOLS).with_symbols(table, symbol=np.array([1, -1]))
    assert labeled["symbol"].tolist() == ["PLP1", ""]
    assert list(labeled.columns) == ["gene", "symbol"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ENSG00000197971.14", True),
        ("ENSMUSG00000041607", True),
        ("ensdarg00000036186", True),
        ("ENSA", False),
        ("ENSAP1", False),
        ("ENSG00000002586.20_PAR_Y", False),
        ("AC010608.1", False),
        ("", False),
    ],
)
def test_identifiers_of_ensembl_are_told_from_symbols(name: str, expected: bool) -> None:
    assert is_ensembl_id(name) is expected
    assert normalize_name(f"{name}x") == f"{name}x".upper()


def test_36000_genes_take_little_time() -> None:
    names = [f"ENSG{i:011d}.{i % 20}" for i in range(36_000)]
    var = pd.DataFrame({"feature_name": pd.Categorical([f"GENE{i % 35_000}" for i in range(36_000)])}, index=names)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        assert GeneNames.from_table(var).index("GENE20000") == 20_000
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.1


# -- invariants --------------------------------------------------------------------------------------------

words = st.text("abAB1", min_size=1, max_size=3) | st.sampled_from(["ENSG0001", "ENSG0001.1", "ENSG0001.2", "ENSG0002"])


@st.composite
def sections(draw: st.DrawFn) -> GeneNames:
    names = draw(st.lists(words, min_size=1, max_size=8, unique=True))
    symbols = draw(st.lists(words | st.none(), min_size=len(names), max_size=len(names)))
    ids = draw(st.lists(words | st.none(), min_size=len(names), max_size=len(names)))
    return genes(names, symbol=pd.Series(symbols, dtype=object).to_numpy(), gene_ids=np.array(ids, dtype=object))


@given(sections(), words)
def test_the_exact_name_wins(section: GeneNames, query: str) -> None:
    assert section.indices(section.names).tolist() == list(range(len(section)))
    meant = section.matches(query)
    exact = np.flatnonzero(section.names == query).tolist()
    symbol = np.flatnonzero(section.symbols == query).tolist()
    assert meant == exact or (not exact and (meant == symbol or not symbol))
    if meant:
        for i in meant:
            texts = (section.names[i], section.symbols[i], *(alias[i] for alias in section.aliases))
            assert normalize_name(query) in map(normalize_name, texts)
        assert set(meant) <= set(section.genes_with_symbol(query))


@given(sections(), words, st.randoms(use_true_random=False))
def test_the_order_of_genes_does_not_matter(section: GeneNames, query: str, random: object) -> None:
    order = np.arange(len(section))
    random.shuffle(order)  # type: ignore[attr-defined]
    turned = section.take(order)
    for look in (GeneNames.matches, GeneNames.genes_with_symbol):
        assert {section.names[i] for i in look(section, query)} == {turned.names[i] for i in look(turned, query)}
    assert section.labels[order].tolist() == turned.labels.tolist()


@given(sections())
def test_ambiguity_is_symmetric_and_a_label_that_is_a_symbol_means_its_gene(section: GeneNames) -> None:
    for gene, label in enumerate(section.labels):
        symbol, name = section.symbols[gene], section.names[gene]
        if label == f"{symbol} ({name})":
            # an ambiguous symbol identifies none of its genes
            assert section.matches(symbol) != [gene]
        else:
            assert section.index(label) == gene
    for symbol in section.symbols:
        meant = section.matches(symbol)
        assert all(section.symbols[gene] == symbol for gene in meant) or symbol in section.names


def test_new_names_replace_all_others() -> None:
    renamed = genes(IDS, symbol=SYMBOLS).rename({"MBP": "Mbp", IDS[1]: "Plp1"})
    assert renamed.names.tolist()[:3] == ["Mbp", "Plp1", IDS[2]]
    assert renamed.indices(["Plp1", IDS[1], "MATR3"]).tolist() == [1, UNKNOWN, AMBIGUOUS]
