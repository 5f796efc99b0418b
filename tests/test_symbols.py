"""Sections whose genes are named by identifiers: all functions accept and show symbols as well as names."""

from __future__ import annotations

import logging

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

import spacex as sx
from spacex.cli import main

N_GENES = 120
QUICK = sx.Config(epochs=0, boost_rounds=0)
TWINS = (7, 11)  # two genes of one symbol
NAMELESS = 5  # a gene without a symbol


@pytest.fixture(scope="module")
def plain() -> AnnData:
    """A section named by symbols, on which everything was called."""
    adata = sx.datasets.simulate_section(n_genes=N_GENES, n_spots=400, n_modules=4, n_domains=3, depth=1.5, seed=1)
    adata.obs["slice"] = [f"s{i % 4}" for i in range(adata.n_obs)]
    adata.obs["condition"] = ["case" if i % 4 < 2 else "control" for i in range(adata.n_obs)]
    return everything(adata)


def everything(adata: AnnData) -> AnnData:
    sx.tl.embed(adata, n_modules=4, config=QUICK, library_key="slice", progress=False)
    sx.tl.svg(adata)
    sx.tl.domains(adata, n_domains=3)
    sx.tl.interactions(adata, n_neighbors=5)
    adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2].astype(float)
    return adata


def id_of(gene: int) -> str:
    return f"ENSG{gene:011d}.{gene % 9 + 1}"


def with_ids(adata: AnnData) -> AnnData:
    """The section with identifiers as names, in the same order, and symbols in a column."""
    named = adata.copy()
    named.var["feature_name"] = pd.Categorical(adata.var_names)
    named.var_names = [id_of(i) for i in range(adata.n_vars)]
    return named


@pytest.fixture
def ids(plain: AnnData) -> AnnData:
    return with_ids(plain)


@pytest.fixture
def odd(ids: AnnData) -> AnnData:
    """Two genes of one symbol, and one without."""
    symbols = ids.var["feature_name"].astype(object).to_numpy()
    symbols[list(TWINS)], symbols[NAMELESS] = "Twin", None
    ids.var["feature_name"] = symbols
    return ids


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_embedding_does_not_depend_on_how_genes_are_named(plain: AnnData) -> None:
    obs = plain.obs[["slice", "condition", "array_row", "array_col"]]
    fresh = AnnData(plain.X, obs=obs, var=plain.var[[]], obsm={"spatial": plain.obsm["spatial"]})
    again = everything(with_ids(fresh))
    np.testing.assert_array_equal(again.varm["X_spacex"], plain.varm["X_spacex"])
    assert again.var["spacex_module"].astype(str).tolist() == plain.var["spacex_module"].astype(str).tolist()
    assert list(again.var_names) == [id_of(i) for i in range(N_GENES)]


