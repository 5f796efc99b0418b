"""Spots off the tissue do not change results: these are bitwise identical without the spots."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import spacex as sx
from spacex.get import gene_table, gene_values
from spacex.report import build

QUICK = {"progress": False}


def with_background(seed: int = 0) -> AnnData:
    """Simulate a section whose spots beyond a circle are off the tissue, with ambient counts and NaN."""
    adata = sx.datasets.simulate_section(90, 500, 4, 3, depth=1.0, seed=seed)
    xy = adata.obsm["spatial"]
    off = np.linalg.norm(xy - xy.mean(axis=0), axis=1) > np.quantile(np.linalg.norm(xy - xy.mean(axis=0), axis=1), 0.7)
    counts = adata.X.toarray()
    counts[off] = np.random.default_rng(0).poisson(20.0, counts[off].shape)
    adata.X = counts
    adata.obs["in_tissue"] = pd.Categorical(np.where(off, "0", "1"))
    adata.obs["domain"] = adata.obs["domain"].astype(object).where(~off, "off")
    adata.obs["weight"] = np.where(off, np.nan, xy[:, 0])
    return adata


def analyze(adata: AnnData) -> AnnData:
    library = {"library_key": "slice"} if "slice" in adata.obs else {}
    sx.tl.embed(adata, n_modules=4, **library, **QUICK)
    sx.tl.svg(adata, covariates=["domain"] if not library else (), **QUICK)
    sx.tl.interactions(adata, n_neighbors=5)
    sx.tl.domains(adata, n_domains=3)
    adata.uns["matches"] = sx.tl.pattern(adata, "weight", n=20)
    return adata


@pytest.fixture(scope="module", params=["one section", "two sections"])
def both(request: pytest.FixtureRequest) -> tuple[AnnData, AnnData]:
    """Results of all spots, and of the spots in the tissue."""
    adata = with_background()
    if request.param == "two sections":
        parts = {"a": adata, "b": with_background(1)}
        adata = ad.concat(parts, label="slice", index_unique="-")
        adata.obs["slice"] = adata.obs["slice"].astype(object).where(adata.obs["in_tissue"] != "0", None)
    return analyze(adata.copy()), analyze(adata[adata.obs["in_tissue"] == "1"].copy())


def test_slots_are_the_same(both: tuple[AnnData, AnnData]) -> None:
    whole, part = both
    inside = (whole.obs["in_tissue"] == "1").to_numpy()
    assert 0.5 < inside.mean() < 0.9
    assert set(whole.varm) == set(part.varm)
    for name in part.varm:
        np.testing.assert_array_equal(whole.varm[name], part.varm[name])
    pd.testing.assert_frame_equal(whole.var.filter(like="spacex"), part.var.filter(like="spacex"))
    assert (whole.varp["spacex_interactions"] != part.varp["spacex_interactions"]).nnz == 0
    for name in part.obsm:
        np.testing.assert_array_equal(whole.obsm[name][inside], part.obsm[name], err_msg=name)
    for name in part.obs.filter(like="spacex"):
        assert whole.obs[name][inside].astype(str).tolist() == part.obs[name].astype(str).tolist(), name
        assert whole.obs[name][~inside].isna().all()
    pd.testing.assert_frame_equal(whole.uns["matches"], part.uns["matches"])


def test_tables_values_and_report_are_the_same(both: tuple[AnnData, AnnData]) -> None:
    whole, part = both
    for call in (
        lambda adata: sx.tl.score_pairs(adata, [("gene0001", "gene0002"), ("gene0003", "gene0009")], by="same"),
        lambda adata: sx.tl.markers(adata, groupby="domain", n=5),
        lambda adata: sx.tl.markers(adata, n=5),
        gene_table,
    ):
        pd.testing.assert_frame_equal(call(whole), call(part))
    for value in ("lognorm", "counts", "residual"):
        inside = (whole.obs["in_tissue"] == "1").to_numpy()
        (ours, _), (theirs, _) = (gene_values(adata, [0], value=value) for adata in both)
        np.testing.assert_array_equal(ours[:, inside], theirs)
    for adata in both:
        adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2]
        del adata.uns["spacex"]["versions"]
    assert build(whole) == build(part)


def test_figures_are_the_same(both: tuple[AnnData, AnnData]) -> None:
    for draw in (
        lambda adata: [sx.pl.gene_images(adata, "gene0001")],
        sx.pl.domains,
        lambda adata: sx.pl.pattern(adata, adata.uns["matches"], n_genes=1),
        lambda adata: sx.pl.modules(adata, n_modules=1, n_genes=1),
    ):
        axes = [np.atleast_1d(np.asarray(draw(adata), dtype=object)) for adata in both]
        drawn = [[image.get_array() for ax in one for image in ax.get_images()] for one in axes]
        assert drawn[0]
        for ours, theirs in zip(*drawn, strict=True):
            np.testing.assert_array_equal(np.ma.filled(ours, -1), np.ma.filled(theirs, -1))


def test_compare_is_the_same() -> None:
    parts = {name: with_background(seed) for seed, name in enumerate("abcd")}
    whole = ad.concat(parts, label="slice", index_unique="-")
    whole.obs["state"] = np.where(whole.obs["slice"].isin(["a", "b"]), "case", "control").astype(object)
    inside = whole.obs["in_tissue"] == "1"
    whole.obs["state"] = whole.obs["state"].where(inside, None)
    tables = []
    for adata in (whole, whole[inside].copy()):
        sx.tl.embed(adata, n_modules=4, library_key="slice", **QUICK)
        tables.append(sx.tl.compare(adata, condition_key="state", library_key="slice"))
    pd.testing.assert_frame_equal(*tables)
    # Spots off the tissue may be removed after the embedding, too.
    pd.testing.assert_frame_equal(
        tables[0], sx.tl.compare(whole[inside].copy(), condition_key="state", library_key="slice")
    )


def test_imputation_is_the_same(tmp_path: Path) -> None:
    target, reference = with_background()[:, :60].copy(), with_background(1)
    genes = list(reference.var_names[60:70])
    inside = [(adata.obs["in_tissue"] == "1").to_numpy() for adata in (target, reference)]
    settings = {"genes": genes, "learned": False, **QUICK}
    imputed = sx.tl.impute(target, reference, **settings)
    alone = sx.tl.impute(target[inside[0]].copy(), reference[inside[1]].copy(), **settings)
    assert imputed.obs_names.equals(target.obs_names[inside[0]])
    np.testing.assert_array_equal(imputed.X, alone.X)
    pd.testing.assert_frame_equal(imputed.var, alone.var)
    axes = sx.pl.imputed(imputed, genes[0], target=with_background(), reference=reference)
    assert [ax.get_title().split(",")[1].split("\n")[0] for ax in axes] == [
        " in the reference", " imputed", " measured",
    ]  # fmt: skip


def test_images_of_backed_counts_are_the_same(tmp_path: Path) -> None:
    adata = with_background()
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    part = adata[adata.obs["in_tissue"] == "1"].copy()
    for images in (sx.pp.gene_images(backed), sx.pp.gene_images(adata)):
        expected = sx.pp.gene_images(part)
        np.testing.assert_array_equal(images.counts.toarray(), expected.counts.toarray())
        np.testing.assert_array_equal(images.library, expected.library)


@pytest.mark.parametrize("invalid", [np.nan, -3.0, 0.5])
def test_invalid_values_off_tissue_are_ignored(invalid: float) -> None:
    adata = with_background()
    adata.X[np.flatnonzero(adata.obs["in_tissue"] == "0")[3], 5] = invalid
    images = sx.pp.gene_images(adata)
    assert images.is_count
    np.testing.assert_array_equal(images.counts.toarray(), sx.pp.gene_images(with_background()).counts.toarray())
