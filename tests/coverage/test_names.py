"""Names: the same gene is found however it is written, and two species are not mixed."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacex import InputError
from spacex.coverage import find, shared
from spacex.coverage.names import FEWEST_SHARED, species_of

MOUSE = [f"Gene{i}" for i in range(40)]


@given(st.permutations(range(30)), st.integers(0, 2**32 - 1))
def test_pairs_are_the_same_gene(order, seed):
    rng = np.random.default_rng(seed)
    reference = [MOUSE[i] for i in order]
    target = [name.upper() if rng.random() < 0.5 else name for name in MOUSE[5:25]]
    t, r = shared(target, reference)
    assert list(t) == list(range(20))
    assert [reference[i] for i in r] == MOUSE[5:25]


def test_a_name_as_written_comes_before_one_in_another_case():
    reference = ["GENE3", *MOUSE]
    t, r = shared(MOUSE[:20], reference)
    assert [reference[i] for i in r] == [MOUSE[i] for i in t]


def test_names_that_repeat_but_for_case_are_used_once(caplog):
    with caplog.at_level(logging.WARNING, logger="spacex"):
        t, r = shared(["GENE3", *MOUSE[:20]], MOUSE)
    assert len(set(r)) == len(r) == 20
    assert "repeat another" in caplog.text
    assert len(t) == 20


def test_too_few_shared_genes():
    with pytest.raises(InputError, match=r"share 9 gene.*at least 10.*orthologs"):
        shared(MOUSE[: FEWEST_SHARED - 1], MOUSE)


def test_two_species():
    human = [*(name.upper() for name in MOUSE), "HLA-A", "HLA-B", "LINC00115", "C1orf159"]
    mouse = [*MOUSE, "Gm10800", "2010107E04Rik", "H2-K1", "Gm42418"]
    for target, reference in ((human, mouse), (mouse, human), (MOUSE, human)):
        with pytest.raises(InputError, match="orthologs"):
            shared(target, reference)
    assert species_of(human) == "human"
    assert species_of([name.upper() for name in mouse]) == "mouse"
    assert species_of(MOUSE) is None


def test_upper_case_panel_of_a_mouse_is_matched_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="spacex"):
        t, _ = shared([name.upper() for name in MOUSE], [*MOUSE, "Gm10800", "2010107E04Rik", "Gm42418"])
    assert len(t) == 40
    assert "without regard to case" in caplog.text


def test_find_names_what_is_lost():
    assert list(find(["gene3", "Gene1"], MOUSE)) == [3, 1]
    with pytest.raises(InputError, match=r"1 of genes.*'Gene99'.*close to it: Gene"):
        find(["Gene1", "Gene99"], MOUSE)
