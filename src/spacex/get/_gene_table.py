"""Table of the genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata


def gene_table(adata: AnnData) -> pd.DataFrame:
    """Return one row for each gene, in the order of ``var``.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.

    Returns
    -------
    Table with the columns

    - ``gene``; ``symbol``, if symbols differ from the names;
    - ``module`` (``"unassigned"``: none), and ``probability`` that this assignment is correct;
    - ``strength``: norm of the embedding, NaN for genes that are not embedded;
    - ``svg_score``, ``svg_pvalue``, ``svg_qvalue``, after `spacex.tl.svg`;
    - ``mean_count``: counts per spot in the tissue; ``detected``: share of these spots with a count.

    Raises
    ------
    InputError
        If there is no embedding or there are no modules.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> list(sx.get.gene_table(adata).columns)[:4]
    ['gene', 'module', 'probability', 'strength']
    """
    _adata.prepare_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    layer, genes = _adata.read_embedded_layer(adata), _adata.read_gene_names(adata)
    table = pd.DataFrame(
        {
            "gene": genes.names,
            **({"symbol": genes.symbols} if genes.has_symbols else {}),
            "module": _adata.read_modules(adata).astype(str).to_numpy(),
            "probability": _adata.read_module_probability(adata),
            "strength": np.linalg.norm(_adata.read_embedding(adata).astype(np.float64), axis=1),
        }
    )
    if _adata.keys.svg_column("score") in adata.var:
        for name in ("score", "pvalue", "qvalue"):
            table[f"svg_{name}"] = _adata.read_svg(adata, name)
    counts = _adata.read_gene_counts(adata, layer)
    table["mean_count"] = counts.total / adata.n_obs
    table["detected"] = counts.n_detected / adata.n_obs
    return table
