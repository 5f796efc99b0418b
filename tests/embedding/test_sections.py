"""Embeddings of genes in each of several sections that are not aligned."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import torch
from anndata import AnnData

import spacex as sx
from spacex.embedding.sections import section_metric


def two_sections(seed: int = 0) -> AnnData:
    """Return a tissue split at random into two sections, one of them rotated by 90 degrees and rescaled."""
    tissue = sx.datasets.simulate_section(
        n_genes=300, n_spots=2400, n_modules=8, n_domains=5, technology="st", depth=0.8, seed=seed
    )
    first = np.random.default_rng(seed).random(tissue.n_obs) < 0.55
    a, b = tissue[first].copy(), tissue[~first].copy()
    b.obsm["spatial"] = b.obsm["spatial"][:, ::-1] * [-3.0, 3.0]
    return ad.concat({"a": a, "b": b}, label="slice", index_unique="-", merge="same")


@pytest.fixture(scope="module")
def embedded() -> tuple[AnnData, sx.SpaCEX]:
    adata = two_sections()
    return adata, sx.tl.embed(adata, n_modules=8, library_key="slice", progress=False)


def unit(z: np.ndarray) -> np.ndarray:
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def test_a_section_metric_makes_the_dimensions_of_a_section_orthogonal() -> None:
    part = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 6)))
    orthonormal = part @ section_metric(part)
    torch.testing.assert_close(orthonormal.T @ orthonormal, torch.eye(6, dtype=orthonormal.dtype))
    orthogonal = torch.linalg.qr(part)[0]
    torch.testing.assert_close(section_metric(orthogonal), torch.eye(6, dtype=orthonormal.dtype))


def test_a_gene_has_similar_directions_in_two_sections_of_one_tissue(embedded: tuple[AnnData, sx.SpaCEX]) -> None:
    adata, _ = embedded
    z = unit(adata.varm["X_spacex_sections"])
    assert z.shape == (300, 2, adata.varm["X_spacex"].shape[1])
    spatial = adata.var["module"].to_numpy() >= 0 if "module" in adata.var else np.ones(300, dtype=bool)
    same = (z[spatial, 0] * z[spatial, 1]).sum(1)
    other = (z[spatial, 0] * np.roll(z[spatial, 1], 1, axis=0)).sum(1)
    assert np.median(same) > 0.7
    assert np.median(other) < 0.3


def test_a_gene_without_a_pattern_has_norm_one_in_each(embedded: tuple[AnnData, sx.SpaCEX]) -> None:
    adata, _ = embedded
    norm = np.linalg.norm(adata.varm["X_spacex_sections"], axis=2)
    flat = adata.var["module"].to_numpy() < 0
    assert np.median(norm[flat], axis=0) == pytest.approx([1, 1], abs=0.25)
    assert (np.median(norm[~flat], axis=0) > 2).all()


def test_one_section_has_no_section_embeddings(embedded: tuple[AnnData, sx.SpaCEX]) -> None:
    adata = embedded[0][embedded[0].obs["slice"] == "a"].copy()
    sx.tl.embed(adata, n_modules=4, progress=False)
    assert "X_spacex_sections" not in adata.varm


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_section_embeddings_survive_a_file(embedded: tuple[AnnData, sx.SpaCEX], tmp_path: Path, ending: str) -> None:
    adata, path = embedded[0], tmp_path / f"a.{ending}"
    (adata.write_h5ad if ending == "h5ad" else adata.write_zarr)(path)
    np.testing.assert_array_equal(sx.read(path).varm["X_spacex_sections"], adata.varm["X_spacex_sections"])


def test_a_loaded_model_gives_the_same_section_embeddings(embedded: tuple[AnnData, sx.SpaCEX], tmp_path: Path) -> None:
    adata, model = embedded
    model.save(tmp_path)
    images = sx.pp.gene_images(adata)
    np.testing.assert_array_equal(sx.SpaCEX.load(tmp_path).transform_sections(images), model.transform_sections(images))


@pytest.mark.parametrize("is_trained", [False, True])
def test_a_section_embedding_uses_only_its_pixels(is_trained: bool) -> None:
    """The maps of other sections do not matter, with and without the attention path."""
    adata = two_sections()[:, :60].copy()
    config = sx.Config(epochs=int(is_trained), d_model=8, n_heads=2, n_null_genes=50, em_starts=1)
    sx.pp.rasterize(adata, library_key="slice")
    images = sx.pp.gene_images(adata)
    model = sx.SpaCEX(config, n_modules=3, progress=False).fit(images)
    maps = images.scale_library(model.state_.library_factor).residuals()
    first = images.layout.section == 0
    other = np.where(first, maps, 3.0).astype(np.float32)
    parts = [model.transform_sections(images.layout.to_images(values)) for values in (maps, other)]
    np.testing.assert_allclose(parts[0][0], parts[1][0], atol=1e-5)
    assert np.abs(parts[0][1] - parts[1][1]).max() > 0.1
    np.testing.assert_allclose(parts[0], model.transform_sections(images), atol=1e-5)


@pytest.mark.parametrize("size", ["auto", 9, (6, 11)])
@pytest.mark.parametrize("stored", [False, True])
def test_sections_keep_the_coordinates_and_grid_of_rasterize(
    size: str | int | tuple[int, int], stored: bool, tmp_path: Path
) -> None:
    adata = two_sections()[::4, :60].copy()
    adata.obsm["px"] = adata.obsm.pop("spatial")
    sx.pp.rasterize(adata, spatial_key="px", grid=size)
    expected = adata.copy()
    sx.pp.rasterize(expected, spatial_key="px", grid=size, library_key="slice")
    if stored:
        adata.write_h5ad(tmp_path / "a.h5ad")
        adata = sx.read(tmp_path / "a.h5ad")
    config = sx.Config(n_null_genes=50, em_starts=1)
    sx.tl.embed(adata, n_modules=3, library_key="slice", config=config, progress=False)
    np.testing.assert_array_equal(adata.obsm["spacex_pixel"], expected.obsm["spacex_pixel"])
    grid = adata.uns["spacex"]["grid"]
    assert (grid["spatial_key"], grid["library_key"]) == ("px", "slice")
