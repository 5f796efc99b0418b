"""Inputs of a reference: names, sources, species, sections that cannot be used."""

import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from anndata import AnnData
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import save_file
from tests.reference.conftest import simulate

import spacex as sx
from spacex.gene_names import species_of_names
from spacex.reference.record_files import HEADER
from spacex.reference.sections import SectionSettings
from spacex.reference.sources import SectionSource
from spacex.reference.workers import compute_records, lost_worker_error


def fit(sections, **arguments):
    return sx.Reference.fit(sections, progress=False, **arguments)


def names(reference):
    return reference.sections["name"].tolist()


def test_names_come_from_files_uns_or_positions(sections, tmp_path):
    sections["b"].write_h5ad(tmp_path / "file.h5ad")
    sections["c"].uns["name"] = "stored"
    assert names(fit([sections["a1"], tmp_path / "file.h5ad", sections["c"]])) == ["file", "section_1", "stored"]


def test_a_generator_is_read_one_section_at_a_time(reference):
    donors = {"a1": (0, "a"), "a2": (1, "a"), "b": (2, "b")}
    living = []

    def read():
        for name, (seed, donor) in donors.items():
            adata = simulate(seed, donor=donor)
            adata.uns["name"] = name
            living.append(name)
            yield adata

    sequential = fit(read())
    assert living == list(donors)
    assert_array_equal(sequential.state.groups[0].factor.shape[1], reference.state.groups[0].factor.shape[1])
    assert names(sequential) == list(donors)


def test_an_annotated_file_gives_the_same_reference(sections, tmp_path):
    sections["b"].var_names = sections["b"].var_names.str.lower()  # no species, hence no reference in embed
    sections["b"].write_h5ad(tmp_path / "b.h5ad")
    assert fit([tmp_path / "b.h5ad"]).digest == fit({"b": sections["b"]}).digest
    sx.tl.embed(sections["b"], progress=False)
    assert fit({"b": sections["b"]}).digest == fit([tmp_path / "b.h5ad"]).digest


def test_written_sections_replace_their_input(reference, sections, tmp_path):
    files = [
        file for name, adata in sections.items() for file in sx.Reference.write_sections(adata, tmp_path, name=name)
    ]
    assert [file.name for file in files] == [f"{name}-0.safetensors" for name in sections]
    assert fit(files).digest == reference.digest
    assert names(fit({"other": files[0]})) == ["other"]
    with pytest.raises(sx.InputError, match="'a1' occurs more than once"):
        fit([files[0], files[0]])
    (quoted,) = sx.Reference.write_sections(files[0], tmp_path, name="../x y/z")
    assert quoted.parent == tmp_path
    assert names(fit([quoted])) == ["../x y/z"]
    with pytest.raises(sx.InputError, match="folder="):
        sx.Reference.write_sections(files[0], tmp_path / "none")


def change_record(file, change):
    with safe_open(file, framework="numpy") as stored:
        header, arrays = json.loads(stored.metadata()[HEADER]), {"vectors": stored.get_tensor("vectors")}
    change(header, arrays)
    save_file(arrays, file, metadata={HEADER: json.dumps(header)})


INVALID_RECORDS = {
    "format": lambda header, arrays: header.update(format=9),
    "genes": lambda header, arrays: header["genes"].reverse(),
    "info": lambda header, arrays: header["info"].update(name=3),
    "rows": lambda header, arrays: arrays.update(vectors=arrays["vectors"][1:].copy()),
    "dimensions": lambda header, arrays: arrays.update(vectors=np.hstack([arrays["vectors"]] * 9)),
    "values": lambda header, arrays: arrays["vectors"].__setitem__(0, np.nan),
    "precision": lambda header, arrays: arrays.update(vectors=arrays["vectors"].astype(np.float64)),
}


@pytest.mark.parametrize("problem", INVALID_RECORDS)
def test_damaged_vectors_of_sections_raise(problem, sections, tmp_path):
    (file,) = sx.Reference.write_sections(sections["b"], tmp_path, name="b")
    change_record(file, INVALID_RECORDS[problem])
    with pytest.raises(sx.InputError, match=file.name):
        fit([file])


def test_a_reference_is_no_section(reference, tmp_path):
    reference.save(tmp_path / "reference.safetensors")
    with pytest.raises(sx.InputError, match="not of a section"):
        fit([tmp_path / "reference.safetensors"])


def test_library_key_separates_sections(sections):
    first, second = simulate(0), simulate(1)
    genes = first.var_names.intersection(second.var_names)
    both = AnnData(
        np.vstack([part[:, genes].X.toarray() for part in (first, second)]),
        var=first[:, genes].var[[]],
        obs={"slide": ["x"] * 300 + ["y"] * 300},
        obsm={"spatial": np.vstack([part.obsm["spatial"] for part in (first, second)])},
        uns=first.uns,
    )
    reference = fit({"both": both}, library_key="slide")
    assert names(reference) == ["both/x", "both/y"]
    assert reference.sections["n_spots"].tolist() == [300, 300]
    separate = fit({"both/x": first[:, genes].copy(), "both/y": second[:, genes].copy()})
    assert_array_equal(reference.genes, separate.genes)
    first_cosines, second_cosines = (np.corrcoef(r.vectors) for r in (reference, separate))
    # Lattices of single sections are read from the array positions, which `both` lacks.
    assert np.corrcoef(first_cosines.ravel(), second_cosines.ravel())[0, 1] > 0.9
    with pytest.raises(sx.InputError, match=r"section 'both'.*library_key='slice'"):
        fit({"both": both}, library_key="slice")


