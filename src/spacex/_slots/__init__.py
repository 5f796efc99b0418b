"""The one border between AnnData and arrays: what is read from an AnnData, and every slot that is written to it.

Everything above speaks AnnData, everything below speaks arrays, and nothing else crosses. Reading checks, so that
every call can check all of its input before it does any work.
"""

from ._grid import (
    PIXEL,
    has_grid,
    read_grid,
    read_images,
    read_pixel_covariates,
    read_pixel_of_spot,
    write_grid,
)
from ._input import (
    FEWEST_PIXELS,
    check_names,
    read_array,
    read_covariates,
    read_matrix,
    read_positions,
    read_sections,
)
from ._notes import KEY, note, noted
from ._results import (
    DOMAIN,
    EMBEDDING,
    MODULE,
    MODULE_PROB,
    SECTIONS,
    SVG,
    UNASSIGNED,
    gene_index,
    read_embedding,
    read_modules,
    restored_on_error,
    write_domains,
    write_embedding,
    write_modules,
    write_section_embeddings,
    write_svg,
    write_svg_sections,
)

__all__ = [
    "DOMAIN",
    "EMBEDDING",
    "FEWEST_PIXELS",
    "KEY",
    "MODULE",
    "MODULE_PROB",
    "PIXEL",
    "SECTIONS",
    "SVG",
    "UNASSIGNED",
    "check_names",
    "gene_index",
    "has_grid",
    "note",
    "noted",
    "read_array",
    "read_covariates",
    "read_embedding",
    "read_grid",
    "read_images",
    "read_matrix",
    "read_modules",
    "read_pixel_covariates",
    "read_pixel_of_spot",
    "read_positions",
    "read_sections",
    "restored_on_error",
    "write_domains",
    "write_embedding",
    "write_grid",
    "write_modules",
    "write_section_embeddings",
    "write_svg",
    "write_svg_sections",
]
