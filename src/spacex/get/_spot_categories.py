"""Labels of the spots as categories of text."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError


def spot_categories(adata: AnnData, column: str = _adata.keys.DOMAIN) -> pd.Categorical:
    """Return the labels of the spots as text, such as the domains or an annotation.

    Parameters
    ----------
    adata
        Spots × genes.
    column
        Column of ``obs``; by default the domains of `spacex.tl.domains`.

    Returns
    -------
    Categories (S,) in their order, without unused ones; numbers are sorted as numbers. Missing values stay missing.

    Raises
    ------
    InputError
        If `column` is not in ``obs``.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> list(sx.get.spot_categories(adata, "domain").categories)
    ['domain1', 'domain2', 'domain3']
    """
    _adata.prepare_adata(adata)
    if column not in adata.obs:
        hint = "call sx.tl.domains(adata)" if column == _adata.keys.DOMAIN else "pass a column of adata.obs"
        raise InputError(f'obs["{column}"] is missing; {hint}')
    return text_categories(adata.obs[column])


def text_categories(column: pd.Series) -> pd.Categorical:
    """Return a column as categories of text; numbers are sorted as numbers."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        text = column.cat.rename_categories([str(category) for category in column.cat.categories])
        return text.cat.remove_unused_categories().array
    values = sorted(column.dropna().unique())
    text = column.astype(object).map(str, na_action="ignore")
    return pd.Categorical(text, categories=[str(value) for value in values])
