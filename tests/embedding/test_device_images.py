"""Maps of `DeviceImages` equal those of `GeneImages`; tested on the CPU device of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spacex as sx
from spacex.embedding.device_images import DeviceImages, maps_on, on_device
from spacex.embedding.linear_init import mask_genes
from spacex.imaging.gene_images import GeneImages

CPU = torch.device("cpu")


def images_of(kind: str) -> GeneImages:
    adata = sx.datasets.simulate_section(150, 600, 4, 3, depth=1.0, technology="st")
    if kind == "two sections":
        adata.obs["slice"] = np.where(np.arange(600) < 350, "a", "b")
        sx.pp.rasterize(adata, library_key="slice")
    if kind == "intensities":
        adata.X = adata.X.multiply(0.3).tocsr()
    return sx.pp.gene_images(adata)


@pytest.fixture(scope="module", params=["one section", "two sections", "intensities"])
def images(request: pytest.FixtureRequest) -> GeneImages:
    return images_of(request.param)


@pytest.mark.parametrize(
    "genes",
    [slice(0, 150), slice(7, 40), np.array([149, 3, 3, 80]), slice(4, 4)],
    ids=["all", "slice", "indices", "none"],
)
def test_maps_equal_residuals(images: GeneImages, genes: slice | np.ndarray) -> None:
    result = DeviceImages.from_images(images, CPU).maps(genes)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), images.residuals(genes), atol=2e-5)


@pytest.mark.parametrize("unit", [False, True])
def test_gram_equals_that_of_arrays(images: GeneImages, unit: bool) -> None:
    basis = np.random.default_rng(0).standard_normal((images.n_pixels, 6))
    batches = [slice(0, 100), slice(100, 150)]
    result = DeviceImages.from_images(images, CPU).gram(basis, batches, unit=unit)
    expected = images.gram(basis, batches, unit=unit)
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())


def test_scores_equal_those_of_arrays(images: GeneImages) -> None:
    components = np.linalg.qr(np.random.default_rng(0).standard_normal((images.n_pixels, 6)))[0].astype(np.float32)
    result = DeviceImages.from_images(images, CPU).scores(components, slice(3, 90))
    np.testing.assert_allclose(result, images.scores(components, slice(3, 90)), atol=1e-4)


def test_take_thin_and_mask_keep_the_device(images: GeneImages) -> None:
    on_cpu = DeviceImages.from_images(images, CPU)
    halves = on_cpu.thin(0.5, np.random.default_rng(0))
    for part in (on_cpu.take(np.arange(10)), mask_genes(on_cpu, slice(20, 60)), *halves):
        assert isinstance(part, DeviceImages)
        np.testing.assert_allclose(part.maps(slice(0, 5)).numpy(), part.residuals(slice(0, 5)), atol=2e-5)


def test_cpu_images_are_returned_unchanged(images: GeneImages) -> None:
    assert on_device(images, CPU) is images
    on_meta = DeviceImages.from_images(images, torch.device("meta"))
    assert on_device(on_meta, torch.device("meta")) is on_meta
    np.testing.assert_array_equal(maps_on(images, slice(0, 3), CPU).numpy(), images.residuals(slice(0, 3)))


@pytest.mark.parametrize("training", [{}, {"epochs": 1, "boost_rounds": 1}], ids=["default", "trained"])
def test_a_fit_on_device_images_is_the_same(training: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings with norms up to 10 agree to 1e-4, the documented tolerance between GPU and CPU."""
    adata = sx.datasets.simulate_section(200, 500, 4, 3, depth=1.0)
    plain, on_device_ = adata.copy(), adata.copy()
    config = sx.Config(**training)
    sx.tl.embed(plain, n_modules=4, config=config, device="cpu", progress=False)
    for module in ("fit", "transform"):
        monkeypatch.setattr(f"spacex.embedding.{module}.on_device", DeviceImages.from_images)
    calls = []
    maps = DeviceImages.maps
    monkeypatch.setattr(DeviceImages, "maps", lambda self, genes: calls.append(genes) or maps(self, genes))
    sx.tl.embed(on_device_, n_modules=4, config=config, device="cpu", progress=False)
    assert len(calls) > 10
    np.testing.assert_allclose(on_device_.varm["X_spacex"], plain.varm["X_spacex"], atol=1e-4 if not training else 1e-3)
    assert on_device_.var["spacex_module"].tolist() == plain.var["spacex_module"].tolist()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu() -> None:
    adata = sx.datasets.simulate_section(400, 900, 5, 4, depth=1.0)
    plain, on_device_ = adata.copy(), adata.copy()
    sx.tl.embed(plain, n_modules=5, device="cpu", progress=False)
    sx.tl.embed(on_device_, n_modules=5, device="cuda", progress=False)
    np.testing.assert_allclose(on_device_.varm["X_spacex"], plain.varm["X_spacex"], atol=1e-3)
    assert (on_device_.var["spacex_module"] == plain.var["spacex_module"]).mean() > 0.99
