"""History of the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata

# Stage of the fit -> column that numbers its records, in the order in which the stages run.
STAGES = {"pretrain": "epoch", "modules": "n_modules", "mixture": "iteration", "boosting": "round"}


def training_history(adata: AnnData) -> dict[str, pd.DataFrame]:
    """Return the history of the fit, one table for each stage that ran.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.

    Returns
    -------
    Tables by stage (``"pretrain"``, ``"modules"``, ``"mixture"``, ``"boosting"``), in the order in which they ran. The
    first column numbers the records: ``epoch``, ``n_modules``, ``iteration`` or ``round``. Empty if no history is
    stored.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> list(sx.get.training_history(adata))
    ['mixture']
    """
    _adata.prepare_adata(adata)
    history = _adata.read_uns_entry(adata, "history")
    tables = {}
    for stage, number in STAGES.items():
        columns = {name: pd.Series(np.atleast_1d(values)) for name, values in dict(history.get(stage, {})).items()}
        if len(columns.get(number, ())):
            tables[stage] = pd.DataFrame({number: columns.pop(number), **columns})
    return tables
