"""The command ``spacex reference``."""

import pytest
from tests.cli.commands import only_line, save
from tests.reference.conftest import simulate

import spacex as sx
from spacex.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sections")
    for seed, name in enumerate(("s1", "s2")):
        save(simulate(seed), path / f"{name}.h5ad")
    save(simulate(2), path.parent / "s3.h5ad")
    return path


def test_sections_become_a_file(folder, tmp_path, capsys):
    out, more = tmp_path / "out.safetensors", tmp_path / "more.safetensors"
    assert main(["reference", str(folder), "-o", str(out)]) == 0
    printed, err = capsys.readouterr()
    reference = sx.Reference.load(out)
    assert reference.sections["name"].tolist() == ["s1", "s2"]
    assert not printed
    lines = [line for line in err.splitlines() if line.startswith("spacex: ")]
    assert [line.split(":")[1].strip() for line in lines[:2]] == ["s1", "s2"]
    assert lines[-1] == f"spacex: wrote {out}: {len(reference.genes)} genes, 2 section(s), 1 group(s)"
    third = str(folder.parent / "s3.h5ad")
    assert main(["reference", third, "--update", str(out), "-o", str(more)]) == 0
    expected = reference.update([third], progress=False)
    assert sx.Reference.load(more).digest == expected.digest
    assert sx.Reference.load(out).digest == reference.digest


@pytest.mark.slow
def test_workers_do_not_change_the_file(folder, tmp_path):
    files = [tmp_path / "one", tmp_path / "two"]
    for workers, file in enumerate(files, start=1):
        assert main(["reference", str(folder), "-o", str(file), "--workers", str(workers), "--seed", "3"]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sx.Reference.load(files[0]).seed == 3


@pytest.mark.slow
def test_a_cluster_makes_the_same_file(folder, tmp_path, cluster):
    files = [tmp_path / "local.safetensors", tmp_path / "cluster.safetensors"]
    assert main(["reference", str(folder), "-o", str(files[0])]) == 0
    assert main(["reference", str(folder), "-o", str(files[1]), "--scheduler", cluster]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted(files)


@pytest.mark.slow
def test_errors_on_a_cluster_leave_nothing_behind(tmp_path, cluster, capfd):
    (tmp_path / "empty.h5ad").touch()
    out = tmp_path / "out" / "reference.safetensors"
    out.parent.mkdir()
    command = ["reference", str(tmp_path / "empty.h5ad"), "-o", str(out), "--scheduler", cluster]
    assert main(command) == 2
    assert "section 'empty': " in capfd.readouterr().err.splitlines()[-1]
    assert not list(out.parent.iterdir())


INVALID = {
    "missing section": (["{folder}/none.h5ad", "-o", "{out}"], "none.h5ad"),
    "missing reference": (["{folder}/s1.h5ad", "--update", "{folder}/none", "-o", "{out}"], "none"),
    "no reference": (["{folder}/s1.h5ad", "--update", "{folder}/s1.h5ad", "-o", "{out}"], "s1.h5ad"),
    "output is an input": (["{folder}/s1.h5ad", "-o", "{folder}/s1.h5ad"], "would overwrite"),
    "output is a folder": (["{folder}/s1.h5ad", "-o", "{folder}"], "is a folder"),
    "repeated": (["{folder}/s1.h5ad", "{folder}/s1.h5ad", "-o", "{out}"], "s1"),
    "layer": (["{folder}/s1.h5ad", "--layer", "none", "-o", "{out}"], "--layer none"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_input_leaves_nothing_behind(case, folder, tmp_path, capsys):
    arguments, word = INVALID[case]
    before = (folder / "s1.h5ad").read_bytes()
    out = tmp_path / "out.safetensors"
    assert main(["reference", *(text.format(folder=folder, out=out) for text in arguments)]) == 2
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.startswith("spacex: ")]
    assert len(lines) == 1
    assert word in lines[0]
    assert not list(tmp_path.iterdir())
    assert (folder / "s1.h5ad").read_bytes() == before


def test_the_output_does_not_replace_the_reference_that_is_updated(folder, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    sx.Reference.fit([folder / "s1.h5ad"], seed=1, progress=False).save(out)
    section = str(folder / "s2.h5ad")
    assert main(["reference", section, "--update", str(out), "-o", str(out)]) == 2
    assert "would overwrite" in only_line(capsys)
    assert main(["reference", section, "--update", str(out), "-o", str(out) + "2", "--seed", "0"]) == 2
    assert "--seed 0" in only_line(capsys)
