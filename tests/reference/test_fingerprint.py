"""A reference recognizes a section that it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.conftest import simulate

import spacex as sx
from spacex.reference.fingerprint import MIN_SHARED, fingerprint, is_same_section


def counts_and_genes(adata: AnnData) -> tuple[sp.csc_array, np.ndarray]:
    return sp.csc_array(adata.X), adata.var_names.to_numpy().astype(object)


@pytest.fixture(scope="module")
def section() -> AnnData:
    return simulate(0)


@given(seed=st.integers(0, 1000), part=st.floats(0.3, 1.0))
def test_part_of_a_section_in_any_order_is_recognized(section: AnnData, seed: int, part: float) -> None:
    rng = np.random.default_rng(seed)
    text = fingerprint(*counts_and_genes(section))
    spots = rng.permutation(section.n_obs)[: int(part * section.n_obs)]
    total = np.asarray(section.X.sum(axis=0)).ravel()
    frequent = np.argsort(-total)[: section.n_vars // 2]
    genes = rng.permutation(frequent)
    assert is_same_section(text, *counts_and_genes(section[spots][:, genes]))


def test_one_removed_gene_leaves_sets_without_it(section: AnnData) -> None:
    text = fingerprint(*counts_and_genes(section))
    total = np.asarray(section.X.sum(axis=0)).ravel()
    assert is_same_section(text, *counts_and_genes(section[:, np.arange(section.n_vars) != total.argmax()]))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_sections_are_not_recognized(section: AnnData, seed: int) -> None:
    assert not is_same_section(fingerprint(*counts_and_genes(section)), *counts_and_genes(simulate(seed)))


def test_an_independent_half_of_the_counts_is_not_recognized(section: AnnData) -> None:
    half = section.copy()
    half.X = sp.csr_matrix(np.random.default_rng(0).binomial(section.X.toarray().astype(int), 0.5).astype(np.float32))
    assert not is_same_section(fingerprint(*counts_and_genes(section)), *counts_and_genes(half))


def test_sections_with_few_counts_have_no_fingerprint(section: AnnData) -> None:
    few = section[: MIN_SHARED - 1]
    assert fingerprint(*counts_and_genes(few)) == ""
    assert not is_same_section("", *counts_and_genes(few))


def test_mitochondrial_and_ribosomal_genes_are_not_used(section: AnnData) -> None:
    renamed = section.copy()
    total = np.asarray(section.X.sum(axis=0)).ravel()
    names = renamed.var_names.to_numpy().astype(object)
    names[np.argsort(-total)[:3]] = ["MT-CO1", "RPS3", "Rpl13a"]
    renamed.var_names = names
    text = fingerprint(*counts_and_genes(renamed))
    assert not any(name in text for name in ("MT-CO1", "RPS3", "Rpl13a"))


def test_fingerprints_survive_files(section: AnnData, tmp_path: Path) -> None:
    reference = sx.Reference.fit({"first": section}, progress=False)
    reference.save(tmp_path / "reference.safetensors")
    loaded = sx.Reference.load(tmp_path / "reference.safetensors")
    assert loaded.without_section(*counts_and_genes(section))[1] == ["first"]
    assert "fingerprint" not in loaded.sections


def test_the_group_of_the_section_is_left_out(sections: dict[str, AnnData], reference: sx.Reference) -> None:
    rest, same = reference.without_section(*counts_and_genes(sections["a1"]))
    assert same == ["a1"]
    assert rest.sections["name"].tolist() == ["c"]
    assert rest.groups == ["liver, visium"]
    unchanged, none = reference.without_section(*counts_and_genes(simulate(11)))
    assert none == []
    assert unchanged is reference
