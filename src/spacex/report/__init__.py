"""The report: one self-contained HTML page that shows the result of an analysis.

The report works offline from ``file://``: pictures, style and script are inside it, and its content security policy
forbids every request. All text from the data (names of genes, terms and files) is escaped.
"""

from spacex.report._page import build, write_report

__all__ = ["build", "write_report"]
