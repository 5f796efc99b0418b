"""Table of the modules."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex.get._module_genes import module_genes, module_sizes
from spacex.get._module_terms import check_enrichment, module_terms

N_TOP = 10
N_TERMS = 3


def module_table(adata: AnnData, enrichment: pd.DataFrame | None = None, *, alpha: float = 0.05) -> pd.DataFrame:
    """Return one row for each module, in the order of the modules, which is that of evidence after `spacex.tl.embed`.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    enrichment
        Table of `spacex.tl.enrich`.
    alpha
        Terms with a q-value below this level are listed.

    Returns
    -------
    Table with the columns

    - ``module``, ``size`` (number of genes) and ``probability`` (mean over its genes);
    - ``evidence``: expected number of correctly assigned genes, the sum of their probabilities;
    - ``jaccard_halves``, ``jaccard_seeds`` and ``stable``, if `spacex.tl.module_stability` was called; missing for
      modules whose genes were changed since;
    - ``top_genes``: the first ten of `spacex.get.module_genes`, joined by commas; ``top_symbols``: their symbols, if
      symbols differ from the names;
    - ``terms``: up to three terms with the smallest q-values, joined by semicolons, if `enrichment` is given.

    Raises
    ------
    InputError
        If there is no embedding, there are no modules, or `enrichment` is not a table of `spacex.tl.enrich`.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> list(sx.get.module_table(adata).columns)
    ['module', 'size', 'probability', 'evidence', 'top_genes']
    """
    if enrichment is not None:
        check_enrichment(enrichment, name="enrichment")
    sizes = module_sizes(adata)
    genes_of_module = [module_genes(adata, str(name)) for name in sizes.index]
    probability, genes = _adata.read_module_probability(adata), _adata.read_gene_names(adata)
    top = [index[:N_TOP] for index in genes_of_module]
    table = pd.DataFrame(
        {
            "module": sizes.index.astype(str),
            "size": sizes.to_numpy(),
            "probability": [float(np.nanmean(probability[index])) for index in genes_of_module],
            "evidence": [float(np.nansum(probability[index])) for index in genes_of_module],
        }
    )
    stability = _adata.read_module_stability(adata)
    if stability is not None:
        table = table.join(stability, on="module")
    table["top_genes"] = [",".join(genes.names[index]) for index in top]
    if genes.has_symbols:
        table["top_symbols"] = [",".join(genes.symbols[index]) for index in top]
    if enrichment is not None:
        terms = [module_terms(enrichment, name, n=N_TERMS, alpha=alpha)["term"] for name in table["module"]]
        table["terms"] = ["; ".join(names.astype(str)) for names in terms]
    return table
