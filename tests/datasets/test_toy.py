"""The toy section: the same at every call, and its structure is recovered."""

from __future__ import annotations

from anndata import AnnData
from sklearn.metrics import adjusted_rand_score

import spacex as sx


def test_toy_is_reproducible(toy: AnnData) -> None:
    again = sx.datasets.toy()
    assert toy.shape == again.shape == (300, 120)
    assert (toy.X != again.X).nnz == 0
    assert toy.obs.equals(again.obs)
    assert toy.var.equals(again.var)


def test_tools_recover_the_structure_of_toy(toy_embedded: AnnData) -> None:
    sx.tl.domains(toy_embedded, n_domains=3)
    assert adjusted_rand_score(toy_embedded.var["module"], toy_embedded.var["spacex_module"]) > 0.75
    assert adjusted_rand_score(toy_embedded.obs["domain"], toy_embedded.obs["spacex_domain"]) > 0.8


def test_sections_are_embedded_together(toy_sections: AnnData) -> None:
    sx.tl.embed(toy_sections, library_key="section", progress=False)
    assert adjusted_rand_score(toy_sections.var["module"], toy_sections.var["spacex_module"]) > 0.6
