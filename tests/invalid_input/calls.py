"""A valid call of every public function, whose arguments the tests of invalid input replace."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from anndata import AnnData

import spacex as sx
from spacex.report import write_report

QUICK = sx.Config(n_null_genes=50, em_starts=1)


@dataclass(frozen=True)
class Call:
    """A function, valid settings, and whether its first argument is an analyzed section."""

    function: Callable[..., Any]
    settings: Callable[[AnnData], dict[str, Any]] = lambda adata: {}
    fitted: bool = True
    section: bool = True  # whether the first argument is a section

    def __call__(self, adata: AnnData, **changed: Any) -> Any:
        settings = {**self.settings(adata), **changed}
        try:
            return self.function(adata, **settings) if self.section else self.function(**settings)
        finally:
            plt.close("all")


@cache
def section() -> AnnData:
    """Return a section with all results; copy it before changing it."""
    adata = sx.datasets.simulate_section(n_genes=70, n_spots=160, n_modules=3, n_domains=3, depth=1.5)
    adata.obs["slice"] = [f"s{i % 4}" for i in range(adata.n_obs)]
    adata.obs["condition"] = ["case" if i % 4 < 2 else "control" for i in range(adata.n_obs)]
    adata.uns["mine"] = {"a": 1}
    sx.tl.embed(adata, n_modules=3, config=QUICK, library_key="slice", progress=False)
    sx.tl.svg(adata, progress=False)
    sx.tl.interactions(adata, n_neighbors=5)
    sx.tl.domains(adata, n_domains=3)
    sx.tl.pattern(adata, {"domain": ["domain1"]})
    adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2]  # avoids computing a UMAP
    return adata


@cache
def imputed() -> AnnData:
    """Return a result of `tl.impute`."""
    whole = sx.datasets.simulate_section(n_genes=70, n_spots=160, n_modules=3, n_domains=3, depth=1.5)
    return sx.tl.impute(whole[:, :40].copy(), whole, genes=list(whole.var_names[60:64]), progress=False)


@cache
def model() -> sx.SpaCEX:
    """Return a model fitted to `images`."""
    return sx.SpaCEX(QUICK, n_modules=3, progress=False).fit(images())


@cache
def images() -> Any:
    """Return gene images of `section`."""
    return sx.pp.gene_images(section().copy())


@cache
def whole() -> AnnData:
    """Return a section without results."""
    return sx.datasets.simulate_section(n_genes=70, n_spots=160, n_modules=3, n_domains=3, depth=1.5)


def partner(adata: Any) -> AnnData:
    """Return a valid section with the same genes."""
    reference = whole().copy()
    if isinstance(adata, AnnData) and adata.n_vars == reference.n_vars and adata.var_names.is_unique:
        reference.var_names = adata.var_names
    return reference


def impute(target: AnnData, reference: AnnData | None = None, **settings: Any) -> AnnData:
    """Call `tl.impute`, by default with a valid reference."""
    reference = partner(target) if reference is None else reference
    genes = list(reference.var_names[-4:]) if isinstance(reference, AnnData) else None
    return sx.tl.impute(target, reference, **{"genes": genes, "progress": False, **settings})


def impute_from(reference: AnnData, **settings: Any) -> AnnData:
    """Call `tl.impute` with the reference as the first argument."""
    genes = list(partner(reference).var_names[-4:])
    return sx.tl.impute(partner(reference), reference, **{"genes": genes, "progress": False, **settings})


def report(adata: AnnData, **settings: Any) -> None:
    """Call `write_report` in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        write_report(adata, **{"path": Path(folder) / "report.html", **settings})


def fit(gene_images: Any = None, **settings: Any) -> sx.SpaCEX:
    """Create and fit a model."""
    quick = {"config": QUICK, "n_modules": 3, "progress": False, **settings}
    return sx.SpaCEX(**quick).fit(images() if gene_images is None else gene_images)


def a_gene(adata: AnnData) -> dict[str, Any]:
    return {"gene": adata.var_names[1]}


