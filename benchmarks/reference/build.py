"""Build the shipped references, from sections whose licence allows it, and list their sources.

python -m benchmarks.reference.build FOLDER... -o src/spacex/reference/data
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from .records import compute_records, reference_of
from .sections import CorpusSection, corpus_sections

ALLOWED = ("MIT", "Apache", "CC BY", "open record")
"""Licences, or terms, of which one must be stated for a section."""
HEADER = """# Sources of the shipped references

The references contain statistics over sections, no counts: vectors of genes whose products approximate the mean
similarity of their spatial patterns. They are built by `python -m benchmarks.reference.build` from these public
sections. We thank their authors.

| reference | section | tissue | technology | donor or experiment | source | licence |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of sections (.h5ad)")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the references")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    sections = [section for section in corpus_sections(arguments.folders) if is_allowed(section)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        compute_records(sections, Path(folder))
        for species in ("human", "mouse"):
            chosen = [section for section in sections if section.species == species]
            reference = reference_of(chosen, Path(folder))
            file = arguments.out / f"{species}.safetensors"
            reference.save(file, quantize=True)
            print(f"{file.name}: {reference}, {file.stat().st_size / 1e6:.1f} MB")
            rows += [attribution(species, section) for section in chosen]
    (arguments.out / "SOURCES.md").write_text(HEADER + "\n".join(rows) + "\n")


def is_allowed(section: CorpusSection) -> bool:
    """Whether the stated licence of a section, or of its data, allows to ship statistics of it."""
    return any(term in section.licence for term in ALLOWED)


def attribution(species: str, section: CorpusSection) -> str:
    """Row of the table of sources."""
    source = section.source.replace("|", "/").split(" Licence:")[0]
    return (
        f"| {species} | {section.name} | {section.tissue} | {section.technology} | {section.donor} | {source} | "
        f"{section.licence} |"
    )


if __name__ == "__main__":
    main()
