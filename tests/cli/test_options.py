"""``--layer``, ``--spatial-key`` and ``--library-key``, options in messages, and results as inputs of all commands."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import typer
from tests.cli.commands import FAST, save

import spacex as sx
from spacex.cli import app, main
from spacex.cli._option_names import option_names, to_option_names
from spacex.cli._run_options import RunOptions

COMMANDS = typer.main.get_command(app).commands
OPTIONS = {"layer": "--layer", "library_key": "--library-key", "spatial_key": "--spatial-key", "lazy": "--lazy",
           "n_domains": "--n-domains", "seed": "--seed", "strategy": "--strategy"}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "translated"),
    [
        ("several sections: pass library_key='sample'", "several sections: pass --library-key sample"),
        ("pass library_key='my sample' or x", "pass --library-key 'my sample' or x"),
        ("pass spatial_key='x,y' or spatial_key=\"it's\"", "pass --spatial-key x,y or --spatial-key 'it'\"'\"'s'"),
        ("pass layer= with raw counts", "pass --layer with raw counts"),
        ("in X or by layer=", "in X or by --layer"),
        ("pass one of them or layer=None", "pass one of them or no --layer"),
        ("read it with lazy=True (spacex run: --lazy)", "read it with --lazy (spacex run: --lazy)"),
        ("n_domains=-3 is not allowed; pass a number", "--n-domains -3 is not allowed; pass a number"),
        ("seed=1.5 is", "--seed 1.5 is"),
        ("Config.strategy='x' is not allowed", "--strategy x is not allowed"),
        ("call sx.tl.embed(adata, library_key='slice')", "call sx.tl.embed(adata, library_key='slice')"),
        ("adata.obs['section'] = 3, grid=5, player='x'", "adata.obs['section'] = 3, grid=5, player='x'"),
        ("obs['seed'] == 0 and seed==1", "obs['seed'] == 0 and seed==1"),
    ],
)
def test_arguments_become_options(message, translated):
    assert to_option_names(message, OPTIONS) == translated
    assert to_option_names(message, {}) == message


def test_option_names_of_each_command():
    assert option_names(COMMANDS["run"]).items() >= {
        "layer": "--layer", "spatial_key": "--spatial-key", "library_key": "--library-key", "lazy": "--lazy",
    }.items()  # fmt: skip
    assert option_names(COMMANDS["query"]) == {"n": "-n", "space": "--space"}
    assert option_names(None) == {}
    assert {"layer", "spatial_key", "library_key"} <= set(option_names(COMMANDS["impute"]))
    assert not {"lazy", "n_domains"} & set(option_names(COMMANDS["impute"]))


def test_the_embedding_depends_on_layer_and_spatial_key():
    options = RunOptions(layer="measured", spatial_key="px,py")
    assert options.embedding_choices()["layer"] == options.result_choices()["layer"] == "measured"
    assert options.embedding_choices()["spatial_key"] == "px,py"


def move_counts_and_coordinates(adata):
    """Move the counts to ``layers["measured"]`` and the coordinates to two columns of ``obs``."""
    adata.layers["measured"] = adata.X.copy()
    adata.X = adata.X.log1p()
    adata.obs["px"], adata.obs["py"] = adata.obsm["spatial"].T
    del adata.obsm["spatial"]
    adata.obs = adata.obs.drop(columns=["array_row", "array_col"])
    return adata


def test_layer_and_spatial_key_of_run(toy, tmp_path, capsys):
    source, out = save(move_counts_and_coordinates(toy.copy()), tmp_path / "a.h5ad"), tmp_path / "out"
    command = ["run", source, "-o", str(out), *FAST]
    assert main(command) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "obsm['spatial'] is missing" in message
    assert "--spatial-key" in message
    command += ["--spatial-key", "px,py"]
    assert main([*command, "--layer", "absent"]) == 2
    assert "--layer absent is not in adata.layers" in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()
    assert main([*command, "--layer", "measured"]) == 0
    assert "counts" not in capsys.readouterr().err  # no warning
    result = sx.read(out / "result.h5ad")
    toy.obs = toy.obs.drop(columns=["array_row", "array_col"])
    sx.tl.embed(toy, n_modules=4, progress=False)
    np.testing.assert_array_equal(result.varm["X_spacex"], toy.varm["X_spacex"])
    assert result.uns["spacex"]["embed"]["layer"] == "measured"
    assert result.uns["spacex"]["grid"]["spatial_key"] == "px,py"
    assert bool(result.uns["spacex"]["embed"]["is_count"])
    assert json.loads((out / "run.json").read_text())["choices"]["layer"] == "measured"
    assert main([*command, "--layer", "measured", "--resume"]) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert main([*command, "--layer", "X", "--resume"]) == 2
    assert "different: layer" in capsys.readouterr().err


def log_normalize(adata):
    adata.raw = adata.copy()
    adata.X = adata.X.log1p()
    return adata


@pytest.mark.parametrize("has_raw", [False, True])
def test_every_warning_is_logged_once(toy, tmp_path, capsys, has_raw):
    adata = log_normalize(toy)
    if not has_raw:
        adata.raw = None
    adata.obsm["X_spatial"] = np.column_stack([adata.obsm.pop("spatial"), np.zeros(adata.n_obs)])
    source = save(adata, tmp_path / "a.h5ad")
    assert main(["run", source, "-o", str(tmp_path / "out"), *FAST, "--n-domains", "3"]) == 0
    err = capsys.readouterr().err
    assert err.count("does not hold counts") == 1
    assert err.count(".raw is used" if has_raw else "treated as intensities") == 1
    assert err.count("obsm['spatial'] is missing") == 1
    assert err.count("3 columns") == 1
    assert "layer=" not in err


def test_overlapping_sections_suggest_library_key(toy, tmp_path, capsys):
    both = ad.concat({"one a": toy, "b": toy}, label="my sample", index_unique="-")
    assert main(["run", save(both, tmp_path / "a.h5ad"), "-o", str(tmp_path / "out"), *FAST]) == 2
    assert "pass --library-key 'my sample'" in capsys.readouterr().err.splitlines()[-1]
    both.obs = both.obs.rename(columns={"my sample": "sample"})
    panel = save(toy[:, :40].copy(), tmp_path / "panel.h5ad")
    both_panels = save(both[:, :40].copy(), tmp_path / "panels.h5ad")
    for target, hint in ((panel, "spacex run: --library-key sample"), (both_panels, "pass --library-key sample")):
        command = ["impute", target, save(both, tmp_path / "both.h5ad"), "-o", str(tmp_path / "o.h5ad")]
        assert main(command) == 2
        assert hint in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "o.h5ad").exists()


def test_layer_and_spatial_key_of_impute(toy, tmp_path, capsys):
    genes, out = tmp_path / "genes.txt", tmp_path / "o.h5ad"
    genes.write_text("\n".join(toy.var_names[60:63]))
    target = save(move_counts_and_coordinates(toy.copy())[:, :40].copy(), tmp_path / "t.h5ad")
    command = ["impute", target, save(toy, tmp_path / "r.h5ad"), "-o", str(out), "--genes", str(genes)]
    assert main([*command, "--layer", "measured", "--spatial-key", "px,py"]) == 0
    expected = sx.tl.impute(toy[:, :40].copy(), toy, genes=list(toy.var_names[60:63]), progress=False)
    np.testing.assert_allclose(np.asarray(sx.read(out).X), expected.X, atol=1e-5)
    capsys.readouterr()
    assert main([*command, "--spatial-key", "absent"]) == 2
    assert "obsm['absent'] is missing" in capsys.readouterr().err


def mark_background(adata):
    adata.obs["in_tissue"] = np.where(np.arange(adata.n_obs) % 4 > 0, "1", "0")
    return adata


SECTIONS = {
    "counts in X": lambda toy: toy,
    "counts in raw": lambda toy: log_normalize(toy)[:, :60].copy(),
    "several sections": lambda toy: ad.concat({"a": toy, "b": toy}, label="sample", index_unique="-"),
    "background": mark_background,
}


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_command_reads_the_result_of_run(kind, toy, tmp_path, capsys):
    adata = SECTIONS[kind](toy.copy())
    library = ["--library-key", "sample"] if "sample" in adata.obs else []
    flags = [*FAST, "--n-domains", "3", *library]
    assert main(["run", save(adata, tmp_path / "a.h5ad"), "-o", str(tmp_path / "out"), *flags]) == 0
    result = str(tmp_path / "out" / "result.h5ad")
    n_tissue = int((adata.obs["in_tissue"].astype(float) > 0).sum())
    assert len(pd.read_csv(tmp_path / "out" / "domains.csv")) == n_tissue
    capsys.readouterr()
    assert main(["query", result, "gene0002", "-n", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["report", result, "-o", str(tmp_path / "report.html")]) == 0
    assert main(["run", result, "-o", str(tmp_path / "second"), *flags]) == 0
    first, second = sx.read(result), sx.read(tmp_path / "second" / "result.h5ad")
    np.testing.assert_array_equal(first.varm["X_spacex"], second.varm["X_spacex"])
    assert first.obs["spacex_domain"].tolist() == second.obs["spacex_domain"].tolist()
    reference = sx.datasets.simulate_section(n_genes=140, n_spots=200, n_modules=3, depth=1.5)
    panel = save(reference[:, :40].copy(), tmp_path / "panel.h5ad")
    full = save(reference, tmp_path / "whole.h5ad")
    genes, out = tmp_path / "genes.txt", tmp_path / "imputed.h5ad"
    for target, source, gene, n_obs, more in (
        (result, full, "gene0130", n_tissue, library),
        (panel, result, "gene0045", 200, []),
    ):
        genes.write_text(gene)
        assert main(["impute", target, source, "-o", str(out), "--genes", str(genes), *more]) == 0
        imputed = sx.read(out)
        assert imputed.n_obs == n_obs
        assert np.isfinite(imputed.X).all()
        out.unlink()
    assert "Traceback" not in capsys.readouterr().err


def test_integer_csc_counts_are_read(toy, tmp_path):
    toy.X = sp.csc_array(toy.X.astype(np.int64))
    assert main(["run", save(toy, tmp_path / "a.h5ad"), "-o", str(tmp_path / "out"), *FAST]) == 0
