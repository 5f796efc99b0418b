"""Maps of modules are the residuals of the model, smoothed as in the embedding."""

import numpy as np
import pytest

import spacex as sx
from spacex.imaging.smoothing import Smoother


def standardized(maps: np.ndarray) -> np.ndarray:
    maps = maps - maps.mean(axis=1, keepdims=True)
    return maps / maps.std(axis=1, keepdims=True)


def test_maps_use_the_stored_settings(toy):
    config = sx.Config(theta=1.0, sigma=2.0)
    sx.tl.embed(toy, n_modules=4, config=config, progress=False)
    (module,) = sx.get.module_maps(toy, ["0"], n_genes=3)
    images = sx.pp.gene_images(toy, config=config)
    assert images.theta == 1.0
    residuals = images.residuals(module.genes[:3])
    expected = standardized(Smoother(images.layout, 2.0).apply(residuals))
    # Each spot of the toy section is one pixel with counts.
    np.testing.assert_allclose(np.sort(module.maps, axis=1), np.sort(expected, axis=1), atol=1e-5)
    values, label = sx.get.gene_values(toy, module.genes[:3], value="residual")
    assert label == "Pearson residual"
    np.testing.assert_allclose(np.sort(values, axis=1), np.sort(residuals, axis=1), atol=1e-5)
    # Negative control: with the default settings the maps differ.
    defaults = sx.pp.gene_images(toy)
    other = standardized(Smoother(defaults.layout, 1.0).apply(defaults.residuals(module.genes[:3])))
    assert np.abs(np.sort(other, axis=1) - np.sort(module.maps, axis=1)).max() > 0.1


def test_maps_of_the_strongest_genes(toy_embedded):
    sizes = sx.get.module_sizes(toy_embedded)
    names = toy_embedded.var["spacex_module"].cat.categories.drop("unassigned")
    assert list(sizes.index) == list(names)
    assert sizes.sum() == (toy_embedded.var["spacex_module"] != "unassigned").sum()
    maps = sx.get.module_maps(toy_embedded, n_genes=3)
    assert [module.name for module in maps] == list(sizes.index)
    for module in maps:
        genes = sx.get.module_genes(toy_embedded, module.name)
        np.testing.assert_array_equal(module.genes, genes)
        assert set(genes) == set(np.flatnonzero(toy_embedded.var["spacex_module"] == module.name))
        assert module.labels == list(toy_embedded.var_names[genes[:3]])
        strength = np.linalg.norm(toy_embedded.varm["X_spacex"][genes], axis=1)
        assert (strength * toy_embedded.var["spacex_module_prob"].iloc[genes]).is_monotonic_decreasing
        np.testing.assert_allclose(module.maps.std(axis=1), 1, rtol=1e-3)
        assert np.mean([np.corrcoef(module.mean, one)[0, 1] for one in module.maps]) > 0.3


def test_unknown_modules_raise(toy_embedded):
    with pytest.raises(sx.InputError, match=r"no module 99; modules are 0, 1, 2, 3"):
        sx.get.module_maps(toy_embedded, ["0", "99"])
    with pytest.raises(sx.InputError, match="no module 99"):
        sx.get.module_genes(toy_embedded, "99")
