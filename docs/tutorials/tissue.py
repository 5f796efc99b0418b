"""The section of the tutorials: a real one if available, otherwise a simulated one.

Real: the 3,000 genes with most counts of dlpfc_151676.h5ad (Visium, human dorsolateral prefrontal cortex), from the
folder SPACEX_DATA or from shared/data beside the repository.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import spacex as sx

pd.set_option("display.float_format", "{:.3g}".format)  # three digits in tables

FOLDERS = (os.environ.get("SPACEX_DATA", ""), str(Path(__file__).resolve().parents[3] / "shared" / "data"))
MAX_GENES = 3000
TEXTBOOK = {
    "myelin": "MBP PLP1 MOBP CNP MOG MAG MAL CLDN11 CRYAB TF QDPR ERMN CLDND1 BCAS1 ENPP2 PTGDS OPALIN CARNS1 ANLN",
    "synapse and neurite": "SNAP25 SYT1 VSNL1 STMN2 NEFL NEFM NEFH SYN2 CALM2 UCHL1 THY1 NRGN CAMK2A ENC1 OLFM1 SNCA",
    "astrocyte": "GFAP AQP4 CST3 SLC1A2 SLC1A3 GJA1 CLU APOE AGT MT2A MT1G MT1X MT3 ATP1A2 GLUL",
    "oxidative phosphorylation": "COX6C COX7C COX4I1 COX5B COX6A1 ATP5F1E ATP5MC3 NDUFA4 NDUFB9 UQCRH UQCRB CYC1",
    "blood": "HBB HBA1 HBA2 HBD ALAS2",
    "vessel and smooth muscle": "ACTA2 TAGLN MYL9 TPM2 MGP VIM IGFBP7 CLDN5 FLT1 ADIRF",
}
"""Small sets of well-known marker genes, to demonstrate enrichment."""


@dataclass(frozen=True)
class Tissue:
    """A section and its annotation.

    Attributes
    ----------
    adata
        Spots × genes, raw counts, coordinates.
    description
        One line about the section.
    real
        Whether the section is real.
    label, region
        Column of ``obs`` with annotated layers or planted domains; and one of its values.
    gene
        A gene with a clear pattern.
    gene_sets
        Sets of related genes.
    """

    adata: AnnData
    description: str
    real: bool
    label: str
    region: str
    gene: str
    gene_sets: dict[str, list[str]] = field(repr=False)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs of genes of one set."""
        measured = set(self.adata.var_names)
        sets = [[gene for gene in genes if gene in measured] for genes in self.gene_sets.values()]
        return [pair for genes in sets for pair in combinations(genes, 2)]


def load() -> Tissue:
    """The real section if available, otherwise the simulated one."""
    for folder in filter(None, FOLDERS):
        file = Path(folder) / "dlpfc_151676.h5ad"
        if file.is_file():
            return _cortex(sx.read(file))
    return _simulated()


def visium() -> tuple[AnnData, int, str]:
    """A Visium section with array positions, its number of domains, and a description."""
    for folder in filter(None, FOLDERS):
        file = Path(folder) / "dlpfc_151676.h5ad"
        if file.is_file():
            section = _cortex(sx.read(file))
            return section.adata, section.adata.obs["layer"].nunique(), section.description
    adata = sx.datasets.simulate_section(n_genes=600, n_spots=1200, n_modules=8, n_domains=4, depth=0.4, seed=0)
    adata.obs_names = [f"SPOT{i:05d}-1" for i in range(adata.n_obs)]
    return adata, 4, "simulated: Visium section of 1200 spots and 600 genes"


def coverage() -> tuple[AnnData, AnnData, AnnData, str]:
    """A target with a small panel, a reference, the target with all genes, and a description.

    Real: two sections of one cortex. Simulated: a third of the spots of a section, and the other spots.
    """
    for folder in filter(None, FOLDERS):
        first, second = (Path(folder) / f"dlpfc_{name}.h5ad" for name in ("151676", "151674"))
        if first.is_file() and second.is_file():
            whole, reference = sx.read(first), sx.read(second)
            description = "real: two Visium sections of human cortex, DLPFC 151676 (target) and 151674 (reference)"
            break
    else:
        section = sx.datasets.simulate_section(n_genes=700, n_spots=2400, n_modules=12, n_domains=5, depth=0.5, seed=0)
        of_target = np.arange(section.n_obs) % 3 == 0
        whole, reference = section[of_target].copy(), section[~of_target].copy()
        description = "simulated: a third of the spots of a section is the target, the rest is the reference"
    shared = whole.var_names.intersection(reference.var_names)
    total = np.asarray(whole[:, shared].X.sum(axis=0)).ravel()
    strong = shared[np.sort(np.argsort(-total, kind="stable")[:600])]
    chosen = np.random.default_rng(0).permutation(len(strong))
    panel, measured = strong[np.sort(chosen[:150])], strong[np.sort(chosen[:450])]
    return whole[:, panel].copy(), reference[:, strong].copy(), whole[:, measured].copy(), description


def _cortex(adata: AnnData) -> Tissue:
    adata.obs["layer"] = pd.Categorical(adata.obs["layer"].astype(object).replace("NA", np.nan))
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    genes = np.sort(np.argsort(-total, kind="stable")[:MAX_GENES])
    description = f"real: Visium section of human cortex (DLPFC 151676), {adata.n_obs} spots, {len(genes)} genes"
    sets = {name: members.split() for name, members in TEXTBOOK.items()}
    return Tissue(adata[:, genes].copy(), description, True, "layer", "WM", "MBP", sets)


def _simulated() -> Tissue:
    adata = sx.datasets.simulate_section(n_genes=1000, n_spots=1600, n_modules=10, n_domains=5, depth=0.3, seed=0)
    planted = adata.var.groupby("module").groups
    sets = {f"planted module {name}": list(genes) for name, genes in planted.items() if name >= 0}
    # The planted gene with most counts.
    total = np.asarray(adata.X.sum(axis=0)).ravel() * (adata.var["module"] >= 0)
    description = "simulated: Visium section of 1600 spots and 1000 genes, half of them in 10 planted modules"
    return Tissue(adata, description, False, "domain", "domain1", str(adata.var_names[int(np.argmax(total))]), sets)