TABLES = {
    "similar_genes": (lambda a: sx.tl.similar_genes(a, "gene0009", n=9), {"symbol": "gene"}),
    "pattern": (lambda a: sx.tl.pattern(a, like="gene0009", n=9), {"symbol": "gene"}),
    "markers": (lambda a: sx.tl.markers(a, n=4), {"symbol": "gene"}),
    "compare": (
        lambda a: sx.tl.compare(a, condition_key="condition", library_key="slice"),
        {"symbol": "gene", "partner_symbol": "partner"},
    ),
    "enrich": (lambda a: sx.tl.enrich(a, {"a": [f"gene{i:04d}" for i in range(1, 30)]}), {"symbols": "genes"}),
    "genes.csv": (sx.get.gene_table, {"symbol": "gene"}),
    "modules.csv": (sx.get.module_table, {"top_symbols": "top_genes"}),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_name_genes_and_have_their_symbols_beside(plain: AnnData, ids: AnnData, name: str) -> None:
    make, symbols = TABLES[name]
    expected, table = make(plain.copy()), make(ids)
    assert not set(symbols) & set(expected.columns)
    symbol_of = dict(zip(ids.var_names, ids.var["feature_name"], strict=True))
    for symbol, gene in symbols.items():
        for names, texts in zip(table[gene], table[symbol], strict=True):
            assert [symbol_of.get(one, "") for one in names.split(",")] == texts.split(",")
        table[gene] = table.pop(symbol)
    pd.testing.assert_frame_equal(table, expected)


@pytest.mark.parametrize("query", ["gene0009", "GENE0009", id_of(8), id_of(8).split(".")[0], id_of(8).lower()])
def test_any_name_of_a_gene_is_accepted(ids: AnnData, query: str) -> None:
    expected = sx.tl.similar_genes(ids, id_of(8), n=5)
    pd.testing.assert_frame_equal(sx.tl.similar_genes(ids, query, n=5), expected)
    assert list(expected.columns) == ["gene", "similarity", "qvalue", "symbol"]
    pd.testing.assert_frame_equal(sx.tl.pattern(ids, like=query, n=5), sx.tl.pattern(ids, like=id_of(8), n=5))
    around = sx.tl.enrich(ids, {"a": ["gene0001", "gene0002", id_of(8)]}, around=query, n_neighbors=60)
    assert set(around["module"]) == {query}
    scored = sx.tl.score_pairs(ids, [(query, "gene0001")])
    assert scored.loc[0, ["gene_a", "gene_b", "symbol_a", "symbol_b"]].tolist() == [
        query,
        "gene0001",
        "gene0009",
        "gene0001",
    ]
    assert scored["similarity"].notna().all()
    assert sx.pl.gene_images(ids, query).get_title() == "gene0009"


def test_pairs_by_symbol_are_those_by_name(plain: AnnData, ids: AnnData) -> None:
    rng = np.random.default_rng(0)
    module = plain.var["module"].to_numpy()
    all_pairs = np.array([(a, b) for a in range(N_GENES) for b in range(a) if module[a] == module[b] >= 0])
    known = plain.var_names.to_numpy()[rng.permutation(all_pairs)[:150]]
    query = plain.var_names.to_numpy()[rng.permutation(N_GENES)[:40].reshape(20, 2)]
    tables = []
    for adata in (plain.copy(), ids):
        sx.tl.interactions(adata, known=[*map(tuple, known)])
        tables.append(sx.tl.score_pairs(adata, [*map(tuple, query)]))
    assert list(tables[1].columns) == [*tables[0].columns, "symbol_a", "symbol_b"]
    pd.testing.assert_frame_equal(tables[1][tables[0].columns], tables[0])
    assert set(ids.uns["spacex"]["interactions"]["known_a"]) <= set(ids.var_names)


def test_plots_show_symbols(ids: AnnData) -> None:
    assert [ax.get_title() for ax in sx.pl.gene_images(ids, [id_of(0), "GENE0002"])] == ["gene0001", "gene0002"]
    matches = sx.tl.pattern(ids, like="gene0009")
    titles = [ax.get_title().split("\n")[0] for ax in sx.pl.pattern(ids, matches, n_genes=3)]
    assert titles == ["designated pattern", *matches["symbol"][:3]]
    top = ids.var["feature_name"].astype(str).iloc[np.argsort(-ids.var["spacex_svg_score"].to_numpy())[:2]]
    assert [ax.get_title() for ax in sx.pl.svg(ids, n_genes=2)][2:] == list(top)
    first = sx.get.module_table(ids)["top_symbols"][0].split(",")
    assert [ax.get_title() for ax in sx.pl.modules(ids, n_modules=1, n_genes=3)][2:] == first[:3]
    *_, heat = sx.pl.interactions(ids, ["gene0001", "gene0002", id_of(2)])
    assert sorted(label.get_text() for label in heat.get_xticklabels()) == ["gene0001", "gene0002", "gene0003"]
    assert "gene0001" in [text.get_text() for text in sx.pl.embedding(ids, genes=[id_of(0)]).texts]


def test_an_ambiguous_symbol_is_told_and_never_guessed(odd: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    choice = f"'Twin' is ambiguous.*{id_of(TWINS[0])}, {id_of(TWINS[1])}"
    for ask in (
        lambda: sx.tl.similar_genes(odd, "Twin"),
        lambda: sx.tl.pattern(odd, like="Twin"),
        lambda: sx.tl.enrich(odd, {"a": ["gene0001", "gene0002"]}, around=["Twin"]),
        lambda: sx.pl.gene_images(odd, ["Twin"]),
        lambda: sx.pl.embedding(odd, genes=["Twin"]),
        lambda: sx.pl.interactions(odd, ["Twin", "gene0001", "gene0002"]),
    ):
        with pytest.raises(sx.InputError, match=choice):
            ask()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        scored = sx.tl.score_pairs(odd, [("Twin", "gene0001"), (id_of(TWINS[0]), "gene0001")])
    assert scored["similarity"].notna().tolist() == [False, True]
    assert "1 of 2 pair(s) can be used: 1 gene(s) ambiguous (Twin)" in caplog.text
    with pytest.raises(sx.InputError, match=r"none of 1 pair.*1 gene\(s\) ambiguous \(Twin\)"):
        sx.tl.score_pairs(odd, [("Twin", "gene0001")])
    assert sx.pl.gene_images(odd, [id_of(TWINS[0])]).get_title() == f"Twin ({id_of(TWINS[0])})"
    assert sx.pl.gene_images(odd, [id_of(NAMELESS)]).get_title() == id_of(NAMELESS)


def test_gene_sets_take_all_genes_of_a_symbol(odd: AnnData) -> None:
    embedded = np.isfinite(odd.varm["X_spacex"]).all(axis=1)
    assert embedded[list(TWINS)].all()
    table = sx.tl.enrich(odd, {"a": ["twin", "gene0001"]}, around="gene0003", n_neighbors=N_GENES)
    assert table["size"].tolist() == [3]
    assert set(table["genes"][0].split(",")) == {id_of(0), *map(id_of, TWINS)}
    assert sorted(table["symbols"][0].split(",")) == ["Twin", "Twin", "gene0001"]


def test_tables_have_the_name_where_a_symbol_is_missing(odd: AnnData) -> None:
    table = sx.get.gene_table(odd).set_index("gene")
    assert table.loc[id_of(NAMELESS), "symbol"] == id_of(NAMELESS)
    assert table.loc[[*map(id_of, TWINS)], "symbol"].tolist() == ["Twin", "Twin"]


# -- imputation --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def halves(plain: AnnData) -> tuple[AnnData, AnnData, list[str], AnnData]:
    """A target, a reference of other spots, the requested genes, and their prediction by name."""
    bare = AnnData(plain.X, obs=plain.obs[["slice"]], var=plain.var[[]], obsm={"spatial": plain.obsm["spatial"]})
    target, reference = bare[:200].copy(), bare[200:].copy()
    requested = [f"gene{i:04d}" for i in range(100, 110)]
    return target, reference, requested, sx.tl.impute(target, reference, genes=requested, progress=False)


@pytest.mark.parametrize("named", ["target", "reference", "both"])
def test_one_of_the_two_may_have_identifiers(halves, named: str) -> None:
    target, reference, requested, expected = halves
    target = with_ids(target) if named != "reference" else target
    reference = with_ids(reference) if named != "target" else reference
    imputed = sx.tl.impute(target, reference, genes=requested, progress=False)
    assert list(imputed.var_names) == requested
    np.testing.assert_array_equal(imputed.X, expected.X)
    assert imputed.uns["spacex"]["impute"]["n_panel"] == expected.uns["spacex"]["impute"]["n_panel"] == N_GENES - 10
    axes = sx.pl.imputed(imputed, requested[0], target=target, reference=reference)
    titles = [ax.get_title().split("\n")[0] for ax in axes]
    assert titles == [f"{requested[0]}, in the reference", f"{requested[0]}, imputed", f"{requested[0]}, measured"]


def test_identifiers_are_imputed_and_symbols_are_returned(halves) -> None:
    target, reference, requested, expected = halves
    query = [id_of(int(name[4:]) - 1) for name in requested]
    imputed = sx.tl.impute(target, with_ids(reference), genes=query, progress=False)
    assert list(imputed.var_names) == query
    assert imputed.var["symbol"].tolist() == requested
    np.testing.assert_array_equal(imputed.X, expected.X)
    panel = target[:, [name for name in target.var_names if name not in requested]].copy()
    lacking = sx.tl.impute(panel, with_ids(reference), progress=False)
    assert list(lacking.var_names) == query
    np.testing.assert_array_equal(lacking.X, expected.X)
    assert sx.pl.imputed(imputed, requested[0].upper(), target=target)[1].get_title() == f"{requested[0]}, measured"
    with pytest.raises(sx.InputError, match="more than once"):
        sx.tl.impute(target, with_ids(reference), genes=[query[0], requested[0]], progress=False)


def test_a_wanted_gene_is_not_looked_at_however_it_is_named(halves) -> None:
    target, reference, requested, expected = halves
    changed = with_ids(target)
    counts = changed.X.tolil()
    counts[:, [int(name[4:]) - 1 for name in requested]] = 7
    changed.X = counts.tocsr()
    imputed = sx.tl.impute(changed, reference, genes=requested, progress=False)
    np.testing.assert_array_equal(imputed.X, expected.X)


def test_ambiguous_genes_are_left_out_of_an_imputation(halves, caplog: pytest.LogCaptureFixture) -> None:
    target, reference, requested, _ = halves
    twins = with_ids(reference)
    symbols = twins.var["feature_name"].astype(object).to_numpy()
    symbols[[0, 1, 108]] = "gene0001", "gene0001", requested[0]  # gene0002 is another gene0001, and gene0109 a gene0100
    twins.var["feature_name"] = symbols
    with caplog.at_level(logging.WARNING, logger="spacex"):
        imputed = sx.tl.impute(target, twins, genes=requested[:3], progress=False)
    assert list(imputed.var_names) == requested[1:3]
    assert f"1 are ambiguous in the reference and omitted: {requested[0]}" in caplog.text
    held_out = imputed.uns["spacex"]["impute"]["held_out"].index
    assert not {"gene0001", "gene0002"} & set(held_out)
    with pytest.raises(sx.InputError, match=f"'{requested[0]}' is ambiguous.*{id_of(99)}, {id_of(108)}"):
        sx.tl.impute(target, twins, genes=requested[:1], progress=False)


def test_aliases_are_given_by_name_or_symbol(halves) -> None:
    target, reference, requested, expected = halves
    renamed = with_ids(target)
    symbols = renamed.var["feature_name"].astype(object).to_numpy()
    symbols[:50] = [f"alias{i}" for i in range(50)]
    renamed.var["feature_name"] = symbols
    old = {f"alias{i}" if i % 2 else id_of(i): name for i, name in enumerate(reference.var_names[:50])}
    imputed = sx.tl.impute(renamed, reference, genes=requested, aliases=old, progress=False)
    np.testing.assert_array_equal(imputed.X, expected.X)


# -- command line ------------------------------------------------------------------------------------------


def test_the_command_line_understands_symbols(ids: AnnData, halves, tmp_path, capsys: pytest.CaptureFixture) -> None:
    ids.write_h5ad(tmp_path / "result.h5ad")
    for query in ("Gene0009", id_of(8)):
        assert main(["query", str(tmp_path / "result.h5ad"), query, "-n", "3"]) == 0
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert lines[0] == ["gene", "similarity", "qvalue", "symbol"]
        assert [line[3] for line in lines[1:]] == list(sx.tl.similar_genes(ids, "gene0009", n=3)["symbol"])
    target, reference, requested, expected = halves
    target.write_h5ad(tmp_path / "target.h5ad")
    with_ids(reference).write_h5ad(tmp_path / "reference.h5ad")
    (tmp_path / "genes.txt").write_text("\n".join(requested))
    files = [str(tmp_path / name) for name in ("target.h5ad", "reference.h5ad")]
    command = ["impute", *files, "-o", str(tmp_path / "out.h5ad"), "--genes", str(tmp_path / "genes.txt")]
    assert main(command) == 0
    np.testing.assert_array_equal(read_h5ad(tmp_path / "out.h5ad").X, expected.X)


def test_a_run_has_symbols_in_its_tables(ids: AnnData, tmp_path, capsys: pytest.CaptureFixture) -> None:
    bare = AnnData(ids.X, var=ids.var[["feature_name"]], obsm={"spatial": ids.obsm["spatial"]})
    bare.write_h5ad(tmp_path / "ids.h5ad")
    planted = "\t".join(["planted", "", *(f"GENE{i:04d}" for i in range(1, 40))])
    (tmp_path / "sets.gmt").write_text(planted)
    (tmp_path / "others.gmt").write_text("others\t\tNOBODY\tNOTHING")
    command = ["run", str(tmp_path / "ids.h5ad"), "--n-modules", "3", "-o"]
    assert main([*command, str(tmp_path / "out"), "--gene-sets", str(tmp_path / "sets.gmt")]) == 0
    genes = pd.read_csv(tmp_path / "out" / "genes.csv")
    assert list(genes.columns[:3]) == ["gene", "symbol", "module"]
    assert genes["gene"].tolist() == list(ids.var_names)
    assert genes["symbol"].tolist() == ids.var["feature_name"].tolist()
    assert set(pd.read_csv(tmp_path / "out" / "modules.csv")["top_symbols"][0].split(",")) <= set(genes["symbol"])
    assert (pd.read_csv(tmp_path / "out" / "enrichment.csv")["term"] == "planted").any()
    capsys.readouterr()
    assert main([*command, str(tmp_path / "no"), "--gene-sets", str(tmp_path / "others.gmt")]) == 2
    assert "--gene-sets" in (said := capsys.readouterr().err)
    assert "such as gene0001" in said
    assert not (tmp_path / "no").exists()
