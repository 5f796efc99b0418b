"""Genes of a target and a reference are matched under any naming scheme, and two species raise."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_gene_names import sections

from spacex import InputError
from spacex.gene_names import GeneNames
from spacex.imputation import find_requested_genes, match_genes, shared_genes, shares_name
from spacex.imputation.matching import MIN_SHARED_GENES, species_of

MOUSE = [f"Gene{i}" for i in range(40)]


def genes(names: list[str], **columns: list[str]) -> GeneNames:
    return GeneNames.from_table(pd.DataFrame(columns, index=names))


@given(st.permutations(range(30)), st.integers(0, 2**32 - 1))
def test_matched_genes_are_the_same_gene(order, seed):
    rng = np.random.default_rng(seed)
    reference = [MOUSE[i] for i in order]
    target = [name.upper() if rng.random() < 0.5 else name for name in MOUSE[5:25]]
    t, r = shared_genes(genes(target), genes(reference))
    assert list(t) == list(range(20))
    assert [reference[i] for i in r] == MOUSE[5:25]


def test_exact_names_precede_case_insensitive_matches():
    reference = ["GENE3", *MOUSE]
    t, r = shared_genes(genes(MOUSE[:20]), genes(reference))
    assert [reference[i] for i in r] == [MOUSE[i] for i in t]


def test_names_repeated_in_another_case_are_matched_once(caplog):
    with caplog.at_level(logging.WARNING, logger="spacex"):
        t, r = shared_genes(genes(["GENE3", *MOUSE[:20]]), genes(MOUSE))
    assert len(set(r)) == len(r) == 20
    assert "repeat another" in caplog.text
    assert len(t) == 20


def test_too_few_shared_genes_raise():
    with pytest.raises(InputError, match=r"share 9 gene.*at least 10.*orthologs"):
        shared_genes(genes(MOUSE[: MIN_SHARED_GENES - 1]), genes(MOUSE))


def test_two_species_raise():
    human = [*(name.upper() for name in MOUSE), "HLA-A", "HLA-B", "LINC00115", "C1orf159"]
    mouse = [*MOUSE, "Gm10800", "2010107E04Rik", "H2-K1", "Gm42418"]
    for target, reference in ((human, mouse), (mouse, human), (MOUSE, human)):
        with pytest.raises(InputError, match="orthologs"):
            shared_genes(genes(target), genes(reference))
    assert species_of(genes(human)) == "human"
    assert species_of(genes([name.upper() for name in mouse])) == "mouse"
    assert species_of(genes(MOUSE)) is None


def test_upper_case_mouse_panel_is_matched_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="spacex"):
        t, _ = shared_genes(
            genes([name.upper() for name in MOUSE]), genes([*MOUSE, "Gm10800", "2010107E04Rik", "Gm42418"])
        )
    assert len(t) == 40
    assert "if case is ignored" in caplog.text


def test_unknown_repeated_and_ambiguous_requests(caplog):
    numbers, names = find_requested_genes(["gene3", "Gene1"], genes(MOUSE))
    assert numbers.tolist() == [3, 1]
    assert names == ["gene3", "Gene1"]
    with pytest.raises(InputError, match=r"1 of genes.*'Gene99'.*close to it: Gene"):
        find_requested_genes(["Gene1", "Gene99"], genes(MOUSE))
    with pytest.raises(InputError, match=r"1 of genes occur more than once.*'gene1'"):
        find_requested_genes(["Gene1", "gene1"], genes(MOUSE))
    twins = genes(["id1", "id2", "id3"], symbol=["A", "A", "B"])
    with caplog.at_level(logging.WARNING, logger="spacex"):
        numbers, names = find_requested_genes(["A", "B"], twins)
    assert numbers.tolist() == [2]
    assert names == ["B"]
    assert "1 are ambiguous in the reference and omitted: A" in caplog.text
    with pytest.raises(InputError, match=r"'A' is ambiguous.*id1, id2"):
        find_requested_genes(["A"], twins)


HUMAN = [name.upper() for name in MOUSE]
HUMAN_IDS = [f"ENSG{i:011d}" for i in range(40)]
MOUSE_IDS = [f"ENSMUSG{i:011d}" for i in range(40)]


@pytest.mark.parametrize(
    ("target", "reference"),
    [
        (genes(HUMAN_IDS, feature_name=HUMAN), genes(HUMAN)),
        (genes(HUMAN), genes(HUMAN_IDS, gene_symbol=HUMAN)),
        (genes(HUMAN, gene_ids=HUMAN_IDS), genes(HUMAN_IDS)),
        (genes(HUMAN_IDS), genes([f"{name}.{i}" for i, name in enumerate(HUMAN_IDS)])),
        (genes(HUMAN_IDS, feature_name=HUMAN), genes(HUMAN_IDS)),
    ],
    ids=["ids, symbols", "symbols, ids", "symbols with ids, ids", "ids, versions", "ids with symbols, ids"],
)
def test_identifiers_match_symbols(target, reference):
    t, r = shared_genes(target, reference)
    assert list(t) == list(r) == list(range(40))


def test_species_from_identifiers_and_symbols():
    assert species_of(genes(HUMAN_IDS)) == "human"
    assert species_of(genes(MOUSE_IDS, gene_name=MOUSE)) == "mouse"
    assert species_of(genes(HUMAN, gene_ids=HUMAN_IDS)) == "human"
    for target, reference in (
        (genes(HUMAN_IDS, symbol=HUMAN), genes(MOUSE_IDS, symbol=MOUSE)),
        (genes(HUMAN_IDS, symbol=HUMAN), genes(MOUSE)),
        (genes(HUMAN, gene_ids=HUMAN_IDS), genes(MOUSE_IDS, symbol=MOUSE)),
    ):
        with pytest.raises(InputError, match=r"human genes.*mouse genes.*orthologs"):
            shared_genes(target, reference)


def test_identifiers_without_symbols_raise_with_a_hint():
    with pytest.raises(InputError, match=r"share 0 gene.*var\['gene_symbol'\]"):
        shared_genes(genes(HUMAN_IDS), genes(HUMAN))


def test_ambiguous_symbols_are_omitted_with_a_warning(caplog):
    twice = [*HUMAN[:38], "TWIN", "TWIN"]
    with caplog.at_level(logging.WARNING, logger="spacex"):
        t, r = shared_genes(genes(HUMAN_IDS, feature_name=twice), genes([*HUMAN[:38], "TWIN"]))
    assert list(t) == list(r) == list(range(38))
    assert "2 gene(s) of the target" in caplog.text
    assert "TWIN (ENSG00000000038)" in caplog.text
    assert "1 gene(s) of the reference" in caplog.text


def test_identifiers_distinguish_genes_with_one_symbol():
    twice = [*HUMAN[:38], "TWIN", "TWIN"]
    t, r = shared_genes(genes(HUMAN_IDS, symbol=twice), genes(HUMAN_IDS[::-1], symbol=twice[::-1]))
    assert [HUMAN_IDS[i] for i in t] == [HUMAN_IDS[::-1][i] for i in r]
    assert len(t) == 40


def test_row_numbers_are_not_matched_if_symbols_exist():
    positions = [str(i) for i in range(40)]
    t, r = shared_genes(genes(positions, symbol=HUMAN), genes(positions, symbol=HUMAN[::-1]))
    assert [HUMAN[i] for i in t] == [HUMAN[::-1][i] for i in r]


@given(sections(), sections())
def test_matching_is_symmetric(first: GeneNames, second: GeneNames) -> None:
    a, b = match_genes(first, second)
    d, c = match_genes(second, first)
    assert set(zip(a, b, strict=True)) == set(zip(c, d, strict=True))
    assert len(set(a)) == len(set(b)) == len(a)
    assert shares_name(first, second)[a].all()
    same = {name for name in first.names if name in set(second.names) and not name.isdigit()}
    assert same <= set(first.names[a[first.names[a] == second.names[b]]])


@given(sections(), sections(), st.randoms(use_true_random=False))
def test_matching_does_not_depend_on_gene_order(first: GeneNames, second: GeneNames, random: object) -> None:
    order = np.arange(len(first))
    random.shuffle(order)  # type: ignore[attr-defined]
    a, b = match_genes(first, second)
    permuted, c = match_genes(first.take(order), second)
    assert {*zip(a, b, strict=True)} == {*zip(order[permuted], c, strict=True)}
