"""`tl.module_stability`: its table and slots, renamed modules, round trips and invalid input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import spacex as sx
from spacex import _adata

COLUMNS = ["jaccard_halves", "jaccard_seeds"]
SLOTS = ["spacex_module_jaccard_halves", "spacex_module_jaccard_seeds"]


@pytest.fixture(scope="module")
def _measured() -> AnnData:
    adata = sx.datasets.simulate_section(n_genes=200, n_spots=900, n_modules=4, depth=2.0, seed=0)
    sx.tl.embed(adata, n_modules=4, progress=False)
    sx.tl.module_stability(adata, progress=False)
    return adata


@pytest.fixture
def measured(_measured: AnnData) -> AnnData:
    return _measured.copy()


def test_the_table_is_that_of_the_slots(measured: AnnData) -> None:
    table = sx.tl.module_stability(measured, progress=False)
    assert list(table.columns) == ["module", *COLUMNS, "stable"]
    names = [name for name in measured.var["spacex_module"].cat.categories if name != "unassigned"]
    assert list(table["module"]) == names
    assert table[COLUMNS].to_numpy().min() > 0
    assert table[COLUMNS].to_numpy().max() <= 1
    assert table["stable"].tolist() == (table[COLUMNS] >= 0.5).all(axis=1).tolist()
    module = measured.var["spacex_module"].astype(str)
    for slot, column in zip(SLOTS, COLUMNS, strict=True):
        expected = module.map(table.set_index("module")[column])
        np.testing.assert_array_equal(measured.var[slot], expected)
    assert measured.uns["spacex"]["module_stability"] == {"n_seeds": 2, "seed": 0}


def test_planted_modules_are_found_again(measured: AnnData) -> None:
    table = sx.get.module_table(measured)
    assert table["jaccard_seeds"].min() > 0.9
    assert table["jaccard_halves"].min() > 0.7
    assert table["stable"].all()


def test_surplus_modules_are_unstable(measured: AnnData) -> None:
    planted = sx.get.module_table(measured)
    sx.tl.modules(measured, n_modules=12)
    table = sx.tl.module_stability(measured, progress=False)
    assert not table["stable"].all()
    assert table["jaccard_halves"].median() < planted["jaccard_halves"].min()


def test_results_depend_on_the_seed_only(measured: AnnData) -> None:
    first = sx.get.module_table(measured)
    sx.tl.module_stability(measured, progress=False)
    pd.testing.assert_frame_equal(sx.get.module_table(measured), first)
    order = np.random.default_rng(0).permutation(measured.n_vars)
    again = measured[:, order].copy()
    sx.tl.module_stability(again, progress=False)
    pd.testing.assert_frame_equal(sx.get.module_table(again), first)


def test_modules_may_be_renamed_before_and_after(measured: AnnData) -> None:
    expected = sx.get.module_table(measured)
    names = {name: f"pattern {name}" for name in expected["module"]}
    measured.var["spacex_module"] = measured.var["spacex_module"].cat.rename_categories(names)
    renamed = sx.get.module_table(measured)
    assert list(renamed["module"]) == list(names.values())
    pd.testing.assert_frame_equal(renamed[[*COLUMNS, "stable"]], expected[[*COLUMNS, "stable"]])
    table = sx.tl.module_stability(measured, progress=False)
    pd.testing.assert_frame_equal(table, renamed[["module", *COLUMNS, "stable"]])


def test_genes_may_be_removed_afterwards(measured: AnnData) -> None:
    expected = sx.get.module_table(measured).set_index("module")
    subset = measured[:, (measured.var["spacex_module"] != "0").to_numpy()].copy()
    table = sx.get.module_table(subset).set_index("module")
    pd.testing.assert_frame_equal(table[COLUMNS], expected.drop("0")[COLUMNS])


def test_merged_modules_have_no_index(measured: AnnData) -> None:
    module = measured.var["spacex_module"].astype(str)
    measured.var.loc[module == "1", SLOTS] = 0.75  # modules with equal indices cannot be distinguished from one
    merged = module.replace({"1": "0"})
    measured.var["spacex_module"] = pd.Categorical(merged)
    table = sx.get.module_table(measured).set_index("module")
    assert table.loc["0", [*COLUMNS, "stable"]].isna().all()
    assert table.drop("0")[[*COLUMNS, "stable"]].notna().all(axis=None)
    assert "0" not in _adata.unstable_modules(measured)


def test_a_module_with_another_gene_has_no_index(measured: AnnData) -> None:
    gene = np.flatnonzero(measured.var["spacex_module"] == "unassigned")[0]
    measured.var.iloc[gene, measured.var.columns.get_loc("spacex_module")] = "1"
    assert sx.get.module_table(measured).set_index("module")["stable"].isna().tolist() == [False, True, False, False]


def test_new_modules_remove_the_slots(measured: AnnData) -> None:
    again = measured.copy()
    sx.tl.modules(measured, n_modules=3)
    sx.tl.embed(again, n_modules=3, progress=False)
    for adata in (measured, again):
        assert not set(SLOTS) & set(adata.var)
        assert "module_stability" not in adata.uns["spacex"]
        assert "stable" not in sx.get.module_table(adata)


def test_the_number_of_modules_is_that_of_the_last_fit(measured: AnnData) -> None:
    sx.tl.modules(measured, n_modules=6)
    assert len(sx.tl.module_stability(measured, progress=False)) > 4
    sx.tl.embed(measured, n_modules=3, progress=False)
    assert "modules" not in measured.uns["spacex"]
    assert len(sx.tl.module_stability(measured, progress=False)) == 3


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_results_survive_files(measured: AnnData, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"section.{suffix}"
    write, read = (measured.write_h5ad, ad.read_h5ad) if suffix == "h5ad" else (measured.write_zarr, ad.read_zarr)
    write(path)
    again = read(path)
    expected = sx.get.module_table(measured)
    pd.testing.assert_frame_equal(sx.get.module_table(again), expected)
    sx.tl.module_stability(again, progress=False)
    pd.testing.assert_frame_equal(sx.get.module_table(again), expected)


def test_intensities_and_sections() -> None:
    adata = sx.datasets.simulate_section(n_genes=120, n_spots=500, n_modules=3, depth=2.0, seed=0)
    adata.X = adata.X.toarray() * 0.37
    adata.obs["half"] = np.where(adata.obsm["spatial"][:, 0] > np.median(adata.obsm["spatial"][:, 0]), "b", "a")
    sx.tl.embed(adata, n_modules=3, library_key="half", progress=False)
    table = sx.tl.module_stability(adata, n_seeds=1, progress=False)
    assert table[COLUMNS].notna().all(axis=None)


def without_modules(adata: AnnData) -> None:
    adata.var["spacex_module"] = pd.Categorical(["unassigned"] * adata.n_vars)


def divided(adata: AnnData) -> None:
    adata.var["spacex_module"] = pd.Categorical([str(i % 9) for i in range(adata.n_vars)])


def not_embedded(adata: AnnData) -> None:
    gene = np.flatnonzero(adata.var["spacex_module"] != "unassigned")[0]
    adata.varm["X_spacex"][gene] = np.nan


def no_components(adata: AnnData) -> None:
    del adata.obsm["spacex_components"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda adata: adata.varm.pop("X_spacex"), r'varm\["X_spacex"\] is missing; call sx.tl.embed'),
        (without_modules, r"no gene has a module.*sx.tl.modules"),
        (divided, r'var\["spacex_module"\] has 9 modules, but 4 were fitted; call sx.tl.modules'),
        (not_embedded, r"a module for '.*', which was not embedded; call sx.tl.modules"),
        (no_components, r'obsm\["spacex_components"\] is missing; call sx.tl.embed'),
    ],
)
def test_other_results_raise_before_any_work(measured: AnnData, change: Any, message: str) -> None:
    change(measured)
    before = measured.copy()
    with pytest.raises(sx.InputError, match=message):
        sx.tl.module_stability(measured, progress=False)
    pd.testing.assert_frame_equal(measured.var, before.var)
    assert measured.uns["spacex"]["module_stability"] == before.uns["spacex"]["module_stability"]


@pytest.mark.parametrize("n_seeds", [0, -1, 101, 1.5, True, None, "two"])
def test_an_invalid_number_of_seeds_raises(measured: AnnData, n_seeds: Any) -> None:
    with pytest.raises(sx.InputError, match=rf"n_seeds={n_seeds!r}"):
        sx.tl.module_stability(measured, n_seeds=n_seeds)
