"""Tables of a result: a row per gene, a row per module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex.pl._maps import module_sizes, ranked_members

N_TOP = 10
N_TERMS = 3


def gene_table(adata: AnnData) -> pd.DataFrame:
    """A row per gene, in the order of the section.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.

    Returns
    -------
    Columns ``gene``, ``symbol`` (only where symbols differ from the names), ``module``, ``probability`` (of the
    module), ``strength`` (norm of the embedding; missing where the gene was not embedded), ``svg_score``,
    ``svg_pvalue``, ``svg_qvalue`` (where tested), ``mean_count`` (per spot in the tissue), ``detected`` (share of these
    spots with a count).

    Examples
    --------
    >>> import spacex as sx
    >>> from spacex.report import gene_table
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=2)
    >>> model = sx.tl.embed(adata, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    >>> list(gene_table(adata).columns)[:4]
    ['gene', 'module', 'probability', 'strength']
    """
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
    table["mean_count"] = _adata.read_gene_totals(adata, layer) / adata.n_obs
    table["detected"] = _adata.read_detection_counts(adata, layer) / adata.n_obs
    return table


def module_table(adata: AnnData, enrichment: pd.DataFrame | None = None, *, alpha: float = 0.05) -> pd.DataFrame:
    """A row per module, the largest first.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    enrichment
        Table of `spacex.tl.enrich`, where there is one.
    alpha
        Level of the q-value below which a term is named.

    Returns
    -------
    Columns ``module``, ``size``, ``probability`` (mean over its genes), ``top_genes`` (by probability times strength,
    joined by commas), ``top_symbols`` (the same genes, only where symbols differ from the names), ``terms`` (up to
    three with the smallest q-value, joined by semicolons; only with `enrichment`).

    Examples
    --------
    >>> import spacex as sx
    >>> from spacex.report import module_table
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=2)
    >>> model = sx.tl.embed(adata, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    >>> list(module_table(adata).columns)
    ['module', 'size', 'probability', 'top_genes']
    """
    sizes = module_sizes(adata)
    members = [ranked_members(adata, str(name)) for name in sizes.index]
    probability, genes = _adata.read_module_probability(adata), _adata.read_gene_names(adata)
    top = [numbers[:N_TOP] for numbers in members]
    table = pd.DataFrame(
        {
            "module": sizes.index.astype(str),
            "size": sizes.to_numpy(),
            "probability": [float(np.nanmean(probability[numbers])) for numbers in members],
            "top_genes": [",".join(genes.names[numbers]) for numbers in top],
        }
    )
    if genes.has_symbols:
        table["top_symbols"] = [",".join(genes.symbols[numbers]) for numbers in top]
    if enrichment is not None:
        table["terms"] = ["; ".join(terms_of(enrichment, name, alpha)["term"].astype(str)) for name in table["module"]]
    return table


def check_enrichment(enrichment: Any) -> None:
    """Raise `InputError` for what is not a table of `spacex.tl.enrich`."""
    wanted = ["module", "term", "pvalue", "qvalue", "overlap", "size"]
    columns = list(enrichment.columns) if isinstance(enrichment, pd.DataFrame) else []
    missing = [name for name in wanted if name not in columns]
    if enrichment is not None and missing:
        raise InputError(f"enrichment lacks {', '.join(missing)}; pass the table of sx.tl.enrich(adata, gene_sets)")


def terms_of(enrichment: pd.DataFrame, module: str, alpha: float = 0.05) -> pd.DataFrame:
    """The few terms of a module with the smallest q-values, below `alpha`."""
    kept = (enrichment["module"].astype(str) == module) & (enrichment["qvalue"] < alpha)
    return enrichment[kept].sort_values("qvalue", kind="stable").head(N_TERMS)
