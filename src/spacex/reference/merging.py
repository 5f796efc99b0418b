"""Merging of sections into the groups of a reference, in the sorted order of their names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from spacex._infra.errors import InputError
from spacex.gene_names import join_names
from spacex.reference.record_files import load_record
from spacex.reference.state import GroupState, ReferenceState, SectionInfo


def section_weight(n_sections: int) -> float:
    """Weight of a section of a donor with `n_sections` sections in the group: each donor counts as one section."""
    return 1.0 / n_sections


def check_sections(sections: Iterable[SectionInfo]) -> None:
    """Raise `InputError` if names are repeated or the sections are of several species."""
    sections = sorted(sections, key=lambda section: section.name)
    repeated = [name for name, n in Counter(section.name for section in sections).items() if n > 1]
    if repeated:
        raise InputError(f"sections: the name {repeated[0]!r} occurs more than once; pass a dict with different names")
    names = defaultdict(list)
    for section in sections:
        if section.species:
            names[section.species].append(section.name)
    if len(names) > 1:
        listed = "; ".join(f"{species}: {join_names(names[species])}" for species in sorted(names))
        raise InputError(f"sections of several species ({listed}); make one reference of each species")


def merge(state: ReferenceState, files: Iterable[Path]) -> ReferenceState:
    """Add the sections of record files to a state; the result does not depend on the order of the files.

    Vectors are read one section at a time.
    """
    file_of_section: dict[SectionInfo, Path] = {}
    all_genes = set(state.genes)
    for file in files:
        record = load_record(file)
        file_of_section[record.info] = file
        all_genes.update(record.genes)
    infos = sorted(file_of_section, key=lambda info: info.name)
    check_sections([*state.sections, *infos])
    genes = np.array(sorted(all_genes), dtype=object)
    row_of_gene = {gene: row for row, gene in enumerate(genes)}
    old_rows = np.array([row_of_gene[gene] for gene in state.genes], dtype=np.int64)
    groups = {group.name: group.expand(old_rows, len(genes)) for group in state.groups}
    n_of_donor = Counter((info.group_name, info.donor) for info in (*state.sections, *infos))
    for info in infos:
        record, name = load_record(file_of_section[info]), info.group_name
        rows = np.array([row_of_gene[gene] for gene in record.genes], dtype=np.int64)
        weight = section_weight(n_of_donor[name, info.donor])
        groups[name] = groups.get(name, GroupState.empty(name, len(genes))).add(rows, record.vectors, weight)
    return ReferenceState(
        genes=genes,
        groups=tuple(groups[name] for name in sorted(groups)),
        sections=(*state.sections, *infos),
        n_dims=state.n_dims,
        seed=state.seed,
    )