def test_symbols_identify_genes(sections):
    by_symbol = sections["b"]
    expected = fit({"b": by_symbol})
    by_symbol.var["gene_symbol"] = by_symbol.var_names
    by_symbol.var_names = [f"ENSG{number:011d}" for number in range(by_symbol.n_vars)]
    assert_array_equal(fit({"b": by_symbol}).genes, expected.genes)


def test_the_gene_with_most_counts_represents_a_symbol(sections):
    adata = sections["b"]
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    weak, strong = np.argsort(total)[[20, -1]]
    symbols = adata.var_names.to_numpy(dtype=object)
    unique = fit({"b": adata})
    vector = unique.group_vectors([symbols[strong]])[0]
    symbols[weak] = symbols[strong]
    adata.var["symbol"] = symbols
    repeated = fit({"b": adata})
    assert len(repeated.genes) == len(unique.genes) - 1
    other = repeated.group_vectors([symbols[strong]])[0]
    others = [gene for gene in repeated.genes if gene != symbols[strong]]
    profile, expected = (r.group_vectors(others)[0] @ v[0] for r, v in ((repeated, other), (unique, vector)))
    assert np.corrcoef(profile, expected)[0, 1] > 0.99


@pytest.mark.parametrize(
    ("symbols", "species"),
    [
        (["MBP", "HLA-A", "C1orf112", "RPL3"], "human"),
        (["Mbp", "mt-Co1", "H2-K1", "0610009B22Rik", "Gm123"], "mouse"),
        (["ENSG00000197971.14", "ENSG00000197972"], "human"),
        (["ENSMUSG00000041607"], "mouse"),
        (["gene0001", "gene0002"], ""),
        (["MBP", "Mbp"], ""),
        ([], ""),
    ],
)
def test_species_are_told_by_names(symbols, species):
    assert species_of_names(symbols) == species


def test_names_decide_over_the_stored_species(sections):
    sections["b"].uns["species"] = "mouse"
    assert fit({"b": sections["b"]}).species == "human"
    sections["b"].var_names = sections["b"].var_names.str.lower()
    assert fit({"b": sections["b"]}).species == "mouse"
    sections["b"].uns["species"] = "Homo sapiens"
    assert fit({"b": sections["b"]}).species == "human"


def test_species_are_not_mixed(sections):
    sections["b"].var_names = sections["b"].var_names.str.capitalize()
    with pytest.raises(sx.InputError, match=r"human: a1; mouse: b"):
        fit({name: sections[name] for name in ("a1", "b")})


# -- invalid input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [[], {}, 3, None, b"x", [3], ["missing.h5ad"], iter([])])
def test_invalid_sections_are_named(value):
    with pytest.raises(sx.InputError, match="sections"):
        fit(value)


def test_repeated_names_raise_before_any_work(sections, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.h5ad").touch()  # reading it would fail
    with pytest.raises(sx.InputError, match="'same' occurs more than once"):
        fit([tmp_path / "x" / "same.h5ad", tmp_path / "y" / "same.h5ad"])


def without_counts(adata):
    adata.X = adata.X * 0
    return adata


def without_coordinates(adata):
    del adata.obsm["spatial"], adata.obs["array_row"], adata.obs["array_col"]
    return adata


UNUSABLE = {
    "counts": without_counts,
    "coordinates": without_coordinates,
    "genes": lambda adata: adata[:, :40].copy(),
    "spots": lambda adata: adata[:5].copy(),
}


@pytest.mark.parametrize("problem", UNUSABLE)
def test_unusable_sections_are_named(problem, sections):
    with pytest.raises(sx.InputError, match=r"^section 'bad': "):
        fit({"a1": sections["a1"], "bad": UNUSABLE[problem](sections["b"])})


@pytest.mark.slow
def test_errors_of_workers_are_those_of_one_process(sections, tmp_path):
    path = tmp_path / "bad.h5ad"
    UNUSABLE["genes"](sections["b"]).write_h5ad(path)
    messages = []
    for n_workers in (1, 2):
        with pytest.raises(sx.InputError, match=r"^section 'bad': ") as caught:
            fit([path], n_workers=n_workers)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(("exit_code", "word"), [(-9, "SIGKILL"), (3, "exit code 3")])
def test_killed_workers_are_named(exit_code, word):
    message = str(lost_worker_error("s", exit_code))
    assert "section 's'" in message
    assert word in message


@pytest.mark.slow
def test_a_killed_worker_raises_and_stops_the_others(tmp_path):
    paths = [tmp_path / f"{name}.h5ad" for name in ("x", "y", "z")]
    for path in paths:
        os.mkfifo(path)  # reading it waits for ever

    def kill_first_worker():
        while not multiprocessing.active_children():
            time.sleep(0.05)
        multiprocessing.active_children()[0].kill()

    with ThreadPoolExecutor(1) as executor:
        killer = executor.submit(kill_first_worker)
        with pytest.raises(sx.WorkerError, match="SIGKILL"):
            list(compute_records([SectionSource(p.stem, p) for p in paths], SectionSettings(), tmp_path, 2))
        killer.result()
    assert not multiprocessing.active_children()
