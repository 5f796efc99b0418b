"""Unusual and invalid sections, with patterns of the expected messages, for all calls.

``test_messages.py`` tests `pp.rasterize` and `tl.embed` in more detail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from tests.invalid_input.cases import SectionKind as K

NAN, INF = float("nan"), float("inf")
MATRIX = (
    "pp.gene_images", "tl.embed", "tl.svg", "tl.impute, reference", "tl.impute", "tl.markers", "pl.gene_images",
)  # fmt: skip
USES_COORDINATES = ("pp.rasterize", "pp.gene_images", "tl.embed", "tl.svg", "pl.gene_images")
NAMES = ("pp.gene_images", "tl.embed", "tl.svg", "tl.impute, reference", "tl.impute")


def counts(change: Callable[[np.ndarray], Any]) -> Callable[[AnnData], None]:
    def make(adata: AnnData) -> None:
        adata.X = change(adata.X.toarray().astype(np.float64))

    return make


def entry(value: float, sparse: type = sp.csr_matrix) -> Callable[[AnnData], None]:
    def change(x: np.ndarray) -> Any:
        x[3, 2] = value
        return sparse(x)

    return counts(change)


def coordinates(change: Callable[[np.ndarray], Any]) -> Callable[[AnnData], None]:
    def make(adata: AnnData) -> None:
        adata.obsm["spatial"] = change(np.asarray(adata.obsm["spatial"]))
        adata.obs = adata.obs.drop(columns=["array_row", "array_col"])

    return make


def genes(change: Callable[[list[str]], list[str]]) -> Callable[[AnnData], None]:
    def make(adata: AnnData) -> None:
        adata.var_names = change(list(adata.var_names))

    return make


def spots(n: int) -> Callable[[AnnData], AnnData]:
    return lambda adata: adata[:n].copy()


def only_genes(n: int) -> Callable[[AnnData], AnnData]:
    return lambda adata: adata[:, :n].copy()


def no_coords(adata: AnnData) -> None:
    del adata.obsm["spatial"]
    adata.obs = adata.obs.drop(columns=["array_row", "array_col"])  # otherwise used instead


def library(change: Callable[[AnnData], Any]) -> Callable[[AnnData], None]:
    def make(adata: AnnData) -> None:
        adata.obs["library"] = change(adata)

    return make


def without_a_library(adata: AnnData) -> AnnData:
    """Add a category without spots."""
    adata.obs["library"] = pd.Categorical(["a"] * adata.n_obs, categories=["a", "gone"])
    return adata


def stored_zeros(adata: AnnData) -> None:
    adata.X.data[:] = 0


def unsorted(adata: AnnData) -> None:
    """Store the columns of each row in descending order."""
    csr = adata.X.tocsr()
    order = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(csr.indptr[:-1], csr.indptr[1:], strict=True)])
    data, indices = csr.data[order], csr.indices[order]
    adata.X = sp.csr_matrix((data, indices, csr.indptr), csr.shape)


def in_parts(adata: AnnData) -> None:
    """Store every count x as two duplicate entries, 1 and x - 1."""
    csr = adata.X.tocsr()
    data = np.column_stack([np.ones_like(csr.data), csr.data - 1]).ravel()
    adata.X = sp.csr_matrix((data, np.repeat(csr.indices, 2), csr.indptr * 2), csr.shape)


def index_outside(index: int) -> Callable[[AnnData], None]:
    def change(adata: AnnData) -> None:
        csr = adata.X.tocsr().copy()
        csr.indices[5] = index
        adata.X = csr

    return change


def text_layer(adata: AnnData) -> None:
    adata.layers["counts"] = np.full(adata.shape, "many", dtype=object)


def mixed(*labels: Any) -> Callable[[AnnData], None]:
    """Repeat labels of any types."""
    return library(lambda a: pd.Series([labels[i % len(labels)] for i in range(a.n_obs)], a.obs_names, dtype=object))


LIBRARY: dict[str, Any] = {"settings": {"library_key": "library"}, "only": ("pp.rasterize", "tl.embed")}
LABELS: dict[str, Any] = {"settings": {"groupby": "library"}, "only": ("tl.markers",), "flags": None}
FLAGS = ("--library-key", "library")
SPLIT = library(lambda a: np.where(np.arange(a.n_obs) < 80, "a", "b"))

SECTIONS: list[K] = [
    # invalid matrices
    K("no matrix", counts(lambda x: None), r"adata.X is empty", only=MATRIX),
    K("NaN, CSR", entry(NAN), r"adata.X holds 1 NaN", only=MATRIX),
    K("NaN, CSC", entry(NAN, sp.csc_matrix), r"adata.X holds 1 NaN", only=MATRIX),
    K("NaN, dense", entry(NAN, np.asarray), r"adata.X holds 1 NaN", only=MATRIX),
    K("infinity", entry(INF), r"adata.X holds 1 NaN or infinite", only=MATRIX),
    K("minus infinity", entry(-INF), r"adata.X holds 1 NaN or infinite", only=MATRIX),
    K("all NaN", counts(lambda x: x * NAN), r"adata.X holds \d+ NaN", only=MATRIX),
    K("a negative", entry(-3), r"adata.X holds negative values \(smallest -3\)", only=MATRIX),
    K("centered", counts(lambda x: x - x.mean()), r"adata.X holds negative", only=MATRIX),
    K("all zero", counts(np.zeros_like), r"adata.X is zero everywhere", only=MATRIX),
    K("all zero, CSR", counts(lambda x: sp.csr_matrix(x.shape)), r"adata.X is zero everywhere", only=MATRIX),
    K("stored zeros", stored_zeros, r"adata.X is zero everywhere", only=MATRIX),
    K("complex", counts(lambda x: x + 1j), r"adata.X holds complex128", only=MATRIX, flags=None),
    K("text", counts(lambda x: x.astype(str).astype(object)), r"adata.X holds object values", only=MATRIX, flags=None),
    K("too large for float32", entry(1e39), r"adata.X holds .*(large|1e|3.4)", only=MATRIX),
    K("an index far outside", index_outside(10**6), r"damaged:.* indices must be < 70", only=MATRIX),
    K("an index just outside", index_outside(70), r"damaged:.* indices must be < 70", only=MATRIX),
    K("an index below zero", index_outside(-3), r"damaged:.* indices must be >= 0", only=MATRIX),
    K("counts beyond 64 bits", counts(lambda x: x * 1e17), r"adata.X holds values too large", only=MATRIX),
    K("values at the end of float32", entry(3e38), r"adata.X holds values too large", only=MATRIX),
    K("intensities of nothing", counts(lambda x: np.log1p(x) * 1e-30), r"adata.X holds only values too small",
      only=MATRIX),
    K("a layer of text", text_layer, r"layers\['counts'\] holds object", settings={"layer": "counts"},
      only=("pp.gene_images", "tl.embed", "tl.svg", "tl.markers", "pl.gene_images"), flags=None),
    # valid matrices
    K("dense", counts(np.asarray), None),
    K("dense in columns", counts(np.asfortranarray), None),
    K("CSC", counts(sp.csc_matrix), None),
    K("sparse array", counts(sp.csr_array), None),
    K("unsorted indices", unsorted, None),
    K("counts in parts", in_parts, None),
    K("float16", counts(lambda x: x.astype(np.float16)), None),
    K("float64", counts(sp.csr_matrix), None),
    K("int32", counts(lambda x: x.astype(np.int32)), None),
    K("uint8", counts(lambda x: np.minimum(x, 255).astype(np.uint8)), None),
    K("int64 above 2^31", counts(lambda x: (x * 2**33).astype(np.int64)), None),
    K("big-endian", counts(lambda x: x.astype(">f4")), None),
    K("boolean", counts(lambda x: x > 1), None),
    K("counts of 10^14", counts(lambda x: x * 1e13), None),
    K("intensities of 10^-10", counts(lambda x: np.log1p(x) * 1e-10), None),
    K("intensities of 10^13", counts(lambda x: np.log1p(x) * 1e13), None),
    K("fractions", counts(lambda x: np.log1p(x)), None),
    K("an empty gene and an empty spot", counts(lambda x: x * (np.arange(x.shape[1]) > 0) * (
        np.arange(len(x))[:, None] > 0)), None),
    K("one spot holds nearly all", counts(lambda x: x + 10_000 * (np.arange(len(x))[:, None] == 7)), None),
    K("counts in nine spots", counts(lambda x: x * (np.arange(len(x))[:, None] < 9)), r"only 9 pixel\(s\) hold counts",
      only=("pp.gene_images", "tl.embed", "tl.svg")),
    K("constant", counts(np.ones_like), r"no (panel )?gene varies",
      only=("tl.embed", "tl.impute", "tl.impute, reference")),
    # coordinates
    K("no coordinates", no_coords, r"obsm\['spatial'\] is missing", only=(*USES_COORDINATES, "io.to_spatialdata")),
    K("NaN coordinate", coordinates(lambda xy: np.where(np.arange(len(xy))[:, None] == 3, NAN, xy)),
      r"obsm\['spatial'\] holds 2 NaN", only=(*USES_COORDINATES, "io.to_spatialdata", "tl.impute")),
    K("infinite coordinate", coordinates(lambda xy: np.where(np.arange(len(xy))[:, None] == 3, INF, xy)),
      r"obsm\['spatial'\] holds 2 NaN or inf", only=(*USES_COORDINATES, "io.to_spatialdata", "tl.impute")),
    K("one column", coordinates(lambda xy: xy[:, :1]), r"obsm\['spatial'\] has shape",
      only=(*USES_COORDINATES, "io.to_spatialdata", "tl.impute")),
    K("no column", coordinates(lambda xy: xy[:, :0]), r"obsm\['spatial'\] has shape",
      only=(*USES_COORDINATES, "io.to_spatialdata", "tl.impute")),
    K("words for coordinates", coordinates(lambda xy: xy.astype(str).astype(object) + " px"),
      r"obsm\['spatial'\] does not hold numbers",
      only=(*USES_COORDINATES, "io.to_spatialdata", "tl.impute"), flags=None),
    K("all in one place", coordinates(lambda xy: xy * 0 + 5), r"all spots lie in one place", only=USES_COORDINATES),
    K("beyond all scales", coordinates(lambda xy: xy * 1e200), r"obsm\['spatial'\] holds values above",
      only=USES_COORDINATES),
    K("three columns", coordinates(lambda xy: np.column_stack([xy, xy[:, 0]])), None),
    K("collinear", coordinates(lambda xy: np.column_stack([np.arange(len(xy)), np.arange(len(xy))])), None),
    K("in a row", coordinates(lambda xy: np.column_stack([np.arange(len(xy)), np.zeros(len(xy))])), None),
    K("duplicated", coordinates(lambda xy: np.repeat(xy[::2], 2, axis=0)), None),
    K("huge", coordinates(lambda xy: xy * 1e12), None),
    K("tiny", coordinates(lambda xy: xy * 1e-12), None),
    K("far away", coordinates(lambda xy: xy + 1e9), None),
    K("negative", coordinates(lambda xy: -xy), None),
    K("swapped", coordinates(lambda xy: xy[:, ::-1]), None),
    K("whole numbers", coordinates(lambda xy: np.rint(xy).astype(np.int64)), None),
    # names
    K("genes of one name", genes(lambda n: [n[0], n[0], *n[2:]]), r"1 gene name\(s\) occur more than once", only=NAMES),
    K("genes without names", genes(lambda n: [""] * len(n)), r"first: ''", only=NAMES),
    K("an empty name", genes(lambda n: ["", *n[1:]]), None),
    K("unicode", genes(lambda n: [f"基因-{name}-β🧬" for name in n]), None),
    K("numbers", genes(lambda n: [str(i) for i in range(len(n))]), None),
    K("10,000 characters", genes(lambda n: ["x" * 10_000 + name for name in n]), None),
    K("HTML", genes(lambda n: [f"<script>alert('{name}')</script>&amp;\"" for name in n]), None),
    K("dollars and backslashes", genes(lambda n: [f"$\\frac{{{name}}}$\\" for name in n]), None),
    K("line feeds", genes(lambda n: [f"{name}\nb\tc" for name in n]), None),
    K("words of CSV formulas", genes(lambda n: [f"=cmd|'{name}'!A0" for name in n]), None),
    # sizes
    K("no spot", spots(0), r"0 spot\(s\)|X is|no spots", only=("pp.rasterize", *MATRIX[:-2])),
    K("one spot", spots(1), r"1 spot\(s\)", only=("pp.rasterize", *NAMES)),
    K("two spots", spots(2), r"2 spot\(s\)", only=("pp.rasterize", *NAMES)),
    K("nine spots", spots(9), r"9 spot\(s\)", only=("pp.rasterize", *NAMES)),
    K("no gene", only_genes(0), r"0 gene(\(s\)|s)", only=NAMES),
    K("one gene", only_genes(1), r"1 gene(\(s\)|s)", only=NAMES),
    K("ten spots", spots(10), None, only=("pp.rasterize", "pp.gene_images", "tl.svg", "pl.gene_images"), flags=None),
    K("ten genes", only_genes(10), None, only=("pp.rasterize", "pp.gene_images", "tl.embed", "tl.svg"), flags=None),
    # sections of several
    K("library of one spot", library(lambda a: ["tiny"] + ["a"] * (a.n_obs - 1)), r"section\(s\) tiny", flags=FLAGS,
      **LIBRARY),
    K("library missing", library(lambda a: [None] + ["a"] * (a.n_obs - 1)), r"missing for 1 spot", flags=FLAGS,
      **LIBRARY),
    K("library without counts", lambda a: (SPLIT(a), counts(lambda x: x * (np.arange(len(x))[:, None] < 80))(a))[0],
      None, flags=FLAGS, **LIBRARY),
    K("library without spots", without_a_library, None, flags=FLAGS, **LIBRARY),
    K("a library for each spot", library(lambda a: a.obs_names), r"spot0001, .*, \.\.\. \(160 of 160\) of obs",
      flags=FLAGS, **LIBRARY),
    K("libraries that are one as text", mixed(1, "1"), r"obs\['library'\] holds '1' in more than one type",
      flags=None, **LIBRARY),
    K("libraries of lists", mixed(["a"], ["b"]), r"obs\['library'\] does not hold names", flags=None, **LIBRARY),
    K("libraries of two types", mixed(1, "a"), None, flags=None, **LIBRARY),
    K("labels of lists", mixed(["a"], ["b"]), r"obs\['library'\] does not hold names", **LABELS),
    K("labels that are one as text", mixed(1, "1"), r"obs\['library'\] holds '1' in more than one type", **LABELS),
    K("labels of two types", mixed(1, "a", None), None, **LABELS),
    K("labels and one that is empty", mixed("", "a", None), None, **LABELS),
    K("libraries by number", library(lambda a: np.arange(a.n_obs) // 80), None, flags=FLAGS, **LIBRARY),
]  # fmt: skip
