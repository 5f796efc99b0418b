"""The report: tables of genes and modules, and one self-contained page that shows the whole result.

The page works offline from ``file://``: pictures, style and script are inside it, and its content security policy
forbids every request. Whatever comes from the data (names of genes, terms, files) is escaped.
"""

from spacex.report._page import build, write_report
from spacex.report._tables import gene_table, module_table

__all__ = ["build", "gene_table", "module_table", "write_report"]
