"""Names of the AnnData slots that SpaCEX writes or reads. No other module spells them out."""

from __future__ import annotations

UNS = "spacex"
"""``uns``: parameters, grid, history, versions and results that are not arrays."""

PIXEL = "spacex_pixel"
"""``obsm`` (S, 2): row and column of each spot's pixel; (-1, -1) off the tissue."""

EMBEDDING = "X_spacex"
"""``varm`` (G, D): embedding of each gene; NaN for genes that were not embedded."""

WITHOUT_REFERENCE = "X_spacex_without_reference"
"""``varm`` (G, D): embedding of each gene from this section alone; only if a reference changed `EMBEDDING`."""

COFUNCTION = "X_spacex_cofunction"
"""``varm`` (G, D'): vectors for questions about the function of genes."""

FROM_REFERENCE = "spacex_from_reference"
"""``var``: whether the vector in `COFUNCTION` comes from the reference alone."""

SECTION_EMBEDDINGS = "X_spacex_sections"
"""``varm`` (G, n_sections, D): embedding of each gene in each section."""

UMAP = "X_spacex_umap"
"""``varm`` (G, 2): layout of the genes for plots and the report; read if present, never written."""

COMPONENTS = "spacex_components"
"""``obsm`` (S, D): value of each embedding dimension at each spot."""

MODULE = "spacex_module"
"""``var``: module of each gene, categorical."""

UNASSIGNED = "unassigned"
"""Category of ``MODULE`` for genes without a module."""

MODULE_PROB = "spacex_module_prob"
"""``var``: probability that the assignment of the gene, to its module or to none, is correct."""

JACCARD_HALVES = "spacex_module_jaccard_halves"
"""``var``: Jaccard index of the gene's module with modules refitted to halves of the counts."""

JACCARD_SEEDS = "spacex_module_jaccard_seeds"
"""``var``: Jaccard index of the gene's module with modules refitted from other starts."""

EXPRESSION_LEVEL = "spacex_expression_level"
"""``var``: expression level of each gene, from 0; -1 for genes that were not embedded."""

IMPUTED = "spacex_imputed"
"""``var``: whether the values of a gene are predictions of `impute`, not measurements."""

SVG_PREFIX = "spacex_svg"
"""``var``: prefix of the columns of the SVG test; see `svg_column`."""

SVG_SECTIONS = "spacex_svg_sections"
"""``varm`` (G, n_sections): SVG score of each gene in each section."""

INTERACTIONS = "spacex_interactions"
"""``varp`` (G, G): probability of each kept gene pair, sparse and symmetric."""

DOMAIN = "spacex_domain"
"""``obs``: tissue domain of each spot, categorical."""

DOMAIN_PROB = "spacex_domain_prob"
"""``obs``: probability of the domain."""

DOMAIN_FEATURES = "X_spacex_spots"
"""``obsm`` (S, n_features): features from which the domains were computed."""

PATTERN = "spacex_pattern"
"""``obs``: query weights of `spacex.tl.pattern`."""

GENE_STRENGTH = "spacex_strength"
"""``obs`` of `spacex.get.genes_as_obs`: norm of each gene's embedding."""

REGION = "spacex_region"
"""``obs``: SpatialData region of each spot."""

INSTANCE = "spacex_spot"
"""``obs``: SpatialData instance of each spot."""

IMAGES = "spacex_images"
"""``uns``: tissue images moved to a SpatialData object."""


def svg_column(name: str) -> str:
    """Column of ``var`` that holds a result of the SVG test, such as ``"score"`` or ``"qvalue"``."""
    return f"{SVG_PREFIX}_{name}"
