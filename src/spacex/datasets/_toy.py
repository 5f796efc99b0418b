"""A small simulated section for examples and tests."""

from __future__ import annotations

from anndata import AnnData

from spacex.datasets._simulated import simulate_section


def toy() -> AnnData:
    """Simulate a small section: 300 Visium spots, 120 genes, 4 modules of spatial genes and 3 domains.

    Counts are deeper and effects stronger than in typical data, so that every tool finds the simulated structure
    within a second. Use `simulate_section` for realistic sections.

    Returns
    -------
    AnnData
        300 spots × 120 genes, the same at every call. Slots as in `simulate_section`; the truth is in
        ``var["module"]`` (-1: not spatial) and ``obs["domain"]``.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> adata.shape, adata.var["module"].nunique() - 1, adata.obs["domain"].nunique()
    ((300, 120), 4, 3)
    """
    return simulate_section(n_genes=120, n_spots=300, n_modules=4, n_domains=3, seed=0, depth=2.0, effect=2.5)
