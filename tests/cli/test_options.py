"""``--layer`` and ``--spatial-key``, options in messages, and that commands read what ``spacex run`` wrote."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import typer
from anndata import AnnData

import spacex as sx
from spacex.cli import app, main
from spacex.cli._run import Options
from spacex.cli._spelling import in_options, options_of

FAST = ["--n-modules", "3"]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacex.get._gene_layout._umap", lambda direction: direction[:, :2])


def plain() -> AnnData:
    return sx.datasets.simulate_section(n_genes=70, n_spots=200, n_modules=3, n_domains=3, depth=1.5)


def hidden() -> AnnData:
    """Counts in a layer of no usual name, log-normalised values in X, coordinates in columns."""
    adata = plain()
    adata.layers["measured"] = adata.X.copy()
    adata.X = adata.X.log1p()
    adata.obs["px"], adata.obs["py"] = adata.obsm["spatial"].T
    del adata.obsm["spatial"]
    adata.obs = adata.obs.drop(columns=["array_row", "array_col"])
    return adata


def written(adata: AnnData, path: Path) -> str:
    adata.write_h5ad(path)
    return str(path)


# -- spelling ----------------------------------------------------------------------------------------------

OPTIONS = {"layer": "--layer", "library_key": "--library-key", "spatial_key": "--spatial-key", "lazy": "--lazy",
           "n_domains": "--n-domains", "seed": "--seed", "strategy": "--strategy"}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "spelled"),
    [
        ("tells them apart: pass library_key='sample'", "tells them apart: pass --library-key sample"),
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
def test_arguments_become_options(message: str, spelled: str) -> None:
    assert in_options(message, OPTIONS) == spelled
    assert in_options(message, {}) == message


def test_every_command_has_its_own_options() -> None:
    assert options_of(COMMANDS["run"]).items() >= {
        "layer": "--layer", "spatial_key": "--spatial-key", "library_key": "--library-key", "lazy": "--lazy",
    }.items()  # fmt: skip
    assert options_of(COMMANDS["query"]) == {"n": "-n"}
    assert options_of(None) == {}
    assert {"layer", "spatial_key", "library_key"} <= set(options_of(COMMANDS["impute"]))
    assert not {"lazy", "n_domains"} & set(options_of(COMMANDS["impute"]))


def test_choices_go_on_to_processes_and_checkpoints() -> None:
    options = Options(layer="measured", spatial_key="px,py")
    assert options.flags()[:4] == ["--layer", "measured", "--spatial-key", "px,py"]
    assert options.embedding()["layer"] == options.all()["layer"] == "measured"
    assert options.embedding()["spatial_key"] == "px,py"
    assert "--layer" not in Options().flags()


# -- run ---------------------------------------------------------------------------------------------------


def test_the_command_line_can_be_told_where_counts_and_coordinates_are(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source, out = written(hidden(), tmp_path / "a.h5ad"), tmp_path / "out"
    assert main(["run", source, "-o", str(out), *FAST]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "obsm['spatial'] is missing" in message
    assert "--spatial-key" in message
    assert not out.exists()
    command = ["run", source, "-o", str(out), *FAST, "--spatial-key", "px,py"]
    assert main([*command, "--layer", "absent"]) == 2
    assert "--layer absent is not in adata.layers (there: 'measured')" in capsys.readouterr().err.splitlines()[-1]
    assert main([*command, "--layer", "measured"]) == 0
    err = capsys.readouterr().err
    assert "counts" not in err  # nothing to say
    result = sx.read(out / "result.h5ad")
    want = plain()
    want.obs = want.obs.drop(columns=["array_row", "array_col"])
    sx.tl.embed(want, n_modules=3, progress=False)
    np.testing.assert_array_equal(result.varm["X_spacex"], want.varm["X_spacex"])
    assert result.uns["spacex"]["embed"]["layer"] == "measured"
    assert result.uns["spacex"]["grid"]["spatial_key"] == "px,py"
    assert (
        np.isfinite(result.varm["X_spacex"]).all(axis=1).sum() == np.isfinite(want.varm["X_spacex"]).all(axis=1).sum()
    )
    assert bool(result.uns["spacex"]["embed"]["is_count"])
    assert json.loads((out / "run.json").read_text())["choices"]["layer"] == "measured"
    assert main([*command, "--layer", "measured", "--resume"]) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert main([*command, "--layer", "X", "--resume"]) == 2
    assert "different: layer" in capsys.readouterr().err


def test_one_warning_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    intensities, counted = plain(), plain()
    intensities.X = intensities.X.log1p()
    counted.raw = counted.copy()
    counted.X = counted.X.log1p()
    for name, adata, line in (
        ("a", intensities, "X does not hold counts: it is treated as intensities"),
        ("b", counted, "X does not hold counts; .raw is used"),
    ):
        adata.obsm["X_spatial"] = np.column_stack([adata.obsm.pop("spatial"), np.zeros(200)])
        source = written(adata, tmp_path / f"{name}.h5ad")
        assert main(["run", source, "-o", str(tmp_path / name), *FAST, "--n-domains", "3"]) == 0
        err = capsys.readouterr().err
        assert err.count(line) == 1
        assert err.count("does not hold counts") == 1
        assert err.count("the coordinates in obsm['X_spatial'] are used") == 1
        assert err.count("3 columns; the first two are used") == 1
        assert "layer=" not in err


def test_overlaid_sections_name_the_option(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    both = ad.concat({"one a": plain(), "b": plain()}, label="my sample", index_unique="-")
    source = written(both, tmp_path / "a.h5ad")
    assert main(["run", source, "-o", str(tmp_path / "out"), *FAST]) == 2
    assert "pass --library-key 'my sample'" in capsys.readouterr().err.splitlines()[-1]
    reference = both.copy()
    reference.obs = reference.obs.rename(columns={"my sample": "sample"})
    target = written(plain()[:, :40].copy(), tmp_path / "t.h5ad")
    command = ["impute", target, written(reference, tmp_path / "r.h5ad"), "-o", str(tmp_path / "o.h5ad")]
    assert main(command) == 2
    assert "spacex run: --library-key sample" in capsys.readouterr().err.splitlines()[-1]
    command[1] = written(reference[:, :40].copy(), tmp_path / "t2.h5ad")
    assert main(command) == 2
    assert "pass --library-key sample" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "o.h5ad").exists()


def test_imputation_can_be_told_too(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    target, reference = hidden()[:, :40].copy(), plain()
    genes = tmp_path / "genes.txt"
    genes.write_text("\n".join(reference.var_names[60:63]))
    source = [written(target, tmp_path / "t.h5ad"), written(reference, tmp_path / "r.h5ad")]
    out = tmp_path / "o.h5ad"
    command = ["impute", *source, "-o", str(out), "--genes", str(genes)]
    assert main([*command, "--layer", "measured", "--spatial-key", "px,py"]) == 0
    settings = {"genes": list(reference.var_names[60:63]), "progress": False}
    want = sx.tl.impute(plain()[:, :40].copy(), reference, **settings)
    np.testing.assert_allclose(np.asarray(sx.read(out).X), want.X, atol=1e-5)
    capsys.readouterr()
    assert main([*command, "--spatial-key", "absent"]) == 2
    assert "obsm['absent'] is missing" in capsys.readouterr().err


# -- what was written is read ------------------------------------------------------------------------------

KINDS = {
    "counts in X": plain,
    "counts in raw": lambda: _with_raw(plain()),
    "several sections": lambda: ad.concat({"a": plain(), "b": plain()}, label="sample", index_unique="-"),
    "off the tissue": lambda: _with_background(plain()),
}


def _with_raw(adata: AnnData) -> AnnData:
    adata.raw = adata.copy()
    adata.X = adata.X.log1p()
    return adata[:, :50].copy()


def _with_background(adata: AnnData) -> AnnData:
    adata.obs["in_tissue"] = np.where(np.arange(200) % 4 > 0, "1", "0")
    return adata


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_reads_what_run_wrote(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    adata = KINDS[kind]()
    flags = ["--library-key", "sample"] if "sample" in adata.obs else []
    source, out = written(adata, tmp_path / "a.h5ad"), tmp_path / "out"
    assert main(["run", source, "-o", str(out), *FAST, "--n-domains", "3", *flags]) == 0
    result = str(out / "result.h5ad")
    n_tissue = int((adata.obs["in_tissue"].astype(float) > 0).sum())
    assert len(pd.read_csv(out / "domains.csv")) == n_tissue
    capsys.readouterr()
    assert main(["query", result, "gene0002", "-n", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["report", result, "-o", str(tmp_path / "again.html")]) == 0
    # again, on the result
    assert main(["run", result, "-o", str(tmp_path / "twice"), *FAST, "--n-domains", "3", *flags]) == 0
    once, twice = sx.read(result), sx.read(tmp_path / "twice" / "result.h5ad")
    np.testing.assert_array_equal(once.varm["X_spacex"], twice.varm["X_spacex"])
    assert once.obs["spacex_domain"].tolist() == twice.obs["spacex_domain"].tolist()
    # as a target, and as a reference
    whole = sx.datasets.simulate_section(n_genes=90, n_spots=200, n_modules=3, depth=1.5)
    panel = written(whole[:, :40].copy(), tmp_path / "panel.h5ad")
    whole = written(whole, tmp_path / "whole.h5ad")
    for name, pair in (("target", [result, whole]), ("reference", [panel, result])):
        genes = tmp_path / "genes.txt"
        genes.write_text("gene0080" if name == "target" else "gene0045")
        made = tmp_path / f"{name}.h5ad"
        targets = flags if name == "target" else []
        assert main(["impute", *pair, "-o", str(made), "--genes", str(genes), *targets]) == 0, name
        found = sx.read(made)
        assert found.n_obs == (n_tissue if name == "target" else 200)
        assert np.isfinite(found.X).all()
    err = capsys.readouterr().err
    assert "Traceback" not in err


def test_a_matrix_of_any_form_is_run(tmp_path: Path) -> None:
    adata = plain()
    adata.X = sp.csc_array(adata.X.astype(np.int64))
    assert main(["run", written(adata, tmp_path / "a.h5ad"), "-o", str(tmp_path / "out"), *FAST]) == 0
