"""Values of genes at the spots."""

import numpy as np

import spacex as sx
from spacex.get import gene_values


def test_values_match_their_label(toy_embedded):
    counts, label = gene_values(toy_embedded, [0, 1, 2], value="counts")
    np.testing.assert_array_equal(counts, toy_embedded[:, :3].X.toarray().T)
    assert label == "counts"
    library = np.asarray(toy_embedded.X.sum(axis=1)).ravel()
    logs, label = gene_values(toy_embedded, [0, 1, 2])
    np.testing.assert_allclose(logs, np.log1p(counts / library * np.median(library)))
    assert label == "log1p normalized counts"
    smooth, label = gene_values(toy_embedded, [0, 1, 2], smooth=2)
    assert (smooth.std(axis=1) < logs.std(axis=1)).all()
    assert "smoothed σ = 2" in label
    residual, label = gene_values(toy_embedded, [0, 1, 2], value="residual")
    np.testing.assert_allclose(residual.mean(axis=1), 0, atol=1e-5)
    assert label == "Pearson residual"


def test_intensities_have_their_label():
    adata = sx.datasets.simulate_section(n_genes=30, n_spots=200, n_modules=2)
    adata.X = adata.X * 0.37
    assert gene_values(adata, [0, 1])[1] == "intensity"
