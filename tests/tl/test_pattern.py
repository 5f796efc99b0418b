"""`tl.pattern`: genes that follow a pattern, for every form of the argument."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy import stats

import spacex as sx
from spacex import _adata, pp
from spacex._infra.errors import InputError
from spacex.patterns import expected_map, expected_pattern, extended_embedding, orthogonal_remainder
from spacex.stats import cosine_pvalue, direction_variance, l2_normalize


@pytest.fixture(scope="module")
def section() -> AnnData:
    """Return a simulated section with five extra genes in one corner and five in a ring."""
    adata = sx.datasets.simulate_section(n_genes=300, n_spots=900, n_modules=6, depth=0.5, seed=1)
    xy = adata.obsm["spatial"]
    unit_xy = (xy - xy.min(axis=0)) / np.ptp(xy, axis=0)
    corner = (unit_xy.max(axis=1) < 0.35).astype(float)
    ring = np.exp(-0.5 * ((np.hypot(*(unit_xy - 0.5).T) - 0.3) / 0.06) ** 2)
    library, rng = adata.obs["true_library"].to_numpy(), np.random.default_rng(0)
    columns = [library * np.exp(1.2 * weights) for weights in (corner, ring) for _ in range(5)]
    added = rng.poisson(np.stack([column / column.mean() for column in columns], axis=1)).astype(np.float32)
    extended = AnnData(sp.hstack([adata.X, sp.csr_matrix(added)], format="csr"), obs=adata.obs, obsm={"spatial": xy})
    extended.var_names = [*adata.var_names, *(f"corner{i}" for i in range(5)), *(f"ring{i}" for i in range(5))]
    extended.var["null"] = [*~adata.var["spatially_variable"], *[False] * 10]
    extended.obs["corner"], extended.obs["ring"] = corner, ring
    extended.obs["where"] = pd.Categorical(np.where(corner > 0, "corner", "elsewhere"))
    sx.tl.embed(extended, n_modules=6, progress=False)
    return extended


def ranks(table: pd.DataFrame, start: str) -> list[int]:
    return np.flatnonzero(table["gene"].str.startswith(start)).tolist()


@pytest.mark.parametrize("name", ["corner", "ring"])
def test_simulated_genes_rank_first(section: AnnData, name: str) -> None:
    table = sx.tl.pattern(section, name, n=section.n_vars)
    assert np.median(ranks(table, name)) < 10
    assert (table["qvalue"][ranks(table, name)[:3]] < 0.01).all()
    assert (np.diff(table["similarity"]) <= 0).all()
    null = table["gene"].isin(section.var_names[section.var["null"]])
    assert 0.01 < (table["pvalue"][null] < 0.05).mean() < 0.12
    np.testing.assert_allclose(table["qvalue"], stats.false_discovery_control(table["pvalue"]))


def test_all_forms_of_a_pattern_agree(section: AnnData) -> None:
    xy = section.obsm["spatial"]
    low, size = xy.min(axis=0), np.ptp(xy, axis=0)
    box = low + size * np.array([[-0.01, -0.01], [0.35, -0.01], [0.35, 0.35], [-0.01, 0.35]])
    expected = sx.tl.pattern(section, section.obs["corner"].to_numpy())
    for form in ("corner", {"where": ["corner"]}, {"where": "corner"}, [box], 3 * section.obs["corner"].to_numpy() + 1):
        pd.testing.assert_frame_equal(sx.tl.pattern(section, form), expected, rtol=1e-5)


def test_like_finds_similar_genes_and_without_excludes_a_region(section: AnnData) -> None:
    table = sx.tl.pattern(section, like="ring0")
    assert table["gene"].iloc[0] == "ring0"
    assert table["similarity"].iloc[0] == pytest.approx(1, abs=0.05)
    x = section.obsm["spatial"][:, 0]
    west = (x < np.median(x)).astype(float)
    half = sx.tl.pattern(section, like="ring0", without=west, n=section.n_vars).set_index("gene")["similarity"]
    east_ring = sx.tl.pattern(section, section.obs["ring"] * (1 - west), n=section.n_vars).set_index("gene")[
        "similarity"
    ]
    assert np.corrcoef(half, east_ring.reindex(half.index))[0, 1] > 0.7
    assert half["ring0"] < 0.97


def test_expected_pattern_inverts_the_embedding_of_a_pattern(section: AnnData) -> None:
    images = pp.gene_images(section)
    pixel = _adata.read_pixel_of_spot(section, images)
    components = _adata.read_components(section, pixel, images.n_pixels)
    smooth = components[:, 0] / np.sqrt(images.share)
    recovered = expected_pattern(expected_map(smooth, images) @ components, images, components)
    assert np.corrcoef(recovered, smooth)[0, 1] > 0.9


def test_remainder_is_orthogonal_and_completes_the_map() -> None:
    rng = np.random.default_rng(0)
    components = rng.standard_normal((50, 6)) * [1, 1, 0.5, 0.2, 0, 1]
    target = rng.standard_normal(50)
    extra_maps = orthogonal_remainder(target, components)
    assert extra_maps.shape == (50, 1)
    np.testing.assert_allclose(extra_maps.T @ components, 0, atol=1e-9)
    assert np.linalg.norm(extra_maps) == pytest.approx(1)
    basis = np.hstack([components[:, [0, 1, 2, 3, 5]], extra_maps])
    np.testing.assert_allclose(basis @ np.linalg.lstsq(basis, target)[0], target, atol=1e-9)
    assert orthogonal_remainder(components @ rng.standard_normal(6), components).shape == (50, 0)


def test_extra_dimensions_have_the_unit_of_the_others(section: AnnData) -> None:
    """The extended direction is that of the projection of the map on all components."""
    images = pp.gene_images(section)
    components = np.linalg.qr(np.random.default_rng(0).standard_normal((images.n_pixels, 8)))[0]
    maps = images.residuals().astype(float)
    z = l2_normalize(maps @ components[:, :7]) * np.arange(1.0, images.n_genes + 1)[:, None]
    extended = extended_embedding(z, images, components[:, :7], components[:, 7:])
    np.testing.assert_allclose(l2_normalize(extended), l2_normalize(maps @ components), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(extended, axis=1), np.arange(1, images.n_genes + 1), rtol=1e-6)


def test_pvalues_do_not_need_weak_genes() -> None:
    """Nearly all genes are spatial, so the null is that of genes redrawn without a pattern."""
    adata = sx.datasets.simulate_section(
        n_genes=400, n_spots=900, n_modules=8, depth=2.0, seed=3, spatial_fraction=0.95
    )
    sx.tl.embed(adata, n_modules=8, progress=False)
    x, y = (adata.obsm["spatial"] / np.ptp(adata.obsm["spatial"], axis=0)).T
    waves = [np.sin(frequency * (np.cos(turn) * x + np.sin(turn) * y)) for frequency in (6, 12) for turn in range(6)]
    null = adata.var_names[~adata.var["spatially_variable"]]
    tables = [sx.tl.pattern(adata, wave, n=adata.n_vars).set_index("gene") for wave in waves]
    pvalue = np.concatenate([table["pvalue"].reindex(null).dropna() for table in tables])
    assert len(pvalue) > 200
    assert 0.02 < np.mean(pvalue < 0.05) < 0.12


@pytest.mark.parametrize("d", [5, 40])
def test_pvalues_of_isotropic_directions_are_uniform(d: int) -> None:
    rng = np.random.default_rng(0)
    z = l2_normalize(rng.standard_normal((20_000, d)))
    query = rng.standard_normal(d)
    p = cosine_pvalue(z @ l2_normalize(query), query, direction_variance(z))
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_pvalues_of_anisotropic_directions_are_nearly_uniform() -> None:
    rng = np.random.default_rng(0)
    weight = np.linspace(1, 0.1, 40)
    z = l2_normalize(rng.standard_normal((20_000, 40)) * weight)
    query = weight * rng.standard_normal(40)
    p = cosine_pvalue(z @ l2_normalize(query), query, direction_variance(z))
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.007)
    assert np.mean(p < 0.01) == pytest.approx(0.01, abs=0.004)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": np.ones(5)}, "one number for each of the 900 spots"),
        ({"weights": np.ones(900)}, "for every spot"),
        ({"weights": np.full(900, np.nan)}, "NaN"),
        ({"weights": "nowhere"}, "not a column"),
        ({"weights": "where"}, "pass the values to select"),
        ({"weights": {"where": ["moon"]}}, "no spot has where 'moon'"),
        ({"weights": {"where": ["corner", "elsewhere"]}}, "selects all of the spots"),
        ({"weights": [np.zeros((2, 2))]}, "a polygon has shape"),
        ({"weights": [np.full((3, 2), -1e9) * [[1, 1], [2, 1], [1, 2]]]}, "selects none of the spots"),
        ({"like": "ring"}, "close to it"),
        ({}, "either weights, or like="),
        ({"weights": "ring", "like": "ring0"}, "either weights, or like="),
        ({"weights": "ring", "n": 0}, "n=0"),
    ],
)
def test_invalid_patterns_raise(section: AnnData, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sx.tl.pattern(section, **arguments)


def test_missing_embedding_raises() -> None:
    adata = sx.datasets.simulate_section(n_genes=20, n_spots=100, n_modules=1)
    with pytest.raises(InputError, match=r"call sx\.tl\.embed"):
        sx.tl.pattern(adata, np.arange(100.0))


def test_patterns_work_after_h5ad(section: AnnData, tmp_path) -> None:
    section.write_h5ad(tmp_path / "section.h5ad")
    stored = sx.read(tmp_path / "section.h5ad")
    pd.testing.assert_frame_equal(sx.tl.pattern(stored, "ring"), sx.tl.pattern(section, "ring"))
