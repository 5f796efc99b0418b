"""``spacex run``: its files, ``--resume``, interruptions and the protection of existing files."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from tests.cli.commands import RESULT, names_in, only_line, run_command

import spacex as sx
from spacex._infra.atomic_write import process_tag
from spacex.cli import main


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_all_files_are_written(result):
    assert names_in(result) == RESULT | {"domains.csv", "enrichment.csv"}
    assert names_in(result / "model") == {"config.json", "model.safetensors"}
    assert names_in(result.parent) == {"out"}
    adata = sx.read(result / "result.h5ad")
    assert "X_spacex" in adata.varm
    genes, modules = pd.read_csv(result / "genes.csv"), pd.read_csv(result / "modules.csv")
    assert list(genes["gene"]) == list(adata.var_names)
    assert list(genes.columns[:7]) == [
        "gene", "module", "probability", "strength", "svg_score", "svg_pvalue", "svg_qvalue",
    ]  # fmt: skip
    assert list(modules.columns) == [
        "module", "size", "probability", "evidence", "jaccard_halves", "jaccard_seeds", "stable", "top_genes", "terms",
    ]  # fmt: skip
    assert list(pd.read_csv(result / "domains.csv")["spot"]) == list(adata.obs_names)
    assert list(pd.read_csv(result / "enrichment.csv").columns) == [
        "module", "term", "overlap", "size", "pvalue", "qvalue", "genes",
    ]  # fmt: skip
    assert sx.SpaCEX.load(result / "model").transform(sx.pp.gene_images(adata)).shape[0] == adata.n_vars


def test_run_json_records_the_run(result):
    run = json.loads((result / "run.json").read_text())
    assert run["input"] == "section.h5ad"
    tools = {"module_stability", "svg", "interactions", "domains", "enrich"}
    stages = {"read", "rasterize", "embed", *tools, "report", "write"}
    assert set(run["seconds"]) == stages
    assert run["peak_memory_mb"] > 50
    assert run["parameters"]["n_modules"] == 4
    assert {"python", "spacex-st", "torch"} <= set(run["versions"])
    assert run["choices"]["seed"] == 0
    assert {*run["files"], "run.json"} == names_in(result)


def test_tables_of_counts_and_coordinates(toy, tmp_path):
    counts, coordinates = tmp_path / "counts.csv", tmp_path / "coordinates.csv"
    toy.to_df().T.to_csv(counts)
    pd.DataFrame(toy.obsm["spatial"], toy.obs_names, ["x", "y"]).to_csv(coordinates)
    command = ["run", str(counts), "-o", str(tmp_path / "out"), "--n-modules", "4", "--coordinates"]
    assert main([*command, str(tmp_path / "absent.csv")]) == 2
    assert main([*command, str(coordinates)]) == 0
    adata = sx.read(tmp_path / "out" / "result.h5ad")
    np.testing.assert_array_equal(adata.X.toarray(), toy.X.toarray())
    np.testing.assert_allclose(adata.obsm["spatial"], toy.obsm["spatial"])
    assert json.loads((tmp_path / "out" / "run.json").read_text())["choices"]["coordinates"]


@pytest.mark.parametrize(("n_domains", "code"), [("3", 0), ("4", 2)])
def test_resume_keeps_a_complete_result(files, result, capsys, n_domains, code):
    before = (result / "run.json").stat().st_mtime_ns
    flags = ["--resume", "--n-domains", n_domains, "--gene-sets", str(files / "sets.gmt")]
    assert main(run_command(files, result, *flags)) == code
    assert ("different: n-domains" if code else "nothing to do") in only_line(capsys)
    assert (result / "run.json").stat().st_mtime_ns == before


def test_resume_starts_after_the_embedding(files, result, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    flags = ["--n-domains", "3", "--gene-sets", str(files / "sets.gmt")]
    with monkeypatch.context() as patch:
        patch.setattr(sx.tl, "domains", interrupt)
        assert main(run_command(files, out, *flags)) == 130
    assert "spacex: interrupted" in capsys.readouterr().err
    assert names_in(out) == {".spacex-checkpoint"}
    assert main(run_command(files, out, *flags, "--resume", "--seed", "1")) == 2
    assert "different: seed" in only_line(capsys)
    for invalid in (["--library-key", "typo"], ["--n-domains", "70"], ["--n-modules", "1000"]):
        assert main(run_command(files, out, *invalid)) == 2
        assert names_in(out) == {".spacex-checkpoint"}

    monkeypatch.setattr(sx.tl, "embed", interrupt)  # not called again
    assert main(run_command(files, out, *flags, "--resume")) == 0
    assert "resuming after `embed`" in capsys.readouterr().err
    assert names_in(out) == names_in(result)
    for name in ("genes.csv", "modules.csv", "domains.csv", "enrichment.csv", "model/model.safetensors"):
        assert (out / name).read_bytes() == (result / name).read_bytes()


def test_a_rerun_removes_files_that_it_does_not_write(files, tmp_path):
    out = tmp_path / "out"
    (out / "model").mkdir(parents=True)
    for name in ("domains.csv", "genes.csv", "model/old", "other.txt"):
        (out / name).write_text("old")
    (out / "run.json").write_text(json.dumps({"files": ["domains.csv", "genes.csv", "model"]}))
    assert main(run_command(files, out)) == 0
    assert names_in(out) == RESULT | {"other.txt"}
    assert names_in(out / "model") == {"config.json", "model.safetensors"}
    assert (out / "genes.csv").read_text() != "old"


@pytest.mark.parametrize("name", ["genes.csv", "model", "domains.csv", "run.json"])
def test_files_of_the_user_are_not_overwritten(files, tmp_path, capsys, name):
    file = tmp_path / "out" / ("model/weights" if name == "model" else name)
    file.parent.mkdir(parents=True)
    file.write_text('{"user": 1}')
    assert main(run_command(files, tmp_path / "out")) == 2
    assert f"contains {name}, not written by spacex" in only_line(capsys)
    assert main(["demo", "-o", str(tmp_path / "out")]) == 2
    assert names_in(tmp_path / "out") == {name}
    assert file.read_text() == '{"user": 1}'


def test_the_input_is_not_overwritten(result, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(result, out)
    before = (out / "result.h5ad").read_bytes()
    (tmp_path / "link.h5ad").symlink_to(out / "result.h5ad")
    for path in (out / "result.h5ad", tmp_path / "link.h5ad"):
        assert main(["run", str(path), "-o", str(out)]) == 2
        assert "the result would overwrite it" in only_line(capsys)
    assert (out / "result.h5ad").read_bytes() == before


def test_too_many_domains_raise_before_the_embedding(files, toy_embedded, tmp_path, capsys):
    assert main(run_command(files, tmp_path / "out", "--n-domains", "61")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("spacex: --n-domains 61 is not allowed: 300 pixels allow up to 60")
    assert not any("embed" in line for line in lines)
    assert not names_in(tmp_path)
    with pytest.raises(sx.InputError, match=r"61.* 60"):  # the tool has the same limit
        sx.tl.domains(toy_embedded, n_domains=61)


def test_late_errors_leave_no_files(files, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise sx.InputError("n_domains=3 is not allowed")

    monkeypatch.setattr(sx.tl, "domains", fail)
    assert main(run_command(files, tmp_path / "new" / "out", "--n-domains", "3")) == 2
    assert not (tmp_path / "new" / "out").exists()


@pytest.mark.parametrize("function", ["write_report", "gene_table"])
def test_sigterm_while_writing_leaves_no_partial_result(files, tmp_path, monkeypatch, capsys, function):
    out = tmp_path / "out"
    monkeypatch.setattr(f"spacex.cli._outputs.{function}", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    assert main(run_command(files, out)) == 128 + signal.SIGTERM
    assert capsys.readouterr().err.splitlines()[-1] == "spacex: terminated"
    assert names_in(out) == {".spacex-checkpoint"}
    assert names_in(tmp_path) == {"out"}


def test_partial_folders_of_dead_processes_are_removed(files, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "out" / f".spacex-partial-{process_tag().split('-')[0]}-{dead.pid}").mkdir(parents=True)
    assert main(run_command(files, tmp_path / "out")) == 0
    assert names_in(tmp_path / "out") == RESULT
