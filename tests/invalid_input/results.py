"""Changed or incomplete results, with patterns of the expected messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

Change = Callable[[AnnData], AnnData | None]


@dataclass(frozen=True)
class ResultKind:
    """A changed result, the calls that depend on the change, and their message; None: the calls succeed."""

    name: str
    change: Change
    message: str | None
    calls: tuple[str, ...]
    commands: tuple[str, ...] = ()  # the commands that print the message


def slot(where: str, key: str, change: Callable[[Any], Any]) -> Change:
    def make(adata: AnnData) -> None:
        mapping = getattr(adata, where)
        mapping[key] = change(mapping[key])

    return make


def removed(where: str, *keys: str) -> Change:
    def make(adata: AnnData) -> None:
        for key in keys:
            del getattr(adata, where)[key]

    return make


def entry(name: str, change: Callable[[Mapping[str, Any]], Any]) -> Change:
    def make(adata: AnnData) -> None:
        adata.uns["spacex"] = {**adata.uns["spacex"], name: change(adata.uns["spacex"][name])}

    return make


def without(*keys: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return lambda values: {key: value for key, value in values.items() if key not in keys}


def uns(value: Any) -> Change:
    def make(adata: AnnData) -> None:
        adata.uns["spacex"] = value

    return make


def renamed(adata: AnnData) -> None:
    names = {"0": "Myelin", "1": "Glia & <co>", "2": "$x^2$"}
    adata.var["spacex_module"] = adata.var["spacex_module"].cat.rename_categories(names)


def twice(adata: AnnData) -> None:
    """Give a second gene the name that the calls use."""
    adata.var_names = [adata.var_names[0], adata.var_names[1], adata.var_names[1], *adata.var_names[3:]]


def concatenated(adata: AnnData) -> AnnData:
    """Concatenate two halves by `anndata.concat` with ``merge="same"``, which drops ``uns``."""
    return ad.concat([adata[:80], adata[80:]], merge="same")


def text(values: Any) -> Any:
    return np.asarray(values).astype(str)


GRID = ("pp.gene_images", "tl.embed", "tl.svg", "tl.domains", "tl.pattern", "pl.modules", "report.write_report")
EMBEDDING = (
    "tl.modules", "tl.similar_genes", "tl.enrich", "tl.interactions", "tl.score_pairs", "tl.domains", "tl.pattern",
    "pl.interactions", "pl.modules", "report.write_report", "genes_as_obs", "tl.impute, reference",
)  # fmt: skip
COMPONENTS = ("tl.pattern", "report.write_report")
MODULES = ("tl.enrich", "tl.compare", "pl.embedding", "pl.interactions", "pl.modules", "report.write_report")
BOTH, REPORT = ("report", "query"), ("report",)

RESULTS: list[ResultKind] = [
    ResultKind(name, change, message, calls, commands)
    for name, change, message, calls, commands in [
        # the grid
        ("pixels outside", slot("obsm", "spacex_pixel", lambda p: p + 1000), r"160 spot\(s\) outside the grid", GRID,
         REPORT),
        ("pixels of fractions", slot("obsm", "spacex_pixel", lambda p: p + 0.5), r"type float64 is not what", GRID,
         REPORT),
        ("pixels of text", slot("obsm", "spacex_pixel", text), r"spacex_pixel.*is not what", GRID, REPORT),
        ("a grid of text", entry("grid", str), r"grid.*it is a str.*call sx.pp.rasterize", GRID, REPORT),
        *(
            (f"no {field}", entry("grid", without(field)), rf"{field} missing.; call sx.pp.rasterize", GRID, REPORT)
            for field in ("height", "section", "kind", "spatial_key", "library_key")
        ),
        ("a grid that is short", entry("grid", lambda g: {**g, "height": g["height"][:1]}), r"call sx.pp.rasterize",
         GRID, REPORT),
        # uns
        ("notes of text", uns("text"), r'uns\["spacex"\] is a str',
         (*GRID, "pp.rasterize", "tl.modules", "tl.interactions", "tl.compare", "tl.markers", "pl.gene_images",
          "pl.training", "genes_as_obs"), REPORT),
        ("notes in an array", uns(np.ones(3)), r'uns\["spacex"\] is a ndarray', (*GRID, "tl.modules"), REPORT),
        ("concatenated", concatenated, r"seed missing.; call sx.tl.embed", ("tl.modules",), ()),
        ("no seed", entry("embed", without("seed")), r"seed missing.; call sx.tl.embed", ("tl.modules",), ()),
        ("a seed of text", entry("embed", lambda e: {**e, "seed": "x"}), r"seed.*='x'", ("tl.modules",), ()),
        ("no null genes", entry("null_genes", without("embedding", "n_smooth")), r"embedding, n_smooth missing",
         ("tl.modules",), ()),
        ("null genes of other dimensions", entry("null_genes", lambda n: {**n, "embedding": n["embedding"][:, :3]}),
         r"null_genes.*does not match the embedding; call sx.tl.embed", ("tl.modules",), ()),
        ("fewer null genes", entry("null_genes", lambda n: {**n, "level": n["level"][:3]}),
         r"null_genes.*does not match", ("tl.modules",), ()),
        ("null genes of text", entry("null_genes", str), r"null_genes.*it is a str", ("tl.modules",), ()),
        ("null genes of words", entry("null_genes", lambda n: {**n, "embedding": text(n["embedding"]) + "x"}),
         r"null_genes", ("tl.modules",), ()),
        ("null genes of NaN", entry("null_genes", lambda n: {**n, "embedding": n["embedding"] * np.nan}),
         r"null_genes", ("tl.modules",), ()),
        ("huge levels of null genes", entry("null_genes", lambda n: {**n, "level": n["level"] + 2**40}), r"null_genes",
         ("tl.modules",), ()),
        ("levels of words", entry("null_genes", lambda n: {**n, "level": text(n["level"]) + "x"}), r"null_genes",
         ("tl.modules",), ()),
        ("many smooth dimensions", entry("null_genes", lambda n: {**n, "n_smooth": 99}), r"n_smooth.*=99",
         ("tl.modules",), ()),
        ("settings of text", entry("parameters", str), r"parameters.*it is a str",
         ("tl.modules", "tl.domains", "tl.pattern", "report.write_report"), REPORT),
        ("pairs noted as text", entry("interactions", str), r"call sx.tl.interactions", ("tl.score_pairs",), ()),
        # the embedding
        ("3-D", slot("varm", "X_spacex", lambda z: z[..., None]), r"X_spacex.*shape \(70, \d+, 1\)", EMBEDDING, BOTH),
        ("sparse", slot("varm", "X_spacex", sp.csr_matrix), r"X_spacex.*csr_matrix", EMBEDDING, BOTH),
        ("text", slot("varm", "X_spacex", text), r"X_spacex.*is not what SpaCEX wrote", EMBEDDING, BOTH),
        ("all NaN", slot("varm", "X_spacex", lambda z: z * np.nan), r"X_spacex.*holds no embedding", EMBEDDING, BOTH),
        ("too narrow", slot("varm", "X_spacex", lambda z: z[:, :3]), r"\d+ dimensions.*has 3", COMPONENTS, REPORT),
        ("narrow components", slot("obsm", "spacex_components", lambda c: c[:, :3]), r"has 3 dimensions",
         COMPONENTS, REPORT),
        ("components of NaN", slot("obsm", "spacex_components", lambda c: c * np.nan), r"components.*holds \d+ NaN",
         COMPONENTS, REPORT),
        ("components of text", slot("obsm", "spacex_components", text), r"components.*is not what SpaCEX wrote",
         (*COMPONENTS, "tl.compare"), REPORT),
        ("flat sections", slot("varm", "X_spacex_sections", lambda z: z[:, 0]), r"X_spacex_sections.*is not what",
         ("tl.compare",), ()),
        ("a table", lambda a: slot("varm", "X_spacex", lambda z: pd.DataFrame(z, a.var_names).add_prefix("d"))(a), None,
         EMBEDDING, ()),
        # columns
        ("named modules", renamed, None, MODULES, ()),
        ("modules as text", slot("var", "spacex_module", lambda m: m.astype(str)), None, MODULES, ()),
        ("modules as numbers", slot("var", "spacex_module", lambda m: np.arange(len(m)) % 3), None, MODULES, ()),
        ("no modules", removed("var", "spacex_module"), r"the genes have no modules yet", MODULES, REPORT),
        ("no probability", removed("var", "spacex_module_prob"), r"spacex_module_prob.* is missing",
         ("pl.modules", "report.write_report"), REPORT),
        ("probability of text", slot("var", "spacex_module_prob", text), r"spacex_module_prob.*does not hold numbers",
         ("pl.modules", "report.write_report"), REPORT),
        ("no expression level", removed("var", "spacex_expression_level"), r"spacex_expression_level.* is missing",
         ("tl.modules",), ()),
        ("expression levels of text", slot("var", "spacex_expression_level", lambda v: text(v) + "x"),
         r"spacex_expression_level.*does not hold numbers", ("tl.modules",), ()),
        ("negative expression levels", slot("var", "spacex_expression_level", lambda v: v - 1),
         r"spacex_expression_level.*is not what SpaCEX wrote", ("tl.modules",), ()),
        ("huge expression levels", slot("var", "spacex_expression_level", lambda v: v.astype(int) + 2**40),
         r"spacex_expression_level.*has level", ("tl.modules",), ()),
        ("scores of text", slot("var", "spacex_svg_score", text), r"spacex_svg_score.*does not hold numbers",
         ("pl.svg", "report.write_report"), REPORT),
        ("no p-values", removed("var", "spacex_svg_pvalue"), r"spacex_svg_pvalue.*call sx.tl.svg",
         ("report.write_report",), REPORT),
        ("no q-values", removed("var", "spacex_svg_qvalue"), r"spacex_svg_qvalue.*call sx.tl.svg",
         ("pl.svg", "report.write_report"), REPORT),
        ("pairs of text", slot("varp", "spacex_interactions", lambda p: text(p.toarray())), r"does not hold numbers",
         ("pl.interactions", "report.write_report"), REPORT),
        # names
        ("genes of one name", twice, r"make_unique",
         ("tl.similar_genes", "tl.score_pairs", "tl.markers", "pl.gene_images", "report.write_report"), BOTH),
    ]
]  # fmt: skip
