"""Images on a device are those of the processor: held together here on torch's own processor device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spacex as sx
from spacex.embedding import device_images
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
    "genes", [slice(0, 150), slice(7, 40), np.array([149, 3, 3, 80]), slice(4, 4)], ids=["all", "some", "any", "none"]
)
def test_maps_are_the_residuals(images: GeneImages, genes: slice | np.ndarray) -> None:
    found = DeviceImages.from_images(images, CPU).maps(genes)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), images.residuals(genes), atol=2e-5)


@pytest.mark.parametrize("unit", [False, True])
def test_sums_are_those_of_arrays(images: GeneImages, unit: bool) -> None:
    basis = np.random.default_rng(0).standard_normal((images.n_pixels, 6))
    batches = [slice(0, 100), slice(100, 150)]
    found = DeviceImages.from_images(images, CPU).gram(basis, batches, unit=unit)
    expected = images.gram(basis, batches, unit=unit)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_scores_are_those_of_arrays(images: GeneImages) -> None:
    components = np.linalg.qr(np.random.default_rng(0).standard_normal((images.n_pixels, 6)))[0].astype(np.float32)
    found = DeviceImages.from_images(images, CPU).scores(components, slice(3, 90))
    np.testing.assert_allclose(found, images.scores(components, slice(3, 90)), atol=1e-4)


def test_parts_and_halves_stay_on_the_device(images: GeneImages) -> None:
    there = DeviceImages.from_images(images, CPU)
    halves = there.thin(0.5, np.random.default_rng(0))
    for part in (there.take(np.arange(10)), mask_genes(there, slice(20, 60)), *halves):
        assert isinstance(part, DeviceImages)
        np.testing.assert_allclose(part.maps(slice(0, 5)).numpy(), part.residuals(slice(0, 5)), atol=2e-5)


def test_the_processor_keeps_arrays(images: GeneImages) -> None:
    assert on_device(images, CPU) is images
    there = DeviceImages.from_images(images, torch.device("meta"))
    assert on_device(there, torch.device("meta")) is there
    np.testing.assert_array_equal(maps_on(images, slice(0, 3), CPU).numpy(), images.residuals(slice(0, 3)))


@pytest.mark.parametrize("training", [{}, {"epochs": 1, "boost_rounds": 1}], ids=["default", "trained"])
def test_a_fit_by_way_of_the_device_is_the_same(training: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The tolerance that is stated for GPU against processor: 1e-4 of embeddings whose norms are up to 10."""
    adata = sx.datasets.simulate_section(200, 500, 4, 3, depth=1.0)
    plain, there = adata.copy(), adata.copy()
    config = sx.Config(**training)
    sx.tl.embed(plain, n_modules=4, config=config, device="cpu", progress=False)
    for module in ("fit", "transform"):
        monkeypatch.setattr(f"spacex.embedding.{module}.on_device", DeviceImages.from_images)
    made = []
    maps = DeviceImages.maps
    monkeypatch.setattr(device_images.DeviceImages, "maps", lambda self, genes: made.append(genes) or maps(self, genes))
    sx.tl.embed(there, n_modules=4, config=config, device="cpu", progress=False)
    assert len(made) > 10
    np.testing.assert_allclose(there.varm["X_spacex"], plain.varm["X_spacex"], atol=1e-4 if not training else 1e-3)
    assert there.var["spacex_module"].tolist() == plain.var["spacex_module"].tolist()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_agrees_with_the_processor() -> None:
    adata = sx.datasets.simulate_section(400, 900, 5, 4, depth=1.0)
    plain, there = adata.copy(), adata.copy()
    sx.tl.embed(plain, n_modules=5, device="cpu", progress=False)
    sx.tl.embed(there, n_modules=5, device="cuda", progress=False)
    np.testing.assert_allclose(there.varm["X_spacex"], plain.varm["X_spacex"], atol=1e-3)
    assert (there.var["spacex_module"] == plain.var["spacex_module"]).mean() > 0.99
