"""Damaged results raise a one-line error in every call that reads them, and stay unchanged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from anndata import AnnData
from tests.invalid_input.calls import CALLS, section
from tests.invalid_input.cases import assert_one_clear_line, state
from tests.invalid_input.results import RESULTS, ResultKind, renamed, twice

import spacex as sx
from spacex.cli import main
from spacex.get import gene_table, module_table

PAIRS = [(kind, call) for kind in RESULTS for call in kind.calls]


def changed(kind: ResultKind) -> AnnData:
    adata = section().copy()
    result = kind.change(adata)
    return result if isinstance(result, AnnData) else adata


@pytest.mark.parametrize(("kind", "call"), PAIRS, ids=[f"{kind.name}-{call}" for kind, call in PAIRS])
def test_functions(kind: ResultKind, call: str) -> None:
    adata, settings = changed(kind), CALLS[call].settings(section())
    if kind.message is None:
        CALLS[call].function(adata, **settings)
        return
    before = state(adata)
    with pytest.raises(sx.InputError) as caught:
        CALLS[call].function(adata, **settings)
    assert_one_clear_line(str(caught.value), kind.message)
    assert state(adata) == before


COMMANDS = [(kind, command) for kind in RESULTS for command in kind.commands]


@pytest.mark.parametrize(("kind", "command"), COMMANDS, ids=[f"{kind.name}-{command}" for kind, command in COMMANDS])
def test_commands(kind: ResultKind, command: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert kind.message is not None
    changed(kind).write_h5ad(tmp_path / "result.h5ad")
    rest = ["gene0002"] if command == "query" else ["-o", str(tmp_path / "report.html")]
    assert main([command, str(tmp_path / "result.h5ad"), *rest]) == 2
    assert_one_clear_line([line for line in capsys.readouterr().err.splitlines() if line][-1], kind.message)
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.h5ad"]


@pytest.mark.parametrize(
    "call",
    [
        lambda adata, gene: sx.tl.similar_genes(adata, gene),
        lambda adata, gene: sx.tl.pattern(adata, like=gene),
        lambda adata, gene: sx.tl.enrich(adata, {"a": list(adata.var_names)}, around=gene),
        lambda adata, gene: sx.tl.score_pairs(adata, [(gene, adata.var_names[9])]),
        lambda adata, gene: sx.tl.score_pairs(adata, [(gene.upper(), adata.var_names[9])]),
        lambda adata, gene: sx.pl.gene_images(adata, [gene]),
        lambda adata, gene: sx.pl.embedding(adata, genes=[gene]),
        lambda adata, gene: sx.pl.interactions(adata, [gene, *adata.var_names[7:9]]),
    ],
)
def test_duplicate_gene_raises(call) -> None:  # type: ignore[no-untyped-def]
    adata = section().copy()
    twice(adata)
    before = state(adata)
    with pytest.raises(sx.InputError, match=r"'gene0002' .*call adata.var_names_make_unique\(\)|1 gene name"):
        call(adata, "gene0002")
    assert state(adata) == before


def test_unique_genes_work_beside_duplicates() -> None:
    adata = section().copy()
    twice(adata)
    assert len(sx.tl.similar_genes(adata, "gene0009", n=3)) == 3
    assert sx.tl.score_pairs(adata, [("gene0008", "gene0009")])["similarity"].notna().all()


def test_renamed_modules_give_the_same_results() -> None:
    plain, named = section().copy(), section().copy()
    renamed(named)
    names = dict(zip(plain.var["spacex_module"].cat.categories, named.var["spacex_module"].cat.categories, strict=True))
    settings = CALLS["tl.compare"].settings(plain)
    tables = [sx.tl.compare(adata, **settings) for adata in (plain, named)]
    for column in ("context_case", "context_control"):
        tables[0][column] = tables[0][column].replace(names)
        assert set(tables[1][column].dropna()) <= set(names.values())
    pd.testing.assert_frame_equal(*tables)
    assert gene_table(plain)["module"].replace(names).equals(gene_table(named)["module"])
    assert module_table(plain)["module"].replace(names).tolist() == module_table(named)["module"].tolist()
