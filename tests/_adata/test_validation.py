"""Views, backed files, columns of any type, and unusual entries of ``uns["spatial"]``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import spacex as sx
from spacex import _adata

QUICK = {"progress": False}


def section(seed: int = 0) -> AnnData:
    adata = sx.datasets.simulate_section(80, 400, 4, 3, depth=1.0, seed=seed)
    adata.obs["half"] = np.where(np.arange(400) % 2, "a", "b")
    return adata


# -- views -------------------------------------------------------------------------------------------------

TOOLS: dict[str, Callable[[AnnData], object]] = {
    "rasterize": sx.pp.rasterize,
    "gene_images": sx.pp.gene_images,
    "embed": lambda a: sx.tl.embed(a, n_modules=3, **QUICK),
    "svg": lambda a: sx.tl.svg(a, **QUICK),
}
PARTS: dict[str, Callable[[AnnData], AnnData]] = {
    "rows": lambda a: a[a.obs["half"] == "a"],
    "genes": lambda a: a[:, :50],
    "genes by name": lambda a: a[:, list(a.var_names[[40, 3, 17, *range(50, 80)]])],
    "rows and genes": lambda a: a[np.arange(400) < 300, 10:70],
    "a slice": lambda a: a[50:350],
}


def on_disk(adata: AnnData, path: Path, kind: str) -> AnnData:
    if kind == "memory":
        return adata
    adata.write_h5ad(path)
    return ad.read_h5ad(path, backed="r") if kind == "backed" else sx.read(path, lazy=True)


@pytest.mark.parametrize("kind", ["memory", "backed", "lazy"])
@pytest.mark.parametrize("part", PARTS)
def test_views_equal_copies(kind: str, part: str, tmp_path: Path) -> None:
    whole = on_disk(section(), tmp_path / "a.h5ad", kind)
    view, copied = PARTS[part](whole), PARTS[part](section()).copy()
    assert view.is_view
    with warnings.catch_warnings():
        warnings.simplefilter("error", ad.ImplicitModificationWarning)
        TOOLS["svg"](view)
    TOOLS["svg"](copied)
    np.testing.assert_array_equal(view.var["spacex_svg_score"], copied.var["spacex_svg_score"])
    assert "spacex_svg_score" not in whole.var  # the parent is unchanged
    assert whole.n_obs == 400


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("kind", ["memory", "backed"])
def test_every_tool_takes_a_view(tool: str, kind: str, tmp_path: Path) -> None:
    whole = on_disk(section(), tmp_path / "a.h5ad", kind)
    TOOLS[tool](whole[whole.obs["half"] == "a"])
    TOOLS[tool](whole)  # the file stays open


def test_all_tools_accept_a_view_of_a_file(tmp_path: Path) -> None:
    backed = on_disk(section(), tmp_path / "a.h5ad", "backed")
    part, plain = backed[backed.obs["half"] == "a"], section()
    plain = plain[plain.obs["half"] == "a"].copy()
    for adata in (part, plain):
        sx.tl.embed(adata, n_modules=3, **QUICK)
        sx.tl.interactions(adata)
        sx.tl.domains(adata, n_domains=3)
        sx.tl.modules(adata, n_modules=2)
        sx.tl.pattern(adata, "true_library")
    np.testing.assert_array_equal(part.varm["X_spacex"], plain.varm["X_spacex"])
    assert part.obs["spacex_domain"].tolist() == plain.obs["spacex_domain"].tolist()
    part.write_h5ad(tmp_path / "result.h5ad")
    assert "X_spacex" in sx.read(tmp_path / "result.h5ad").varm


def test_errors_leave_views_unchanged(tmp_path: Path) -> None:
    backed = on_disk(section(), tmp_path / "a.h5ad", "backed")
    for whole in (backed, section()):
        part = whole[whole.obs["half"] == "a"]
        with pytest.raises(sx.InputError, match="layer='absent'"):
            sx.pp.gene_images(part, layer="absent")
        with pytest.raises(sx.InputError, match="library_key='absent'"):
            sx.tl.embed(part, library_key="absent", **QUICK)
        assert set(part.obsm) == set(section().obsm)
        assert "spacex" not in part.uns


def test_results_of_views_are_read_and_plotted(tmp_path: Path) -> None:
    adata = section()
    sx.tl.embed(adata, n_modules=3, **QUICK)
    sx.tl.domains(adata, n_domains=3)
    adata.obs["in_tissue"] = np.where(np.arange(400) % 5, 1, 0)
    for kind in ("memory", "backed"):
        whole = on_disk(adata, tmp_path / "a.h5ad", kind)
        part = whole[50:350]
        assert len(sx.tl.similar_genes(part, "gene0001", n=5)) == 5
        assert len(sx.tl.markers(part, n=2)) > 0
        sx.pl.gene_images(part, "gene0001")
        sx.pl.domains(part)
        assert part.is_view


# -- columns -----------------------------------------------------------------------------------------------

LABELS: dict[str, Callable[[np.ndarray], Any]] = {
    "category": pd.Categorical,
    "category with one that no spot has": lambda x: pd.Categorical(x, categories=["zz", *np.unique(x)]),
    "category of numbers": lambda x: pd.Categorical(pd.factorize(x, sort=True)[0]),
    "string": lambda x: pd.array(x, dtype="string"),
    "objects": lambda x: x.astype(object),
    "nullable int": lambda x: pd.array(pd.factorize(x, sort=True)[0], dtype="Int64"),
    "float": lambda x: pd.factorize(x, sort=True)[0].astype(float),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", LABELS)
def test_labels_may_be_of_any_type(form: str) -> None:
    parts = {name: section(seed) for seed, name in enumerate("abcd")}
    plain = ad.concat(parts, label="slice", index_unique="-")
    plain.obs["state"] = np.where(plain.obs["slice"].isin(["a", "b"]), "case", "control")
    adata = plain.copy()
    for column in ("slice", "state", "domain", "half"):
        adata.obs[column] = LABELS[form](plain.obs[column].to_numpy().astype(str))
    tables = []
    for one in (adata, plain):
        sx.tl.embed(one, n_modules=3, library_key="slice", **QUICK)
        sx.tl.svg(one, covariates=["half"], **QUICK)
        tables.append((
            sx.tl.compare(one, condition_key="state", library_key="slice")["pvalue"],
            sx.tl.markers(one, groupby="domain", n=3)["gene"],
        ))  # fmt: skip
    np.testing.assert_array_equal(adata.varm["X_spacex_sections"], plain.varm["X_spacex_sections"])
    for ours, theirs in zip(*tables, strict=True):
        pd.testing.assert_series_equal(ours, theirs)
    if "int" not in form and form != "float":  # numbers have a linear effect
        np.testing.assert_array_equal(adata.var["spacex_svg_score"], plain.var["spacex_svg_score"])


def test_missing_values_of_nullable_columns_raise() -> None:
    adata = section()
    adata.obs["weight"] = pd.array([pd.NA, *range(399)], dtype="Int64")
    adata.obs["slice"] = pd.array([pd.NA, *["a"] * 399], dtype="string")
    sx.tl.embed(adata, n_modules=3, **QUICK)
    for call, message in (
        (lambda: sx.tl.pattern(adata, "weight"), r"obs\['weight'\] holds 1 NaN"),
        (lambda: sx.tl.svg(adata, covariates=["weight"], **QUICK), r"obs\['weight'\] is missing for 1 spot"),
        (lambda: sx.pp.rasterize(adata, library_key="slice"), r"obs\['slice'\] is missing for 1 spot"),
    ):
        with pytest.raises(sx.InputError, match=message):
            call()


# -- uns["spatial"] ----------------------------------------------------------------------------------------

IMAGE = np.random.default_rng(0).random((60, 60, 3))
FACTORS = {"tissue_hires_scalef": 0.02, "spot_diameter_fullres": 55.0}
SPATIAL: dict[str, tuple[Any, bool]] = {
    "a flag beside the library": (
        {"is_single": np.bool_(True), "lib": {"images": {"hires": IMAGE}, "scalefactors": FACTORS}}, True
    ),
    "a library without images": ({"lib": {"scalefactors": FACTORS}}, False),
    "images that are none": ({"lib": {"images": None, "scalefactors": None}}, False),
    "an image that is a path": ({"lib": {"images": {"hires": "tissue.png"}, "scalefactors": FACTORS}}, False),
    "no scale": ({"lib": {"images": {"hires": IMAGE}, "scalefactors": {}}}, False),
    "metadata alone": ({"lib": {"metadata": {"chemistry": "v1"}}, "version": 2}, False),
    "only a flag": ({"is_single": True}, False),
    "no mapping": (True, False),
    "a lowres image beside none": (
        {"lib": {"images": {"hires": None, "lowres": IMAGE[..., 0]}, "scalefactors": {"tissue_lowres_scalef": 0.02}}},
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPATIAL)
def test_other_entries_than_libraries_are_ignored(kind: str) -> None:
    uns, has_image = SPATIAL[kind]
    adata = section()
    adata.uns["spatial"] = uns
    assert (_adata.read_tissue_image(adata, None) is not None) == has_image
    sx.pp.rasterize(adata)
    axes = sx.pl.gene_images(adata, "gene0001", image=True)
    assert (axes.get_images()[0].get_array().shape[2] == 3) == has_image
    sdata = sx.io.to_spatialdata(adata)
    assert len(sdata.images) == (1 if has_image or kind == "no scale" else 0)
    back = sx.io.from_spatialdata(sdata)
    assert str(back.uns["spatial"]).count("lib") == str(uns).count("lib")
    if isinstance(uns, dict) and "is_single" in uns:
        assert bool(back.uns["spatial"]["is_single"])
