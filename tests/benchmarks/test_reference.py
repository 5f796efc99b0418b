"""`benchmarks.reference`: sections with their donors, what is left out, and the measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.reference.__main__ import donors_left_out, print_agreement, print_function
from benchmarks.reference.build import attribution, is_allowed
from benchmarks.reference.measures import agreement, pair_scores
from benchmarks.reference.records import compute_records, reference_of
from benchmarks.reference.sections import CorpusSection, corpus_sections

import spacex as sx


def section(
    name: str, *, donor: str, tissue: str = "brain", technology: str = "Visium", licence: str = "MIT"
) -> CorpusSection:
    return CorpusSection(name, Path(name), "mouse", tissue, technology, donor, licence, "somewhere")


def test_donors_are_left_out() -> None:
    target = section("a", donor="1")
    others = [
        section("b", donor="1"),
        section("c", donor="2"),
        section("d", donor="3", tissue="liver"),
        section("e", donor="4", technology="ST"),
    ]
    kinds = donors_left_out(target, [target, *others])
    assert {kind: [s.name for s in chosen] for kind, chosen in kinds.items()} == {
        "all": ["c", "d", "e"],
        "same": ["c"],
        "other": ["d", "e"],
    }
    assert set(donors_left_out(target, [target, others[2]])) == {"all", "other"}


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT (package)", True),
        ("GPL-3 (package; data 10x Genomics, CC BY 4.0)", True),
        ("open record on Zenodo, terms not restated in the repository", True),
        ("GPL-3 (package)", False),
        ("none stated", False),
        ("", False),
    ],
)
def test_only_licences_that_allow_it_are_shipped(licence: str, allowed: bool) -> None:
    assert is_allowed(section("a", donor="1", licence=licence)) is allowed


def test_the_shipped_references_list_their_sources() -> None:
    for species in ("human", "mouse"):
        reference = sx.datasets.reference(species)
        folder = Path(sx.__file__).parent / "reference" / "data"
        text = (folder / "SOURCES.md").read_text()
        for row in reference.sections.itertuples():
            assert f"| {species} | {row.name} |" in text
            assert is_allowed(section("a", donor="1", licence=row.licence))
    assert sum(file.stat().st_size for file in folder.iterdir()) < 8e6


def test_a_bar_in_a_source_does_not_break_the_table() -> None:
    row = attribution("mouse", CorpusSection("a", Path("a"), "mouse", "b", "c", "d", "MIT", "x | y Licence: MIT"))
    assert row.count("|") == 8
    assert "x / y |" in row


def test_agreement_is_one_with_itself_and_zero_with_unrelated_vectors() -> None:
    rng = np.random.default_rng(0)
    x, y, total = rng.normal(size=(300, 8)), rng.normal(size=(300, 8)), rng.uniform(1, 100, 300)
    np.testing.assert_allclose(agreement(x, 3 * x, total), 1.0)
    assert np.abs(agreement(x, y, total)).max() < 0.03


def test_known_pairs_are_compared_with_random_pairs_of_the_same_genes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 10))
    z[100:] = z[:100] + 0.3 * rng.normal(size=(100, 10))
    genes = [f"GENE{i}" for i in range(200)]
    pd.DataFrame({"gene_a": genes[:100], "gene_b": genes[100:]}).to_csv(tmp_path / "lr_cellchatdb.human.csv")
    assert pair_scores(z, genes, tmp_path)["ligand-receptor"] > 0.95
    assert abs(pair_scores(rng.normal(size=(200, 10)), genes, tmp_path)["ligand-receptor"] - 0.5) < 0.15


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two donors with a section each; genes of one module have related names."""
    folder = tmp_path_factory.mktemp("sections")
    for seed, donor in enumerate(("x", "y")):
        adata = sx.datasets.simulate_section(620, 250, 4, seed=seed, depth=0.5)
        number = adata.var.groupby("module").cumcount()
        adata.var_names = [f"MOD{m + 1}G{n}" for m, n in zip(adata.var["module"], number, strict=True)]
        uns = {"species": "human", "tissue": "t", "technology": "v", "group": donor, "licence": "MIT", "source": "s"}
        adata.uns = uns
        adata.write_h5ad(folder / f"{donor}.h5ad")
    return folder


def test_the_benchmark_prints_gains(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sections = corpus_sections([folder])
    assert [s.donor for s in sections] == ["x", "y"]
    compute_records(sections, tmp_path)
    assert len(reference_of(sections, tmp_path).sections) == 2
    print_agreement(sections, sections, tmp_path, n_seeds=2)
    printed = capsys.readouterr().out
    assert printed.count("same") == 4  # two sections, their mean and their minimum
    assert "nan" not in printed.lower()
    assert "other" not in printed


def test_the_benchmark_prints_scores_of_function(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = corpus_sections([folder])
    compute_records(sections, tmp_path)
    sets = "\n".join("\t".join([f"S{m}", "x", *(f"MOD{m}G{n}" for n in range(30))]) for m in range(1, 5))
    (tmp_path / "hallmark.human.gmt").write_text(sets)
    print_function(sections[:1], sections, tmp_path, tmp_path)
    printed = capsys.readouterr().out
    assert "EGAD Hallmark" in printed
    assert "gain over the best of three PCAs" in printed
