"""The command line: files appear whole or not at all, and exit codes say how it went."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import spacex as sx
from spacex._infra.atomic_write import process_tag
from spacex.cli import main
from spacex.cli._batch import sections_in
from spacex.cli._run import PIXELS_OF_A_DOMAIN
from spacex.tl._domains import MIN_PIXELS

HEAVY = {"anndata", "igraph", "matplotlib", "pandas", "scanpy", "scipy", "sklearn", "torch", "jinja2"}
FILES = {"result.h5ad", "genes.csv", "modules.csv", "model", "report.html", "run.json"}
FAST = ["--n-modules", "3"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("input")
    adata = sx.datasets.simulate_section(n_genes=80, n_spots=200, n_modules=3, n_domains=3, depth=1.0)
    adata.write_h5ad(folder / "section.h5ad")
    sets = {f"m{m}": genes for m, genes in adata.var.groupby("module").groups.items() if m >= 0}
    (folder / "sets.gmt").write_text("".join("\t".join([name, "-", *genes]) + "\n" for name, genes in sets.items()))
    return folder


@pytest.fixture(autouse=True)
def _no_umap(monkeypatch):
    """A UMAP takes seconds to compile; the first two dimensions are as good a layout for a test."""
    monkeypatch.setattr("spacex.get._gene_layout._umap", lambda direction: direction[:, :2])


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """A complete result with everything in it."""
    out = tmp_path_factory.mktemp("done") / "deep" / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spacex.get._gene_layout._umap", lambda direction: direction[:, :2])
        command = [*job(files, out), "--n-domains", "3", "--gene-sets", str(files / "sets.gmt")]
        assert main(command) == 0
    return out


def job(files, out, *more):
    return ["run", str(files / "section.h5ad"), "-o", str(out), *FAST, *more]


def names(folder):
    return {path.name for path in folder.iterdir()}


def one_line(capsys):
    """The one line that bad input leaves on stderr."""
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line]
    assert not out
    assert len(lines) == 1, err
    assert lines[0].startswith("spacex: ")
    return lines[0]


# Light and quick


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_is_quick(arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "spacex.cli", *arguments], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert done.stdout
    # seconds of work, which do not depend on what else the machine does
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_starting_loads_nothing_heavy():
    code = "import sys\nfrom spacex.cli import main\nmain(['run', '--help'])\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY.intersection(done.stdout.splitlines()[-1].split())


def test_no_arguments_print_help(capsys):
    assert main([]) == 0
    assert "Commands:" in capsys.readouterr().out


# run


def test_run_writes_every_file(done):
    assert names(done) == FILES | {"domains.csv", "enrichment.csv"}
    assert names(done / "model") == {"config.json", "model.safetensors"}
    assert names(done.parent) == {"out"}
    result = sx.read(done / "result.h5ad")
    assert "X_spacex" in result.varm
    genes, modules = pd.read_csv(done / "genes.csv"), pd.read_csv(done / "modules.csv")
    assert list(genes["gene"]) == list(result.var_names)
    assert list(genes.columns[:7]) == [
        "gene", "module", "probability", "strength", "svg_score", "svg_pvalue", "svg_qvalue",
    ]  # fmt: skip
    assert list(modules.columns) == ["module", "size", "probability", "top_genes", "terms"]
    assert list(pd.read_csv(done / "domains.csv")["spot"]) == list(result.obs_names)
    assert list(pd.read_csv(done / "enrichment.csv").columns) == [
        "module", "term", "overlap", "size", "pvalue", "qvalue", "genes",
    ]  # fmt: skip
    assert sx.SpaCEX.load(done / "model").transform(sx.pp.gene_images(result)).shape[0] == result.n_vars


def test_run_json_says_how_it_was_made(done):
    notes = json.loads((done / "run.json").read_text())
    assert notes["input"] == "section.h5ad"
    stages = {"read", "rasterize", "embed", "svg", "interactions", "domains", "enrich", "report", "write"}
    assert set(notes["seconds"]) == stages
    assert notes["peak_memory_mb"] > 50
    assert notes["parameters"]["n_modules"] == 3
    assert {"python", "spacex-st", "torch"} <= set(notes["versions"])
    assert notes["choices"]["seed"] == 0
    assert {*notes["files"], "run.json"} == names(done)


def test_a_folder_of_sections_and_a_section_that_is_a_folder(tmp_path):
    for name in ("b.h5ad", "a.zarr", "C.H5AD", "notes.csv"):
        (tmp_path / name).write_text("gene\n")
    inside = [tmp_path / name for name in ("C.H5AD", "a.zarr", "b.h5ad")]
    assert sections_in([tmp_path, tmp_path / "b.h5ad"]) == [*inside, tmp_path / "b.h5ad"]
    # What a vendor wrote, or counts and coordinates, is one section, whatever was saved to the same folder.
    (tmp_path / "coordinates.csv").write_text("barcode,x,y\ns1,0,0\ns2,1,0\n")
    (tmp_path / "notes.csv").write_text("barcode,MBP\ns1,1\ns2,3\n")
    assert sections_in([tmp_path]) == [tmp_path]
    vendor = tmp_path / "outs"
    vendor.mkdir()
    for name in ("cell_feature_matrix.h5", "mine.h5ad"):
        (vendor / name).write_text("")
    assert sections_in([vendor]) == [vendor]
    assert sections_in([tmp_path / "outs" / "mine.h5ad"]) == [vendor / "mine.h5ad"]


@pytest.mark.slow
def test_several_sections_have_a_folder_each_and_one_table(tmp_path, capfd):
    folder, out = tmp_path / "sections", tmp_path / "out"
    folder.mkdir()
    for name in ("one", "two"):
        made = sx.datasets.simulate_section(n_genes=60, n_spots=150, n_modules=2, depth=1.0, seed=len(name))
        made.write_h5ad(folder / f"{name}.h5ad")
    (folder / "broken.h5ad").write_bytes(b"")
    command = ["run", str(folder), "-o", str(out), "--n-modules", "2"]
    assert main(command) == 2
    table = pd.read_csv(out / "sections.csv").set_index("section")
    assert list(table.index) == ["broken", "one", "two"]
    assert "is empty" in table["error"]["broken"]
    assert not (out / "broken").exists()
    assert table["genes"].dropna().tolist() == [60, 60]
    assert "report.html" in names(out / "one")
    made.write_h5ad(folder / "broken.h5ad")  # mended
    before = (out / "one" / "result.h5ad").stat().st_mtime_ns
    assert main([*command, "--resume"]) == 0
    assert (out / "one" / "result.h5ad").stat().st_mtime_ns == before
    assert pd.read_csv(out / "sections.csv")["error"].isna().all()
    assert "nothing to do" in capfd.readouterr().err


def test_sections_of_one_name_are_refused(tmp_path):
    places = [tmp_path / name / "outs" for name in ("a", "b")] + [tmp_path / "c" / "a.h5ad"]
    assert main(["run", *map(str, places), "-o", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_a_table_of_counts_and_one_of_coordinates(tmp_path):
    adata = sx.datasets.simulate_section(n_genes=60, n_spots=150, n_modules=2, depth=1.0)
    counts, places = tmp_path / "counts.csv", tmp_path / "places.csv"
    adata.to_df().T.to_csv(counts)
    pd.DataFrame(adata.obsm["spatial"], adata.obs_names, ["x", "y"]).to_csv(places)
    command = ["run", str(counts), "-o", str(tmp_path / "out"), "--n-modules", "2", "--coordinates"]
    assert main([*command, str(tmp_path / "absent.csv")]) == 2
    assert main([*command, str(places)]) == 0
    found = sx.read(tmp_path / "out" / "result.h5ad")
    np.testing.assert_array_equal(found.X.toarray(), adata.X.toarray())
    np.testing.assert_allclose(found.obsm["spatial"], adata.obsm["spatial"])
    assert json.loads((tmp_path / "out" / "run.json").read_text())["choices"]["coordinates"]


def test_a_complete_result_is_not_made_again(files, done, capsys):
    before = (done / "run.json").stat().st_mtime_ns
    command = [*job(files, done, "--resume"), "--n-domains", "3", "--gene-sets", str(files / "sets.gmt")]
    assert main(command) == 0
    assert "nothing to do" in one_line(capsys)
    assert (done / "run.json").stat().st_mtime_ns == before


def test_resuming_another_job_is_refused(files, done, capsys):
    before = (done / "run.json").read_text()
    command = [*job(files, done, "--resume"), "--n-domains", "4", "--gene-sets", str(files / "sets.gmt")]
    assert main(command) == 2
    assert "different: n-domains" in one_line(capsys)
    assert (done / "run.json").read_text() == before


def test_a_smaller_job_leaves_nothing_of_a_larger_one(files, tmp_path):
    out = tmp_path / "out"
    (out / "model").mkdir(parents=True)
    for old in ("domains.csv", "genes.csv", "model/old", "mine.txt"):
        (out / old).write_text("old")
    (out / "run.json").write_text(json.dumps({"files": ["domains.csv", "genes.csv", "model"]}))
    assert main(job(files, out)) == 0
    assert names(out) == FILES | {"mine.txt"}
    assert names(out / "model") == {"config.json", "model.safetensors"}
    assert (out / "genes.csv").read_text() != "old"


@pytest.mark.parametrize("mine", ["genes.csv", "model", "domains.csv", "run.json"])
def test_what_no_run_wrote_is_not_replaced(files, tmp_path, capsys, mine):
    out = tmp_path / "out"
    (out / "model").mkdir(parents=True) if mine == "model" else out.mkdir()
    (out / mine / "weights" if mine == "model" else out / mine).write_text('{"mine": 1}')
    assert main(job(files, out)) == 2
    assert f"holds {mine}, which would be replaced" in one_line(capsys)
    assert main(["demo", "-o", str(out)]) == 2
    assert names(out) == {mine}
    assert (out / mine / "weights" if mine == "model" else out / mine).read_text() == '{"mine": 1}'


def test_the_input_is_not_replaced_by_the_result(files, done, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(done, out)
    before = (out / "result.h5ad").read_bytes()
    (tmp_path / "link.h5ad").symlink_to(out / "result.h5ad")
    for name in (out / "result.h5ad", tmp_path / "link.h5ad"):
        assert main(["run", str(name), "-o", str(out)]) == 2
        assert "where the result would replace it" in one_line(capsys)
    assert (out / "result.h5ad").read_bytes() == before


@pytest.mark.parametrize("given", [0, 1])
def test_impute_does_not_replace_what_it_reads(tmp_path, capsys, given):
    for name in ("target", "reference"):
        (tmp_path / f"{name}.h5ad").write_text(name)
    given_files = [str(tmp_path / f"{name}.h5ad") for name in ("target", "reference")]
    assert main(["impute", *given_files, "-o", given_files[given]]) == 2
    assert "which would be replaced" in one_line(capsys)
    assert (tmp_path / "reference.h5ad").read_text() == "reference"


def test_bad_input_leaves_the_checkpoint_of_another_run(files, tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(sx.tl, "svg", interrupt)
        assert main(job(files, out)) == 130
    capsys.readouterr()
    for wrong in (["--library-key", "typo"], ["--n-domains", "70"], ["--n-modules", "1000"]):
        assert main(job(files, out, *wrong)) == 2
        assert names(out) == {".spacex-checkpoint"}
    assert main(job(files, out, "--resume")) == 0
    assert "going on after the embedding" in capsys.readouterr().err


def test_too_many_domains_are_told_before_the_embedding(files, tmp_path, capsys):
    assert PIXELS_OF_A_DOMAIN == MIN_PIXELS
    assert main(job(files, tmp_path / "out", "--n-domains", "70")) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("spacex: --n-domains 70 is not allowed: ")
    assert not any("embed" in line for line in said)
    assert names(tmp_path) == set()


def test_an_interrupted_job_goes_on(files, done, tmp_path, monkeypatch, capsys):
    out, domains = tmp_path / "out", sx.tl.domains
    more = ["--n-domains", "3", "--gene-sets", str(files / "sets.gmt")]

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sx.tl, "domains", interrupt)
    assert main(job(files, out, *more)) == 130
    assert "spacex: interrupted" in capsys.readouterr().err
    assert names(out) == {".spacex-checkpoint"}
    assert main(job(files, out, *more, "--resume", "--seed", "1")) == 2
    assert "different: seed" in one_line(capsys)

    monkeypatch.setattr(sx.tl, "domains", domains)
    monkeypatch.setattr(sx.tl, "embed", interrupt)  # is not called again
    assert main(job(files, out, *more, "--resume")) == 0
    assert names(out) == names(done)
    for name in ("genes.csv", "modules.csv", "domains.csv", "enrichment.csv"):
        assert (out / name).read_text() == (done / name).read_text()
    assert (out / "model" / "model.safetensors").read_bytes() == (done / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("stage", ["spacex.cli._outputs.write_report", "spacex.cli._outputs.gene_table"])
def test_a_kill_while_writing_leaves_no_half_result(files, tmp_path, monkeypatch, capsys, stage):
    out = tmp_path / "out"
    monkeypatch.setattr(stage, lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    assert main(job(files, out)) == 128 + signal.SIGTERM
    assert capsys.readouterr().err.splitlines()[-1] == "spacex: terminated"
    assert names(out) == {".spacex-checkpoint"}
    assert names(tmp_path) == {"out"}


def test_what_a_killed_process_left_is_swept(files, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "out" / f".spacex-partial-{process_tag().split('-')[0]}-{dead.pid}").mkdir(parents=True)
    assert main(job(files, tmp_path / "out")) == 0
    assert names(tmp_path / "out") == FILES


# Bad input


def bad_inputs(files, tmp_path):
    (tmp_path / "empty.h5ad").touch()
    (tmp_path / "bad.gmt").write_text("no tabs here\n")
    (tmp_path / "other.gmt").write_text("set\t-\tnot\ta\tgene\n")
    (tmp_path / "file").touch()
    bare = sx.read(files / "section.h5ad")
    del bare.obsm["spatial"]
    bare.obs = bare.obs.drop(columns=["array_row", "array_col"])  # which would do
    bare.write_h5ad(tmp_path / "bare.h5ad")
    section, out = str(files / "section.h5ad"), ["-o", str(tmp_path / "new" / "out")]
    return {
        "absent": (["run", str(tmp_path / "absent.h5ad"), *out], "cannot be found"),
        "empty": (["run", str(tmp_path / "empty.h5ad"), *out], "is empty"),
        "no coordinates": (["run", str(tmp_path / "bare.h5ad"), *out], "obsm['spatial'] is missing"),
        "library key": (["run", section, *out, "--library-key", "slide"], "--library-key slide is not a column"),
        "absent sets": (["run", section, *out, "--gene-sets", "absent.gmt"], "cannot be found"),
        "malformed sets": (["run", section, *out, "--gene-sets", str(tmp_path / "bad.gmt")], "line 1 is not GMT"),
        "foreign sets": (["run", section, *out, "--gene-sets", str(tmp_path / "other.gmt")], "none of its symbols"),
        "domains": (["run", section, *out, "--n-domains", "200"], "--n-domains 200"),
        "one domain": (["run", section, *out, "--n-domains", "1"], "--n-domains"),
        "modules": (["run", section, *out, "--n-modules", "0"], "--n-modules"),
        "device": (["run", section, *out, "--device", "abacus"], "--device abacus cannot be used"),
        "out is a file": (["run", section, "-o", str(tmp_path / "file")], "is a file"),
        "out below a file": (["run", section, "-o", str(tmp_path / "file" / "out")], "is a file"),
        "no out": (["run", section], "Missing option"),
        "unknown option": (["run", section, *out, "--fast"], "No such option"),
        "unknown command": (["fly"], "No such command"),
        "no embedding": (["query", section, "gene0001"], "call sx.tl.embed"),
        "report of nothing": (["report", section, "-o", str(tmp_path / "r.html")], "call sx.tl.embed"),
    }


CASES = [
    "absent", "empty", "no coordinates", "library key", "absent sets", "malformed sets", "foreign sets", "domains",
    "one domain", "modules", "device", "out is a file", "out below a file", "no out", "unknown option",
    "unknown command", "no embedding", "report of nothing",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(files, tmp_path, capsys, case):
    arguments, message = bad_inputs(files, tmp_path)[case]
    before = names(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err.splitlines()
    assert message in err[-1]
    assert [line for line in err if "Traceback" in line] == []
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["run", "section.h5ad", "-o", ""], "-o has no value"),
        (["run", "section.h5ad", "--out="], "--out has no value"),
        (["run", "", "-o", "out"], "an argument is empty"),
        (["query", "result.h5ad", ""], "an argument is empty"),
        (["report", ""], "an argument is empty"),
        ([""], "an argument is empty"),
    ],
)
def test_an_empty_value_is_not_this_folder(arguments, what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"spacex: {what}; pass one (perhaps a variable of the shell is not set)\n"
    assert not list(tmp_path.iterdir())


def test_bad_input_that_shows_late_leaves_nothing_either(files, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise sx.InputError("n_domains=3 is not allowed")

    monkeypatch.setattr(sx.tl, "domains", refuse)
    assert main(job(files, tmp_path / "new" / "out", "--n-domains", "3")) == 2
    assert not (tmp_path / "new" / "out").exists()


# query, report, demo


def test_query_prints_similar_genes(done, capsys):
    assert main(["query", str(done / "result.h5ad"), "gene0005", "-n", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == ["gene", "similarity", "qvalue"]
    expected = sx.tl.similar_genes(sx.read(done / "result.h5ad"), "gene0005", n=4)
    assert [line.split("\t")[0] for line in lines[1:]] == list(expected["gene"])


def test_query_of_an_unknown_gene_names_close_ones(done, capsys):
    assert main(["query", str(done / "result.h5ad"), "GENE5"]) == 2
    line = one_line(capsys)
    assert "close to it: gene" in line


def test_report_is_written_again(done, tmp_path):
    assert main(["report", str(done / "result.h5ad"), "-o", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "Seconds per stage" in page
    assert "enriched terms" in page
    assert names(tmp_path) == {"report.html"}


def test_demo_prints_what_was_recovered(tmp_path, monkeypatch, capsys):
    simulate = sx.datasets.simulate_section
    small = {"n_genes": 150, "n_spots": 300, "n_modules": 4, "n_domains": 3, "depth": 1.0}
    monkeypatch.setattr(sx.datasets, "simulate_section", lambda seed: simulate(**small, seed=seed))
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    figures = capsys.readouterr().out
    for words in (
        "modules, adjusted Rand index",
        "10 nearest genes",
        "AUROC",
        "p < .05",
        "domains, adjusted Rand index",
    ):
        assert words in figures
    assert not names(tmp_path)
    value = float(next(line for line in figures.splitlines() if "AUROC" in line).split()[-1])
    assert 0.5 < value <= 1


def test_a_closed_pipe_is_no_error(done, monkeypatch, capsys):
    def closed(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("typer.echo", closed)
    with pytest.raises(SystemExit) as stopped:
        main(["query", str(done / "result.h5ad"), "gene0005"])
    assert stopped.value.code == 1
    assert not capsys.readouterr().err
