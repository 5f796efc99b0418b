"""Settings of the test: validation and effect."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

import spacex as sx
from spacex._infra.errors import InputError
from spacex._infra.settings import settings_from_dict, settings_to_dict
from spacex.svg import SVGParams, spatial_variability_test


@pytest.mark.parametrize("name", [item.name for item in fields(SVGParams)])
@pytest.mark.parametrize("value", [None, "x", -1, float("nan")], ids=str)
def test_invalid_values_raise(name: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"SVGParams\.{name}="):
        SVGParams(**{name: value})


@pytest.mark.parametrize("scales", [(), (2.0, 1.0), (1.0, 1.0), (0.0, 1.0), 3.0])
def test_scales_must_increase(scales: object) -> None:
    with pytest.raises(InputError, match=r"SVGParams\.scales=.*pass a (tuple|number >)"):
        SVGParams(scales=scales)


def test_settings_survive_storage() -> None:
    params = SVGParams(scales=(1, 4), n_folds=3, pattern_weight=0.5)
    assert settings_from_dict(SVGParams, settings_to_dict(params)) == params
    assert params.scales == (1.0, 4.0)


def test_settings_are_used() -> None:
    adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=2, depth=1.0, seed=1)
    images = sx.pp.gene_images(adata)
    default, changed = (spatial_variability_test(images, params=p) for p in (SVGParams(), SVGParams(scales=(1.0, 3.0))))
    assert changed.log_p_by_scale.shape == (80, 2)
    assert not np.allclose(changed.log_p, default.log_p, equal_nan=True)
    assert np.isnan(spatial_variability_test(images, params=SVGParams(min_counts=10**6)).log_p).all()
    sx.tl.svg(adata, params=SVGParams(scales=(1.0, 3.0)), progress=False)
    assert list(adata.uns["spacex"]["svg"]["params"]["scales"]) == [1.0, 3.0]
    with pytest.raises(InputError, match="params="):
        sx.tl.svg(adata, params={"scales": (1.0,)})
