"""Reading from and writing to AnnData. Packages above pass AnnData objects, packages below work on arrays.

Functions that read also validate, so that callers can check their whole input before any computation.
"""

from spacex._adata import keys
from spacex._adata.genes import embedded_gene_indices, gene_index, indices_sorted_by_name, read_gene_names
from spacex._adata.grid import (
    check_working_memory,
    choose_images,
    has_grid,
    rasterize_arguments,
    read_grid,
    read_images,
    read_pixel_covariates,
    read_pixel_of_spot,
    values_at_spots,
    write_grid,
)
from spacex._adata.labels import read_covariates, read_labels, read_sections
from spacex._adata.matrix import choose_matrix, read_gene_counts, read_gene_totals, read_gene_values, read_matrix
from spacex._adata.module_stability import read_module_stability, write_module_stability
from spacex._adata.on_disk import read_lazy
from spacex._adata.overlap import check_overlapping_sections
from spacex._adata.positions import (
    ARRAY_PAIRS,
    COORDINATE_PAIRS,
    choose_positions,
    common_spatial_keys,
    find_spatial_key,
    has_positions,
    read_array_positions,
    read_positions,
)
from spacex._adata.results import (
    read_components,
    read_embedding,
    read_expression_level,
    read_interactions,
    read_module_probability,
    read_modules,
    read_pattern,
    read_svg,
    restore_on_error,
    write_components,
    write_domains,
    write_embedding,
    write_expression_level,
    write_interactions,
    write_modules,
    write_pattern,
    write_svg,
    write_svg_sections,
)
from spacex._adata.section_embeddings import read_section_embeddings, write_section_embeddings
from spacex._adata.tissue_images import read_libraries, read_tissue_image
from spacex._adata.tissue_mask import log_off_tissue, read_tissue_mask, subset_to_tissue
from spacex._adata.uns import read_config, read_embedded_layer, read_uns, read_uns_entry, write_uns
from spacex._adata.validation import (
    MIN_PIXELS,
    check_genes_and_spots,
    check_n_spots,
    check_unique_gene_names,
    prepare_adata,
)

__all__ = [
    "ARRAY_PAIRS",
    "COORDINATE_PAIRS",
    "MIN_PIXELS",
    "check_genes_and_spots",
    "check_n_spots",
    "check_overlapping_sections",
    "check_unique_gene_names",
    "check_working_memory",
    "choose_images",
    "choose_matrix",
    "choose_positions",
    "common_spatial_keys",
    "embedded_gene_indices",
    "find_spatial_key",
    "gene_index",
    "has_grid",
    "has_positions",
    "indices_sorted_by_name",
    "keys",
    "log_off_tissue",
    "prepare_adata",
    "rasterize_arguments",
    "read_array_positions",
    "read_components",
    "read_config",
    "read_covariates",
    "read_embedded_layer",
    "read_embedding",
    "read_expression_level",
    "read_gene_counts",
    "read_gene_names",
    "read_gene_totals",
    "read_gene_values",
    "read_grid",
    "read_images",
    "read_interactions",
    "read_labels",
    "read_lazy",
    "read_libraries",
    "read_matrix",
    "read_module_probability",
    "read_module_stability",
    "read_modules",
    "read_pattern",
    "read_pixel_covariates",
    "read_pixel_of_spot",
    "read_positions",
    "read_section_embeddings",
    "read_sections",
    "read_svg",
    "read_tissue_image",
    "read_tissue_mask",
    "read_uns",
    "read_uns_entry",
    "restore_on_error",
    "subset_to_tissue",
    "values_at_spots",
    "write_components",
    "write_domains",
    "write_embedding",
    "write_expression_level",
    "write_grid",
    "write_interactions",
    "write_module_stability",
    "write_modules",
    "write_pattern",
    "write_section_embeddings",
    "write_svg",
    "write_svg_sections",
    "write_uns",
]