CALLS: dict[str, Call] = {
    "pp.rasterize": Call(sx.pp.rasterize, fitted=False),
    "pp.gene_images": Call(sx.pp.gene_images, fitted=False),
    "tl.embed": Call(sx.tl.embed, lambda a: {"n_modules": 2, "config": QUICK, "progress": False}, fitted=False),
    "tl.svg": Call(sx.tl.svg, lambda a: {"progress": False}, fitted=False),
    "tl.impute": Call(impute, fitted=False),
    "tl.impute, reference": Call(impute_from, fitted=False),
    "tl.markers": Call(sx.tl.markers, lambda a: {"groupby": "domain"}, fitted=False),
    "pl.gene_images": Call(sx.pl.gene_images, lambda a: {"genes": list(a.var_names[:2])}, fitted=False),
    "io.to_spatialdata": Call(sx.io.to_spatialdata, fitted=False),
    "tl.modules": Call(sx.tl.modules, lambda a: {"n_modules": 2}),
    "tl.module_stability": Call(sx.tl.module_stability, lambda a: {"n_seeds": 1, "progress": False}),
    "tl.similar_genes": Call(sx.tl.similar_genes, a_gene),
    "tl.enrich": Call(sx.tl.enrich, lambda a: {"gene_sets": {"a set": list(a.var_names[:9])}}),
    "tl.read_gene_sets": Call(sx.tl.read_gene_sets, lambda a: {"gene_sets": {"a": ["b"]}}, section=False),
    "tl.interactions": Call(sx.tl.interactions, lambda a: {"n_neighbors": 4}),
    "tl.score_pairs": Call(sx.tl.score_pairs, lambda a: {"pairs": [(a.var_names[1], a.var_names[2])]}),
    "tl.domains": Call(sx.tl.domains, lambda a: {"n_domains": 3}),
    "tl.pattern": Call(sx.tl.pattern, lambda a: {"weights": {"domain": ["domain1"]}}),
    "tl.compare": Call(sx.tl.compare, lambda a: {"condition_key": "condition", "library_key": "slice"}),
    "pl.domains": Call(sx.pl.domains),
    "pl.embedding": Call(sx.pl.embedding),
    "pl.imputed": Call(sx.pl.imputed, lambda a: {"adata": imputed()}, section=False),
    "pl.interactions": Call(sx.pl.interactions, lambda a: {"n_genes": 5}),
    "pl.modules": Call(sx.pl.modules, lambda a: {"n_modules": 1, "n_genes": 1}),
    "pl.pattern": Call(
        sx.pl.pattern,
        lambda a: {"matches": pd.DataFrame({"gene": a.var_names[:2], "similarity": 0.5, "qvalue": 0.1}), "n_genes": 1},
    ),
    "pl.svg": Call(sx.pl.svg, lambda a: {"n_genes": 1}),
    "pl.training": Call(sx.pl.training),
    "report.write_report": Call(report),
    "genes_as_obs": Call(sx.genes_as_obs),
    "io.from_spatialdata": Call(
        sx.io.from_spatialdata, lambda a: {"sdata": sx.io.to_spatialdata(section())}, section=False
    ),
    "read": Call(sx.read, lambda a: {"path": "x.h5ad"}, section=False),
    "datasets.simulate_section": Call(
        sx.datasets.simulate_section, lambda a: {"n_genes": 40, "n_spots": 100, "n_modules": 2}, section=False
    ),
    "datasets.reference": Call(sx.datasets.reference, section=False),
    "datasets.fetch_dlpfc": Call(sx.datasets.fetch_dlpfc, section=False),
    "datasets.fetch_visium": Call(sx.datasets.fetch_visium, section=False),
    "Config": Call(sx.Config, section=False),
    "Config.from_dict": Call(sx.Config.from_dict, lambda a: {"values": {}}, section=False),
    "SpaCEX": Call(fit, section=False),
    "SpaCEX.fit_transform": Call(
        lambda images: sx.SpaCEX(QUICK, n_modules=3, progress=False).fit_transform(images), section=False
    ),
    "SpaCEX.transform": Call(lambda images: model().transform(images), section=False),
    "SpaCEX.transform_sections": Call(lambda images: model().transform_sections(images), section=False),
    "SpaCEX.predict_proba": Call(lambda images: model().predict_proba(images), section=False),
    "SpaCEX.save": Call(lambda directory: model().save(directory), section=False),
    "SpaCEX.load": Call(sx.SpaCEX.load, section=False),
    "Reference.load": Call(sx.Reference.load, section=False),
}
