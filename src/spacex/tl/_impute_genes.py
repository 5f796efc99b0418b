"""The genes that `impute` predicts, and the panel genes from which it predicts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_names
from spacex.gene_names import GeneNames
from spacex.imaging.residuals import log_normalize
from spacex.imputation import find_requested_genes, shares_name


def genes_to_predict(
    target: GeneNames, reference: GeneNames, genes: Sequence[str] | None
) -> tuple[np.ndarray, list[str]]:
    """Positions in the reference, and names, of the genes to predict."""
    if genes is None:
        unmeasured = np.flatnonzero(~shares_name(reference, target))
        if not len(unmeasured):
            raise InputError("the target measures every gene of the reference; pass genes= to predict some of them")
        return unmeasured, list(reference.names[unmeasured])
    return find_requested_genes(check_requested(genes), reference)


def check_requested(genes: Sequence[str]) -> list[str]:
    """Names in the argument `genes`; raises `InputError` if it is empty or no list of names."""
    if isinstance(genes, str):
        raise InputError(f"genes={genes!r} is one name; pass a list of names")
    names = check_names(genes, name="genes")
    if not names:
        raise InputError("genes is empty; pass names of reference genes, or omit it")
    return names


def panel_values(target: AnnData, usable: np.ndarray, panel: np.ndarray, layer: str | None) -> np.ndarray:
    """Values (N, P) of the panel genes at positions `panel` among the `usable` genes, which make the library sizes."""
    matrix, is_count = _adata.choose_matrix(target, layer)
    values = matrix[:, usable]
    return (log_normalize(values) if is_count else values)[:, panel]
