"""`tl.compare`: genes and pairs whose context differs between conditions."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import spacex as sx
from spacex._infra.errors import InputError
from spacex.differential import pair_splits

N_SECTIONS = 6


def sections(*, n_swapped: int, seed: int = 0) -> AnnData:
    """Return six flipped and scaled sections of a tissue; in three of them, `n_swapped` genes are swapped in pairs."""
    section = sx.datasets.simulate_section(
        n_genes=240, n_spots=3000, n_modules=6, n_domains=5, technology="st", depth=0.8, seed=seed
    )
    rng = np.random.default_rng(seed)
    module = section.var["module"].to_numpy()
    spatial = rng.permutation(np.flatnonzero(module >= 0))
    swap = np.arange(section.n_vars)
    partners = spatial[: 4 * n_swapped].reshape(-1, 2)
    partners = partners[module[partners[:, 0]] != module[partners[:, 1]]][: n_swapped // 2]
    swap[partners[:, 0]], swap[partners[:, 1]] = partners[:, 1], partners[:, 0]
    section_of_spot = rng.integers(N_SECTIONS, size=section.n_obs)
    parts = {}
    for s in range(N_SECTIONS):
        part = section[section_of_spot == s]
        matrix = part.X[:, swap] if s >= N_SECTIONS // 2 else part.X
        xy = part.obsm["spatial"][:, :: 1 if s % 2 else -1] * (s + 1.0)
        parts[f"s{s}"] = AnnData(sp.csr_matrix(matrix), obsm={"spatial": xy})
        parts[f"s{s}"].var_names = section.var_names
    joined = ad.concat(parts, label="slice", index_unique="-")
    joined.obs["state"] = np.where(joined.obs["slice"].astype(str) < f"s{N_SECTIONS // 2}", "healthy", "ill")
    joined.var["swapped"] = swap != np.arange(section.n_vars)
    return joined


@pytest.fixture(scope="module")
def changed() -> AnnData:
    adata = sections(n_swapped=16)
    sx.tl.embed(adata, library_key="slice", n_modules=6, progress=False)
    return adata


def test_swapped_genes_are_detected(changed: AnnData) -> None:
    before = {key: set(getattr(changed, key)) for key in ("obs", "var", "varm", "obsm", "uns")}
    table = sx.tl.compare(changed, condition_key="state", library_key="slice")
    names = ["context_healthy", "context_ill", "similarity_healthy", "similarity_ill"]
    assert list(table.columns) == ["gene", "partner", "effect", "pvalue", "qvalue", *names]
    genes, pairs = table[table["partner"] == ""], table[table["partner"] != ""]
    assert genes["gene"].is_unique
    swapped = changed.var["swapped"][genes["gene"]].to_numpy()
    hit = (genes["qvalue"] < 0.05).to_numpy()
    assert hit[swapped].mean() >= 0.6
    assert (~swapped)[hit].mean() <= 0.25
    assert (np.diff(genes["pvalue"].dropna()) >= 0).all()
    hits = genes[hit & swapped]
    assert (hits["context_healthy"] != hits["context_ill"]).mean() > 0.8
    has_swapped = changed.var["swapped"][pairs["gene"]].to_numpy() | changed.var["swapped"][pairs["partner"]].to_numpy()
    hit_pairs = (pairs["qvalue"] < 0.05).to_numpy()
    assert hit_pairs.any()
    assert has_swapped[hit_pairs].mean() > 0.8
    np.testing.assert_allclose(pairs["effect"], pairs["similarity_ill"] - pairs["similarity_healthy"], atol=1e-6)
    assert table.attrs == {"labelings": 10, "rank": 1}
    assert before == {key: set(getattr(changed, key)) for key in before}  # nothing is written


def test_equal_conditions_do_not_differ() -> None:
    adata = sections(n_swapped=0, seed=1)
    sx.tl.embed(adata, library_key="slice", n_modules=6, progress=False)
    table = sx.tl.compare(adata, condition_key="state", library_key="slice")
    assert (table["qvalue"] < 0.05).mean() < 0.002
    assert (table["pvalue"] < 0.05).mean() < 0.12


def test_order_of_conditions_only_changes_signs(changed: AnnData) -> None:
    adata = changed.copy()
    first = sx.tl.compare(adata, condition_key="state", library_key="slice")
    adata.obs["state"] = adata.obs["state"].map({"healthy": "z", "ill": "a"})
    second = sx.tl.compare(adata, condition_key="state", library_key="slice")
    join = first.merge(second, on=["gene", "partner"], suffixes=("", "_2"))
    assert len(join) == len(first)
    np.testing.assert_allclose(join["pvalue"], join["pvalue_2"], atol=1e-2)  # rounding: sums in another order
    pair = join["partner"] != ""
    np.testing.assert_allclose(join["effect"][pair], -join["effect_2"][pair], atol=1e-6)


def test_genes_absent_from_a_condition_are_not_tested(changed: AnnData) -> None:
    adata = changed.copy()
    matrix = adata.X.tolil()
    ill = (adata.obs["state"] == "ill").to_numpy()
    matrix[np.flatnonzero(ill), 3] = 0
    adata.X = matrix.tocsr()
    table = sx.tl.compare(adata, condition_key="state", library_key="slice").set_index("gene")
    row = table.loc[[adata.var_names[3]]].query("partner == ''")
    assert row["pvalue"].isna().all()
    assert adata.var_names[3] not in set(table.query("partner != ''")["partner"])


def without_modules(adata: AnnData) -> None:
    adata.var["spacex_module"] = "unassigned"


def edited(**columns: object):
    def edit(adata: AnnData) -> None:
        for name, values in columns.items():
            adata.obs[name] = values(adata.obs) if callable(values) else values

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edited(state="one"), "1 condition.*takes two"),
        (edited(state=lambda o: o["slice"].astype(str).str[1:].astype(int) % 3), "3 condition.*subset adata"),
        (
            edited(state=lambda o: np.where(o["slice"] == "s0", "a", "b")),
            "condition 'a' has one section .'s0'.*two sections",
        ),
        (edited(state=lambda o: ["a", "b"] * (len(o) // 2)), "section 's0' has spots of both conditions"),
        (edited(state=lambda o: [None, *o["state"][1:]]), "is missing for some spots"),
        (lambda a: a.obs.drop(columns="state", inplace=True), "condition_key='state' is not a column"),
        (lambda a: a.varm.pop("X_spacex_sections"), "they are missing; call sx.tl.embed.adata, library_key='slice'"),
        (without_modules, "no gene has a module"),
    ],
)
def test_invalid_designs_raise(changed: AnnData, edit, message: str) -> None:
    adata = changed.copy()
    edit(adata)
    with pytest.raises(InputError, match=message):
        sx.tl.compare(adata, condition_key="state", library_key="slice")


def test_sections_embedded_by_another_column_raise(changed: AnnData) -> None:
    adata = changed.copy()
    adata.obs["other"] = adata.obs["slice"]
    with pytest.raises(InputError, match=r"computed with 'slice'.*library_key='other'"):
        sx.tl.compare(adata, condition_key="state", library_key="other")
    sx.pp.rasterize(adata, library_key="other")  # does not change the embeddings
    with pytest.raises(InputError, match=r"computed with 'slice'.*library_key='other'"):
        sx.tl.compare(adata, condition_key="state", library_key="other")
    pd.testing.assert_frame_equal(
        sx.tl.compare(adata, condition_key="state", library_key="slice"),
        sx.tl.compare(changed, condition_key="state", library_key="slice"),
    )
    with pytest.raises(InputError, match="library_key='nothing'"):
        sx.tl.compare(adata, condition_key="state", library_key="nothing")
    with pytest.raises(InputError, match="n_neighbors"):
        sx.tl.compare(adata, condition_key="state", library_key="slice", n_neighbors=0)


def test_subset_of_the_sections_is_compared(changed: AnnData) -> None:
    part = changed[changed.obs["slice"].isin(["s1", "s2", "s3", "s5"])].copy()
    assert changed.obs["slice"].nunique() == N_SECTIONS
    table = sx.tl.compare(part, condition_key="state", library_key="slice")
    by_hand = part.copy()
    by_hand.varm["X_spacex_sections"] = by_hand.varm["X_spacex_sections"][:, [1, 2, 3, 5]]
    del by_hand.uns["spacex"]["sections"]  # as in files of earlier versions
    pd.testing.assert_frame_equal(table, sx.tl.compare(by_hand, condition_key="state", library_key="slice"))


def test_renamed_sections_raise(changed: AnnData) -> None:
    adata = changed.copy()
    new_names = {f"s{i}": f"s{(i + 1) % N_SECTIONS}" for i in range(N_SECTIONS)}
    adata.obs["slice"] = adata.obs["slice"].astype(str).replace(new_names)
    with pytest.raises(InputError, match=r"has other spots than when it was embedded; call sx.tl.embed"):
        sx.tl.compare(adata, condition_key="state", library_key="slice")
    adata.obs["slice"] = "new-" + adata.obs["slice"]
    with pytest.raises(InputError, match=r"section\(s\) new-s0.* were not embedded \(available: s0, s1"):
        sx.tl.compare(adata, condition_key="state", library_key="slice")


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_stored_sections_are_compared(changed: AnnData, kind: str, tmp_path: Path) -> None:
    getattr(changed, f"write_{kind}")(tmp_path / f"a.{kind}")
    adata = sx.read(tmp_path / f"a.{kind}")
    pd.testing.assert_frame_equal(
        sx.tl.compare(adata, condition_key="state", library_key="slice"),
        sx.tl.compare(changed, condition_key="state", library_key="slice"),
    )


def with_donors(adata: AnnData, donor_of_section: dict[str, str]) -> AnnData:
    adata = adata.copy()
    adata.obs["donor"] = adata.obs["slice"].astype(str).map(donor_of_section).to_numpy()
    return adata


def test_every_section_a_donor_is_the_same_as_no_donors(changed: AnnData) -> None:
    adata = with_donors(changed, {f"s{i}": f"d{i}" for i in range(N_SECTIONS)})
    arguments = {"condition_key": "state", "library_key": "slice"}
    expected, result = sx.tl.compare(adata, **arguments), sx.tl.compare(adata, donor_key="donor", **arguments)
    assert result.attrs == expected.attrs
    joined = expected.merge(result, on=["gene", "partner"], suffixes=("", "_2"))
    assert len(joined) == len(expected)
    np.testing.assert_allclose(joined["effect"], joined["effect_2"], atol=1e-5)


def test_two_donors_of_a_condition_are_too_few_for_q_values(changed: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    adata = with_donors(changed, {"s0": "a", "s1": "a", "s2": "b", "s3": "c", "s4": "c", "s5": "d"})
    table = sx.tl.compare(adata, condition_key="state", library_key="slice", donor_key="donor")
    assert table.attrs["labelings"] == 3
    assert table["qvalue"].isna().all()
    assert "q-values are not computed" in caplog.text
    genes = table[table["partner"] == ""].nlargest(8, "effect")
    assert changed.var["swapped"][genes["gene"]].mean() > 0.6  # effects still rank


def test_conditions_are_exchanged_within_donors(changed: AnnData) -> None:
    adata = with_donors(changed, {f"s{i}": f"d{i % 3}" for i in range(N_SECTIONS)})
    table = sx.tl.compare(adata, condition_key="state", library_key="slice", donor_key="donor")
    assert table.attrs == {"labelings": 4, "rank": 1}


def test_pairs_of_units_are_exchanged_once_each() -> None:
    second, pair = np.array([False, True] * 5), np.repeat(np.arange(5), 2)
    splits = pair_splits(second, pair, 200, np.random.default_rng(0))
    assert len(splits) == len({mask.tobytes() for mask in splits}) == 2**4 - 1
    for mask in splits:
        assert (np.bincount(pair[mask], minlength=5) == 1).all()
        assert (mask != second).any()
        assert (mask == second)[pair == 0].all()
    assert len(pair_splits(second, pair, 7, np.random.default_rng(0))) == 7


@pytest.mark.parametrize(
    ("donors", "message"),
    [
        ({f"s{i}": "d" for i in range(6)}, "all sections are of the donor 'd'"),
        ({f"s{i}": f"d{max(i, 2)}" for i in range(6)}, "condition 'healthy' has one donor.*two donors"),
        ({f"s{i}": f"d{i % 5}" for i in range(6)}, "donor 'd0' has sections of both conditions and donor 'd1' of one"),
    ],
)
def test_invalid_donors_raise(changed: AnnData, donors: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sx.tl.compare(with_donors(changed, donors), condition_key="state", library_key="slice", donor_key="donor")


def test_several_donors_of_a_section_raise(changed: AnnData) -> None:
    adata = changed.copy()
    adata.obs["donor"] = ["a", "b"] * (adata.n_obs // 2)
    with pytest.raises(InputError, match="has 2 donors in one section"):
        sx.tl.compare(adata, condition_key="state", library_key="slice", donor_key="donor")
