"""The report preserves the proportions of the tissue."""

import json
import re

import anndata
import numpy as np
import pytest
from tests.get.positions import lattice, sections_at
from tests.report.browser import EVIL

import spacex as sx
from spacex import report


def page_of(adata: anndata.AnnData, key: str | None = None) -> str:
    sx.pp.rasterize(adata, library_key=key)
    sx.tl.embed(adata, n_modules=2, library_key=key, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    adata.varm["X_spacex_umap"] = np.random.default_rng(0).normal(size=(adata.n_vars, 2))
    return report.build(adata)


@pytest.mark.parametrize(
    ("positions", "low", "high"),
    [
        ([lattice(60, 15)], 3.5, 4.2), ([lattice(15, 60)], 0.23, 0.29), ([lattice(120, 6)], 16, 20),
        ([lattice(12, 12)] * 3, 0.8, 1.2), ([lattice(12, 12)] * 8, 0.8, 2.0),
    ],
)  # fmt: skip
def test_tissue_plot_has_the_aspect_of_its_picture(positions, low, high):
    adata = sections_at(*positions, n_genes=25, names=[f"{EVIL} {s}" for s in range(len(positions))])
    page = page_of(adata, "sample" if len(positions) > 1 else None)
    item = json.loads(re.search(r'id="tissue-plot-item">(.*?)</script>', page, re.S)[1])
    width, height = (float(re.search(rf'"{name}": ?.{{0,40}}?([0-9.]+)', json.dumps(item))[1]) for name in ("dw", "dh"))
    attributes = item["doc"]["roots"][0]["attributes"]
    assert low < width / height < high
    assert attributes["aspect_ratio"] == pytest.approx(width / height)
    ranges = [attributes[name]["attributes"] for name in ("x_range", "y_range")]
    assert [(r.get("start", 0), r.get("end", 0)) for r in ranges] == [(0, width), (height, 0)]
    images = re.findall(r'<img src="[^"]*"[^>]*? width="(\d+)" height="(\d+)"', page)
    assert images
    assert all(int(w) / int(h) == pytest.approx(width / height, rel=0.1) for w, h in images)
    assert EVIL not in page
