"""Exit codes, messages and start-up of all commands; ``query``, ``report``, ``impute`` and ``demo``."""

import re
import resource
import subprocess
import sys

import pytest
from tests.cli.commands import names_in, only_line

import spacex as sx
from spacex.cli import main

HEAVY = {"anndata", "igraph", "matplotlib", "pandas", "scanpy", "scipy", "sklearn", "torch", "jinja2"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_takes_under_a_second(arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "spacex.cli", *arguments], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert done.stdout
    # CPU time, which does not depend on the load of the machine
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_help_loads_no_heavy_dependency():
    code = "import sys\nfrom spacex.cli import main\nmain(['run', '--help'])\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY.intersection(done.stdout.splitlines()[-1].split())


def test_no_arguments_print_help(capsys):
    assert main([]) == 0
    assert "Commands:" in capsys.readouterr().out


# {section}, {folder} and {out} are replaced by paths.
INVALID = {
    "absent": ("run {folder}/absent.h5ad {out}", "cannot be found"),
    "empty": ("run {folder}/empty.h5ad {out}", "is empty"),
    "no coordinates": ("run {folder}/bare.h5ad {out}", "obsm['spatial'] is missing"),
    "library key": ("run {section} {out} --library-key slide", "--library-key slide is not a column"),
    "absent sets": ("run {section} {out} --gene-sets absent.gmt", "cannot be found"),
    "malformed sets": ("run {section} {out} --gene-sets {folder}/bad.gmt", "line 1 is not GMT"),
    "foreign sets": ("run {section} {out} --gene-sets {folder}/other.gmt", "none of its symbols"),
    "too many domains": ("run {section} {out} --n-domains 300", "--n-domains 300"),
    "one domain": ("run {section} {out} --n-domains 1", "--n-domains"),
    "no modules": ("run {section} {out} --n-modules 0", "--n-modules"),
    "device": ("run {section} {out} --device abacus", "--device abacus cannot be used"),
    "out is a file": ("run {section} -o {folder}/file", "is a file"),
    "out below a file": ("run {section} -o {folder}/file/out", "is a file"),
    "no out": ("run {section}", "Missing option"),
    "unknown option": ("run {section} {out} --fast", "No such option"),
    "unknown command": ("fly", "No such command"),
    "query without embedding": ("query {section} gene0001", "call sx.tl.embed"),
    "query in another space": ("query {section} gene0001 --space tissue", "--space tissue is not allowed"),
    "report without embedding": ("report {section} -o {folder}/r.html", "call sx.tl.embed"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_input_is_one_line_and_leaves_no_files(files, toy, tmp_path, capsys, case):
    (tmp_path / "empty.h5ad").touch()
    (tmp_path / "file").touch()
    (tmp_path / "bad.gmt").write_text("no tabs here\n")
    (tmp_path / "other.gmt").write_text("set\t-\tnot\ta\tgene\n")
    del toy.obsm["spatial"]
    toy.obs = toy.obs.drop(columns=["array_row", "array_col"])  # read if obsm["spatial"] is missing
    toy.write_h5ad(tmp_path / "bare.h5ad")
    before = names_in(tmp_path)
    command, message = INVALID[case]
    paths = {"section": files / "section.h5ad", "folder": tmp_path, "out": f"-o {tmp_path}/new/out"}
    assert main(command.format(**paths).split()) == 2
    err = capsys.readouterr().err.splitlines()
    assert message in err[-1]
    assert not [line for line in err if "Traceback" in line]
    assert names_in(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", "section.h5ad", "-o", ""], "-o has no value"),
        (["run", "section.h5ad", "--out="], "--out has no value"),
        (["run", "", "-o", "out"], "an argument is empty"),
        (["report", ""], "an argument is empty"),
        ([""], "an argument is empty"),
    ],
)
def test_empty_arguments_are_invalid(arguments, problem, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert f"{problem}; pass a value" in only_line(capsys)
    assert not names_in(tmp_path)


def test_query_prints_similar_genes(result, capsys):
    assert main(["query", str(result / "result.h5ad"), "gene0005", "-n", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == ["gene", "similarity", "qvalue"]
    expected = sx.tl.similar_genes(sx.read(result / "result.h5ad"), "gene0005", n=4)
    assert [line.split("\t")[0] for line in lines[1:]] == list(expected["gene"])


def test_query_prints_genes_of_similar_function(result, capsys):
    file = str(result / "result.h5ad")
    tables = []
    for space in ("section", "cofunction"):
        assert main(["query", file, "gene0005", "-n", "30", "--space", space]) == 0
        tables.append([line.split("\t") for line in capsys.readouterr().out.splitlines()])
        expected = sx.tl.similar_genes(sx.read(file), "gene0005", n=30, space=space)
        assert [row[0] for row in tables[-1][1:]] == list(expected["gene"])
    assert tables[0][0] == tables[1][0]
    assert tables[0][1:] != tables[1][1:]


def test_query_suggests_similar_names(result, capsys):
    assert main(["query", str(result / "result.h5ad"), "GENE5"]) == 2
    assert "gene00" in only_line(capsys)


def test_report_is_written(result, tmp_path):
    assert main(["report", str(result / "result.h5ad"), "-o", str(tmp_path / "report.html")]) == 0
    html = (tmp_path / "report.html").read_text()
    assert "Seconds per stage" in html
    assert "enriched terms" in html.lower()
    assert names_in(tmp_path) == {"report.html"}


@pytest.mark.parametrize("overwritten", ["target.h5ad", "reference.h5ad"])
def test_impute_does_not_overwrite_its_inputs(tmp_path, capsys, overwritten):
    paths = [tmp_path / "target.h5ad", tmp_path / "reference.h5ad"]
    for path in paths:
        path.write_text(path.name)
    assert main(["impute", *map(str, paths), "-o", str(tmp_path / overwritten)]) == 2
    assert f"would overwrite the input {tmp_path / overwritten}" in only_line(capsys)
    assert [path.read_text() for path in paths] == ["target.h5ad", "reference.h5ad"]


def test_demo_prints_scores(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sx.datasets, "simulate_section", lambda seed: toy)
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not names_in(tmp_path)
    assert re.search(r"60 of 120 genes are spatial and belong to 4 modules.*Modules found: [3-6]\.", lines[0])
    scores = {meaning: float(value) for value, _, meaning in (line.strip().partition("  ") for line in lines[1:])}
    assert len(scores) == 9
    for meaning, value in scores.items():
        if "Rand index" in meaning or "AUROC" in meaning or "nearest to" in meaning:
            assert 0.5 < value <= 1, meaning
        else:
            assert 0 <= value < 0.5, meaning


def test_a_closed_pipe_is_not_an_error(result, monkeypatch, capsys):
    def closed(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("typer.echo", closed)
    with pytest.raises(SystemExit) as stopped:
        main(["query", str(result / "result.h5ad"), "gene0005"])
    assert stopped.value.code == 1
    assert not capsys.readouterr().err
