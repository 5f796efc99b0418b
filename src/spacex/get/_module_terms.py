"""Enriched terms of a module."""

from __future__ import annotations

import pandas as pd

from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_number

COLUMNS = ("module", "term", "pvalue", "qvalue", "overlap", "size")


def module_terms(enrichment: pd.DataFrame, module: str, *, n: int = 3, alpha: float = 0.05) -> pd.DataFrame:
    """Return the most significant terms of a module.

    Parameters
    ----------
    enrichment
        Table of `spacex.tl.enrich`.
    module
        Name of the module.
    n
        Maximum number of terms.
    alpha
        Terms with a q-value below this level are returned.

    Returns
    -------
    Rows of `enrichment`, the smallest q-value first.

    Raises
    ------
    InputError
        If `enrichment` is not a table of `spacex.tl.enrich`.

    Examples
    --------
    >>> import pandas as pd
    >>> import spacex as sx
    >>> table = pd.DataFrame({"module": ["0", "0"], "term": ["a", "b"], "pvalue": [0.01, 0.3], "qvalue": [0.02, 0.3],
    ...                       "overlap": [5, 1], "size": [9, 9]})
    >>> list(sx.get.module_terms(table, "0")["term"])
    ['a']
    """
    check_enrichment(enrichment, name="enrichment")
    check_int(n, name="n", low=1)
    alpha = check_number(alpha, name="alpha", above=0.0, at_most=1.0)
    is_significant = (enrichment["module"].astype(str) == str(module)) & (enrichment["qvalue"] < alpha)
    return enrichment[is_significant].sort_values("qvalue", kind="stable").head(n)


def check_enrichment(enrichment: object, *, name: str) -> None:
    """Raise `InputError` if the argument is not a table of `spacex.tl.enrich`."""
    columns = list(enrichment.columns) if isinstance(enrichment, pd.DataFrame) else []
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise InputError(f"{name} lacks the columns {', '.join(missing)}; pass the table of sx.tl.enrich(adata, ...)")
