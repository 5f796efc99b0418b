"""`Reference`: fit, update, planted truth, look-up of genes."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.reference.conftest import N_MODULES, simulate

import spacex as sx
from spacex.stats import l2_normalize


def fit(sections, **arguments):
    return sx.Reference.fit(sections, progress=False, **arguments)


def cosines(reference):
    direction = l2_normalize(reference.vectors)
    return direction @ direction.T


# -- contents ----------------------------------------------------------------------------------------------


def test_attributes_describe_the_sections(reference, sections):
    genes = set().union(*(adata.var_names for adata in sections.values()))
    assert set(reference.genes) <= genes
    assert len(reference.genes) > 0.9 * len(genes)
    assert list(reference.genes) == sorted(reference.genes)
    assert reference.species == "human"
    assert reference.groups == ["brain, visium", "liver, visium"]
    assert reference.vectors.shape[0] == len(reference.genes)
    assert reference.vectors.dtype == np.float32
    table = reference.sections
    assert table["name"].tolist() == ["a1", "a2", "b", "c"]
    assert table["group"].tolist() == ["a", "a", "b", ""]
    assert (table["n_spots"] == 300).all()
    assert table["n_genes"].between(100, 150).all()
    assert (table["licence"] == "CC0").all()
    assert repr(reference) == f"Reference(human, {len(reference.genes)} genes, 4 sections in 2 groups)"


def test_dimensions_are_limited(sections):
    small = fit(sections, n_dims=5)
    assert small.vectors.shape == (len(small.genes), 5)


def test_genes_of_a_module_are_near(reference):
    module = np.array([gene[:4] if gene.startswith("MOD") else "" for gene in reference.genes])
    assert len(set(module)) == N_MODULES + 1
    similarity = cosines(reference)
    in_module = module != ""
    same = (module[:, None] == module) & in_module[:, None] & ~np.eye(len(module), dtype=bool)
    other = (module[:, None] != module) & in_module[:, None]
    assert similarity[same].mean() > similarity[other].mean() + 0.3
    gene = "MODA3"
    nearest = reference.similar_genes(gene, n=5)["gene"]
    assert sum(name.startswith("MODA") for name in nearest) >= 4


def test_each_donor_counts_once(reference):
    knowledge = reference.gene("MODA1")
    assert knowledge.symbol == "MODA1"
    table = knowledge.groups.set_index("group")
    assert table["n_sections"].tolist() == [3, 1]
    assert table["weight"].tolist() == [2, 1]
    assert table["norm"].between(0.3, 1.3).all()
    assert len(knowledge.similar) == 10


def test_the_reference_is_not_modified_through_its_attributes(reference):
    digest = reference.state.digest()
    reference.genes[:] = "X"
    reference.sections["name"] = "x"
    with pytest.raises(ValueError, match="read-only"):
        reference.vectors[:] = 0
    with pytest.raises(AttributeError):
        reference.state = None
    assert reference.state.digest() == digest


# -- determinism -------------------------------------------------------------------------------------------


def test_the_order_of_sections_does_not_matter(reference, sections, tmp_path):
    reverse = fit(dict(reversed(sections.items())))
    assert reverse.digest == reference.digest
    for name, value in (("first", reference), ("second", reverse)):
        value.save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert_array_equal(reverse.vectors, reference.vectors)


def test_the_order_of_genes_does_not_matter(sections):
    adata = sections["b"]
    assert fit({"b": adata}).digest == fit({"b": adata[:, ::-1].copy()}).digest


@pytest.mark.slow
def test_the_number_of_workers_does_not_matter(reference, sections):
    assert fit(sections, n_workers=2).digest == reference.digest


@pytest.mark.slow
def test_the_number_of_threads_does_not_matter(reference, sections, tmp_path):
    paths = [str(tmp_path / f"{name}.h5ad") for name in sections]
    for path, adata in zip(paths, sections.values(), strict=True):
        adata.write_h5ad(path)
    code = f"import spacex as sx; print(sx.Reference.fit({paths!r}, progress=False).digest)"
    environment = os.environ | {f"{name}_NUM_THREADS": "2" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == reference.digest


def test_the_seed_matters(sections):
    first, second = (fit({"b": sections["b"]}, seed=seed) for seed in (0, 1))
    assert first.digest != second.digest
    assert second.seed == 1


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_the_input_is_unchanged(sections):
    for adata in sections.values():
        adata.var_names = [*adata.var_names[:-1], adata.var_names[0]]  # a repeated name
    before = {name: adata.copy() for name, adata in sections.items()}
    fit(sections)
    for name, adata in sections.items():
        assert set(adata.uns) == set(before[name].uns)
        assert list(adata.obsm) == list(before[name].obsm)
        assert (adata.X != before[name].X).nnz == 0
        pd.testing.assert_frame_equal(adata.obs, before[name].obs)
        pd.testing.assert_frame_equal(adata.var, before[name].var)


# -- update ------------------------------------------------------------------------------------------------


def test_update_agrees_with_a_fit_to_all_sections(reference, sections):
    first = fit({name: sections[name] for name in ("b", "c")})
    digest, genes = first.digest, first.genes
    updated = first.update({name: sections[name] for name in ("a1", "a2")}, progress=False)
    assert first.state.digest() == digest
    assert_array_equal(first.genes, genes)
    assert_array_equal(updated.genes, reference.genes)
    assert updated.sections["name"].tolist() == ["b", "c", "a1", "a2"]
    assert_allclose(cosines(updated), cosines(reference), atol=0.2)
    assert np.corrcoef(cosines(updated).ravel(), cosines(reference).ravel())[0, 1] > 0.995


def test_update_keeps_the_weight_of_an_earlier_donor(sections):
    updated = fit({"a1": sections["a1"]}).update({"a2": sections["a2"]}, progress=False)
    assert updated.gene("MODA1").groups["weight"].tolist() == [1.5]


def test_update_rejects_known_names_and_other_species(reference, sections):
    with pytest.raises(sx.InputError, match="'a1' is in this reference"):
        reference.update({"a1": sections["a1"]}, progress=False)
    mouse = sections["b"]
    mouse.var_names = mouse.var_names.str.capitalize()
    with pytest.raises(sx.InputError, match=r"human: a1, a2, b, c; mouse: d"):
        reference.update({"d": mouse}, progress=False)


# -- look-up -----------------------------------------------------------------------------------------------


def test_group_vectors_are_aligned(reference):
    brain, liver = reference.group_vectors(["nothing", "moda1", "MODA1"])
    for vectors, group in ((brain, reference.state.groups[0]), (liver, reference.state.groups[1])):
        assert not vectors[0].any()
        assert_array_equal(vectors[1], vectors[2])
        row = list(reference.genes).index("MODA1")
        assert_array_equal(vectors[2], group.vectors()[row])
    assert [vectors.shape[0] for vectors in reference.group_vectors([])] == [0, 0]


def test_genes_that_a_group_lacks_are_zero(sections):
    panel = simulate(5, tissue="heart")[:, :80].copy()
    combined = fit({"b": sections["b"], "panel": panel})
    missing = next(gene for gene in combined.genes if gene not in panel.var_names)
    brain, heart = combined.group_vectors([missing])
    assert brain.any()
    assert not heart.any()
    assert combined.gene(missing).groups["n_sections"].tolist() == [1, 0]


@pytest.mark.parametrize("method", ["gene", "similar_genes"])
def test_unknown_genes_raise_with_suggestions(reference, method):
    with pytest.raises(sx.InputError, match=r"'MODA99'.*of this reference; close to it: MODA9"):
        getattr(reference, method)("MODA99")


@pytest.mark.parametrize(
    "arguments", [{"n_dims": 0}, {"seed": -1}, {"n_workers": 0}, {"progress": "yes"}, {"library_key": []}]
)
def test_invalid_arguments_are_named(arguments, sections):
    with pytest.raises(sx.InputError, match=next(iter(arguments))):
        sx.Reference.fit(sections, **{"progress": False, **arguments})
