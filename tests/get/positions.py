"""Sections with spots at chosen positions."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp


def lattice(width: int, height: int, *, hexagonal: bool = False) -> np.ndarray:
    """Coordinates (width * height, 2) of an array with a spacing of one."""
    row, column = np.divmod(np.arange(width * height), width)
    return np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)] if hexagonal else [column, row]).astype(
        float
    )


def sections_at(*positions: np.ndarray, names: list[str] | None = None, n_genes: int = 3) -> anndata.AnnData:
    """Return sections with spots at these positions, named "0", "1", ... in ``obs["sample"]``."""
    names = names if names is not None else [str(s) for s in range(len(positions))]
    xy = np.vstack(positions)
    counts = np.random.default_rng(0).poisson(2.0, (len(xy), n_genes)).astype(np.float32)
    label = np.repeat(names, [len(xy_section) for xy_section in positions])
    obs = pd.DataFrame({"sample": label}, index=[f"spot{i}" for i in range(len(xy))])
    adata = anndata.AnnData(sp.csr_matrix(counts), obs=obs, obsm={"spatial": xy})
    adata.var_names = [f"gene{i}" for i in range(n_genes)]
    return adata


def photographed(xy: np.ndarray, scale: float, kind: str = "hires") -> dict[str, dict]:
    """A library whose image encodes coordinates relative to the extent: red is x, green is y."""
    extent = xy.max(axis=0) * scale
    height, width = int(extent[1]) + 1, int(extent[0]) + 1
    image = np.zeros((height, width, 3), dtype=np.float32)
    image[..., 0] = np.arange(width) / extent[0]
    image[..., 1] = np.arange(height)[:, None] / extent[1]
    return {"images": {kind: image}, "scalefactors": {f"tissue_{kind}_scalef": scale}}
