"""The sections of folders, with their metadata, and the donors that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anndata as ad

# Metadata of sections whose files do not state it: species, tissue, technology, donor or experiment, licence.
METADATA = {
    "dlpfc_151674": ("human", "dorsolateral prefrontal cortex", "10x Visium", "Br8100", "MIT (repository)"),
    "dlpfc_151676": ("human", "dorsolateral prefrontal cortex", "10x Visium", "Br8100", "MIT (repository)"),
    "mousebrain_st_1": ("mouse", "brain (hippocampus level)", "Spatial Transcriptomics 2k array",
                        "mouse_brain_stutility_hippo", "MIT (package)"),
    "mousebrain_st_2": ("mouse", "brain (hippocampus level)", "Spatial Transcriptomics 2k array",
                        "mouse_brain_stutility_hippo", "MIT (package)"),
    "mob_st_rep11": ("mouse", "olfactory bulb", "Spatial Transcriptomics (legacy, 100 um)", "mouse_mob_stahl2016",
                     "GPL-3 (package)"),
    "visium_mouse_embryo": ("mouse", "embryo", "10x Visium", "mouse_embryo_coexpressdeconvolve", "MIT (repository)"),
    "slideseq_cerebellum": ("mouse", "cerebellum", "Slide-seq", "mouse_cerebellum_rodriques2019", "MIT (repository)"),
    "visium_mouse_hippocampus_crop": ("mouse", "hippocampus", "10x Visium", "mouse_hippocampus_giotto",
                                      "MIT (package)"),
    "starmap_visualcortex_BY3": ("mouse", "visual cortex", "STARmap", "starmap_BY3", "GPL (repository)"),
} | {
    f"her2st_{section}": ("human", "breast cancer", "Spatial Transcriptomics (100 um)",
                          f"her2st_patient_{section[0]}", "open record on Zenodo, terms not restated in the repository")
    for section in ("B1", "B2", "H1", "H2")
}  # fmt: skip
SAME_GROUP = {
    "Spatial Transcriptomics (legacy arrays)": "Spatial Transcriptomics",
    "Spatial Transcriptomics (legacy, 100 um)": "Spatial Transcriptomics",
    "Spatial Transcriptomics (100 um)": "Spatial Transcriptomics",
    "Spatial Transcriptomics 2k array": "Spatial Transcriptomics",
    "DBiT-style 50 x 50 microfluidic array (Dynamic Biosystems), Visium-format outs": "DBiT-seq",
}
"""Technologies that are one group of a reference."""
MIN_GENES = 600


@dataclass(frozen=True)
class CorpusSection:
    """A section of a folder.

    Attributes
    ----------
    name, path
        Name and file.
    species, tissue, technology, donor, licence, source
        Metadata; sections of one donor or experiment are not independent.
    """

    name: str
    path: Path
    species: str
    tissue: str
    technology: str
    donor: str
    licence: str
    source: str

    def load(self) -> ad.AnnData:
        """Read the section, with its metadata in ``uns``."""
        adata = ad.read_h5ad(self.path)
        adata.uns |= {
            "name": self.name,
            "species": self.species,
            "tissue": self.tissue,
            "technology": self.technology,
            "group": self.donor,
            "licence": self.licence,
            "source": self.source,
        }
        return adata


def corpus_sections(folders: list[Path]) -> list[CorpusSection]:
    """Sections of the folders with coordinates, a known species and at least `MIN_GENES` genes, by name."""
    sections = []
    for path in sorted((path for folder in folders for path in folder.glob("*.h5ad")), key=lambda path: path.stem):
        adata = ad.read_h5ad(path, backed="r")
        uns = [str(adata.uns.get(key, "")) for key in ("species", "tissue", "technology", "group", "licence")]
        species, tissue, technology, donor, licence = METADATA.get(path.stem, uns)
        if species and "spatial" in adata.obsm and adata.n_vars >= MIN_GENES:
            technology = SAME_GROUP.get(technology, technology)
            source = str(adata.uns.get("source", ""))
            sections.append(CorpusSection(path.stem, path, species, tissue, technology, donor, licence, source))
        adata.file.close()
    return sections


def donors_left_out(target: CorpusSection, sections: list[CorpusSection]) -> dict[str, list[CorpusSection]]:
    """Sections of other donors of the species, by kind of reference; kinds without sections are left out."""
    others = [s for s in sections if s.species == target.species and s.donor != target.donor]
    kind = (target.tissue, target.technology)
    kinds = {
        "all": others,
        "same": [s for s in others if (s.tissue, s.technology) == kind],
        "other": [s for s in others if (s.tissue, s.technology) != kind],
    }
    return {name: chosen for name, chosen in kinds.items() if chosen}
