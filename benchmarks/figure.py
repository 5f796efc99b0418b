"""The figure of the README: gene images, the embedding of all genes, module maps and domains of a simulated section.

python -m benchmarks.figure            # writes docs/_static/overview.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import spacex as sx

PATH = Path(__file__).parents[1] / "docs" / "_static" / "overview.png"
N_MODULES, N_DOMAINS = 8, 5
GRID = {"left": 0.04, "right": 0.96, "bottom": 0.02, "top": 0.82, "wspace": 0.02, "hspace": 0.14}
WHOLE = {"left": 0.05, "right": 0.95, "bottom": 0.04, "top": 0.86}
TITLES = ("gene images", "embedding of all genes", "module maps", "tissue domains")


def analyzed_section() -> AnnData:
    """Return a simulated Visium section with embedding, modules and domains."""
    adata = sx.datasets.simulate_section(
        n_genes=800, n_spots=2000, n_modules=N_MODULES, n_domains=N_DOMAINS, depth=1.0, seed=3
    )
    sx.tl.embed(adata, progress=False)
    sx.tl.domains(adata, n_domains=N_DOMAINS)
    return adata


def draw_map(ax: Axes, adata: AnnData, values: np.ndarray, *, title: str, cmap: str = "viridis") -> None:
    """Draw values (S,) of the spots."""
    low, high = np.quantile(values, [0.02, 0.98])
    x, y = adata.obsm["spatial"].T
    ax.scatter(x, y, c=values, s=1.6, cmap=cmap, vmin=low, vmax=high, linewidths=0)
    ax.set_title(title, fontsize=7, pad=2)
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.axis("off")


def draw(adata: AnnData) -> Figure:
    """Return the figure of an analyzed section."""
    figure = plt.figure(figsize=(11, 2.9), dpi=130)
    parts = figure.subfigures(1, 4, width_ratios=[1, 0.9, 1, 0.9], wspace=0.0)
    for part, title in zip(parts, TITLES, strict=True):
        part.suptitle(title, fontsize=11, fontweight="bold")
    modules = sx.get.module_maps(adata, n_genes=1)[:4]
    for ax, module in zip(parts[0].subplots(2, 2, gridspec_kw=GRID).ravel(), modules, strict=True):
        gene = module.labels[0]
        draw_map(ax, adata, sx.get.gene_values(adata, gene).values[0], title=gene)
    for ax, module in zip(parts[2].subplots(2, 2, gridspec_kw=GRID).ravel(), modules, strict=True):
        draw_map(ax, adata, module.mean, title=f"module {module.name}")
    sx.pl.embedding(adata, color="module", ax=parts[1].subplots(gridspec_kw=WHOLE))
    sx.pl.domains(adata, ax=parts[3].subplots(gridspec_kw=WHOLE))
    for ax in (*parts[1].axes, *parts[3].axes):
        ax.set_title("")
        if ax.get_legend() is not None:
            ax.get_legend().remove()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figure", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=PATH)
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    draw(analyzed_section()).savefig(options.output)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
