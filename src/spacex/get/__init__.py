"""Views derived from an analyzed AnnData: tables, maps and layouts, which plots, the report and users share.

Every function reads an AnnData and returns a new object; none of them writes to it.
"""

from spacex.get._arrangement import SectionName
from spacex.get._embedded_images import embedded_images
from spacex.get._gene_layout import gene_layout
from spacex.get._gene_table import gene_table
from spacex.get._gene_values import GeneValues, gene_values, mean_expression
from spacex.get._genes_as_obs import genes_as_obs
from spacex.get._interactions import connected_genes, interaction_partners
from spacex.get._module_genes import module_genes, module_sizes
from spacex.get._module_maps import ModuleMaps, module_maps
from spacex.get._module_table import module_table
from spacex.get._module_terms import module_terms
from spacex.get._spot_categories import spot_categories
from spacex.get._spot_map import SpotMap, spot_map
from spacex.get._training_history import training_history

__all__ = [
    "GeneValues",
    "ModuleMaps",
    "SectionName",
    "SpotMap",
    "connected_genes",
    "embedded_images",
    "gene_layout",
    "gene_table",
    "gene_values",
    "genes_as_obs",
    "interaction_partners",
    "mean_expression",
    "module_genes",
    "module_maps",
    "module_sizes",
    "module_table",
    "module_terms",
    "spot_categories",
    "spot_map",
    "training_history",
]
