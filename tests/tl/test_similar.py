"""`tl.similar_genes`: genes ordered by cosine similarity, with calibrated q-values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import stats

import spacex as sx
from spacex.stats import cosine_pvalue, direction_variance

MISSING = "gene0007"


@pytest.fixture
def embedded(toy_embedded: AnnData) -> AnnData:
    toy_embedded.varm["X_spacex"][toy_embedded.var_names == MISSING] = np.nan
    return toy_embedded


def spatial_genes(adata: AnnData) -> pd.Index:
    return adata.var_names[(adata.var["module"] >= 0) & (adata.var_names != MISSING)]


def test_genes_are_ordered_by_cosine(embedded: AnnData) -> None:
    gene = spatial_genes(embedded)[0]
    table = sx.tl.similar_genes(embedded, gene, n=200)
    assert table.columns.tolist() == ["gene", "similarity", "qvalue"]
    assert table.index.tolist() == list(range(118))  # without itself and the gene that is not embedded
    assert not {gene, MISSING} & set(table["gene"])
    frame = pd.DataFrame(embedded.varm["X_spacex"], index=embedded.var_names)
    direction = frame.div(np.linalg.norm(frame, axis=1), axis=0)
    expected = direction @ direction.loc[gene]
    np.testing.assert_allclose(table["similarity"], expected[table["gene"]], atol=1e-5)
    assert (np.diff(table["similarity"]) <= 0).all()
    assert (np.diff(table["qvalue"]) >= 0).all()
    assert table["qvalue"].between(0, 1).all()
    pd.testing.assert_frame_equal(sx.tl.similar_genes(embedded, gene, n=7), table[:7])
    assert len(sx.tl.similar_genes(embedded, gene)) == 20


def test_qvalues_are_those_of_isotropic_directions(toy: AnnData) -> None:
    """In three dimensions a cosine is uniform (Archimedes); q-values follow Benjamini and Hochberg."""
    rng = np.random.default_rng(0)
    z = stats.ortho_group.rvs(3, size=40, random_state=rng).reshape(120, 3)  # exactly isotropic together
    toy.varm["X_spacex"] = z.astype(np.float32)
    table = sx.tl.similar_genes(toy, "gene0005", n=119)
    pvalue = (1 - table["similarity"].to_numpy()) / 2
    step = pvalue * 119 / np.arange(1, 120)
    np.testing.assert_allclose(table["qvalue"], np.minimum.accumulate(step[::-1])[::-1].clip(max=1), atol=1e-5)
    assert stats.kstest(pvalue, "uniform").pvalue > 1e-3


def test_qvalues_are_calibrated_without_similar_genes() -> None:
    rng = np.random.default_rng(1)
    has_discovery = []
    for _ in range(200):
        adata = AnnData(np.ones((2, 100), dtype=np.float32))
        adata.varm["X_spacex"] = rng.standard_normal((100, 16)).astype(np.float32)
        has_discovery.append((sx.tl.similar_genes(adata, "0", n=99)["qvalue"] < 0.05).any())
    assert np.mean(has_discovery) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_genes_redrawn_without_a_pattern_are_the_null(embedded: AnnData) -> None:
    """Their directions count, also if no gene of the section is weak; the q-value equals that of `cosine_pvalue`."""
    z = embedded.varm["X_spacex"].astype(float)
    gene = spatial_genes(embedded)[0]
    table = sx.tl.similar_genes(embedded, gene, n=200)
    null = np.asarray(embedded.uns["spacex"]["null_genes"]["embedding"])
    query = z[embedded.var_names == gene][0]
    pvalue = cosine_pvalue(table["similarity"].to_numpy(), query, direction_variance(null))
    np.testing.assert_allclose(table["qvalue"], stats.false_discovery_control(pvalue), rtol=1e-4)
    embedded.varm["X_spacex"] = (10 * z).astype(np.float32)
    np.testing.assert_allclose(sx.tl.similar_genes(embedded, gene, n=200)["qvalue"], table["qvalue"], rtol=1e-3)
    embedded.uns["spacex"]["null_genes"] = {"embedding": null[:, :3]}
    with pytest.raises(sx.InputError, match=r"null_genes.*does not match.*call sx.tl.embed"):
        sx.tl.similar_genes(embedded, gene)


def test_the_most_similar_gene_is_first(embedded: AnnData) -> None:
    query, twin = spatial_genes(embedded)[[0, 5]]
    z = embedded.varm["X_spacex"]
    z[embedded.var_names == twin] = 3 * z[embedded.var_names == query]  # the norm does not matter
    first = sx.tl.similar_genes(embedded, query, n=1).iloc[0]
    assert first["gene"] == twin
    assert first["similarity"] == pytest.approx(1, abs=1e-6)
    assert first["qvalue"] == pytest.approx(0, abs=1e-3)


def test_invalid_arguments_raise(embedded: AnnData, toy: AnnData) -> None:
    with pytest.raises(sx.InputError, match=r"gene 'GENE004' is not among the 120 genes.*close to it: gene0"):
        sx.tl.similar_genes(embedded, "GENE004")
    with pytest.raises(sx.InputError, match=rf"gene '{MISSING}' was not embedded.*min_counts.*sx.tl.embed"):
        sx.tl.similar_genes(embedded, MISSING)
    for n in (0, 2.5, "5"):
        with pytest.raises(sx.InputError, match=rf"n={n!r}"):
            sx.tl.similar_genes(embedded, "gene0001", n=n)
    with pytest.raises(sx.InputError, match=r'varm\["X_spacex"\] is missing; call sx.tl.embed\(adata\)'):
        sx.tl.similar_genes(toy, "gene0001")
