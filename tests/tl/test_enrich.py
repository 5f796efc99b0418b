"""`tl.enrich`: agreement with scipy's exact tests, and validation of gene sets."""

import logging

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, fisher_exact, hypergeom

import spacex as sx

COLUMNS = ["module", "term", "overlap", "size", "pvalue", "qvalue", "genes"]
SETS = {
    "myelin": ["g0", "g1", "g2", "g3", "absent"],
    "mixed": ["g0", "g10", "g20", "g21"],
    "layer": ["g10", "g11", "g12", "g13", "g30"],
}


@pytest.fixture
def section():
    """Return forty genes: modules 0 and 1 of ten genes, sixteen unassigned genes, and four that are not embedded."""
    names = [f"g{i}" for i in range(40)]
    module = ["0"] * 10 + ["1"] * 10 + ["unassigned"] * 20
    adata = anndata.AnnData(np.ones((12, 40), dtype="float32"), var=pd.DataFrame(index=names))
    z = np.ones((40, 3), dtype="float32")
    z[36:] = np.nan
    adata.varm["X_spacex"] = z
    adata.var["spacex_module"] = pd.Categorical(module, categories=["0", "1", "unassigned"])
    return adata


def row(table, module, term):
    return table[(table["module"] == module) & (table["term"] == term)].iloc[0]


def test_pvalues_equal_exact_tests(section):
    table = sx.tl.enrich(section, SETS)
    assert list(table.columns) == COLUMNS
    for _, result in table.iterrows():
        embedded = set(section.var_names[:36])
        module = {g for g in embedded if section.var.loc[g, "spacex_module"] == result["module"]}
        term = embedded & set(SETS[result["term"]])
        k, rest = len(module & term), embedded - module - term
        assert (result["overlap"], result["size"]) == (k, len(term))
        assert set(result["genes"].split(",")) == module & term
        assert result["pvalue"] == pytest.approx(hypergeom.sf(k - 1, 36, len(term), len(module)))
        counts = [[k, len(module - term)], [len(term - module), len(rest)]]
        assert result["pvalue"] == pytest.approx(fisher_exact(counts, alternative="greater").pvalue)


def test_neighborhoods_are_tested_like_modules(section):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((40, 3)).astype("float32")
    z[36:] = np.nan
    section.varm["X_spacex"] = z
    table = sx.tl.enrich(section, SETS, around=["g2", "g11"], n_neighbors=8)
    assert set(table["module"]) <= {"g2", "g11"}
    unit = z[:36] / np.linalg.norm(z[:36], axis=1, keepdims=True)
    for gene in ("g2", "g11"):
        i = section.var_names.get_loc(gene)
        order = [j for j in np.argsort(-(unit @ unit[i]), kind="stable") if j != i][:8]
        near = set(section.var_names[order])
        for _, result in table[table["module"] == gene].iterrows():
            term = set(section.var_names[:36]) & set(SETS[result["term"]])
            assert set(result["genes"].split(",")) == near & term
            assert result["pvalue"] == pytest.approx(hypergeom.sf(len(near & term) - 1, 36, len(term), 8))
    large = sx.tl.enrich(section, SETS, around="g2", n_neighbors=100)
    assert large["overlap"].max() == large["size"].max()  # all other genes, without the gene itself
    for around, message in (("nobody", "not among"), (["g38"], "g38 have too few counts"), ([], "around is empty")):
        with pytest.raises(sx.InputError, match=message):
            sx.tl.enrich(section, SETS, around=around)


def test_permuted_modules_have_no_terms():
    adata = sx.datasets.simulate_section(n_genes=200, n_spots=300, n_modules=5, depth=1.0)
    sx.tl.embed(adata, n_modules=5, progress=False)
    truth = {str(name): list(genes) for name, genes in adata.var.groupby("module").groups.items() if name >= 0}
    assert (sx.tl.enrich(adata, truth)["qvalue"] < 0.05).sum() >= 3
    rng, n_significant = np.random.default_rng(0), 0
    for _ in range(10):
        adata.var["spacex_module"] = rng.permutation(adata.var["spacex_module"].astype(str))
        n_significant += (sx.tl.enrich(adata, truth)["qvalue"] < 0.05).sum()
    assert n_significant <= 3


def test_pvalues_are_conditional_on_the_expression_level(section):
    """Genes of a level without genes in modules do not count, and sets of well expressed genes are expected there."""
    section.var["spacex_expression_level"] = np.repeat([1, 0, -1], [22, 14, 4]).astype(np.int8)
    table = sx.tl.enrich(section, SETS)
    for _, result in table.iterrows():
        module = set(section.var_names[section.var["spacex_module"] == result["module"]])
        high = set(section.var_names[:22]) & set(SETS[result["term"]])
        assert result["pvalue"] == pytest.approx(hypergeom.sf(len(module & high) - 1, 22, len(high), len(module)))
    well_expressed = {"all": [f"g{i}" for i in range(22)]}
    assert (sx.tl.enrich(section, well_expressed)["pvalue"] == 1).all()
    del section.var["spacex_expression_level"]
    assert (sx.tl.enrich(section, well_expressed)["pvalue"] < 0.01).all()


def test_qvalues_include_pairs_without_common_genes(section):
    table = sx.tl.enrich(section, SETS)
    pairs = {(m, t): 1.0 for m in "01" for t in SETS} | {
        (r["module"], r["term"]): r["pvalue"] for _, r in table.iterrows()
    }
    expected = dict(zip(pairs, false_discovery_control(list(pairs.values())), strict=True))
    assert len(table) < len(pairs)
    for _, result in table.iterrows():
        assert result["qvalue"] == pytest.approx(expected[result["module"], result["term"]])


def test_table_is_sorted_by_pvalue(section):
    table = sx.tl.enrich(section, SETS)
    assert table["pvalue"].is_monotonic_increasing
    assert "unassigned" not in set(table["module"])


def test_case_is_ignored(section):
    upper = {term: [gene.upper() for gene in genes] for term, genes in SETS.items()}
    pd.testing.assert_frame_equal(sx.tl.enrich(section, upper), sx.tl.enrich(section, SETS))


def test_file_and_dict_give_the_same_table(section, tmp_path):
    lines = ["\t".join([term, "http://example.org", *genes]) for term, genes in SETS.items()]
    (tmp_path / "sets.gmt").write_text("\r\n".join([*lines, ""]))
    pd.testing.assert_frame_equal(sx.tl.enrich(section, tmp_path / "sets.gmt"), sx.tl.enrich(section, SETS))


def test_enrichr_weights_are_ignored(tmp_path):
    (tmp_path / "sets.gmt").write_text("myelin\t\tMBP,1.0\tPLP1,0.5\t\n")
    assert sx.tl.read_gene_sets(tmp_path / "sets.gmt") == {"myelin": ["MBP", "PLP1"]}


def test_repeated_gene_counts_once(section):
    assert row(sx.tl.enrich(section, {"a": ["g0", "g0", "G0", "g1"]}), "0", "a")["overlap"] == 2


def test_small_sets_are_left_out(section):
    sets = {"pair": ["g0", "g1"], "single": ["g2"]}
    assert set(sx.tl.enrich(section, sets)["term"]) == {"pair"}
    assert set(sx.tl.enrich(section, sets, min_size=1)["term"]) == {"pair", "single"}


def test_share_of_mapped_symbols_is_logged(section, caplog):
    with caplog.at_level(logging.INFO, logger="spacex"):
        sx.tl.enrich(section, SETS)
    assert "11 of their 12 symbols" in caplog.text


def test_section_without_modules_gives_an_empty_table(section):
    section.var["spacex_module"] = pd.Categorical(["unassigned"] * 40)
    table = sx.tl.enrich(section, SETS)
    assert list(table.columns) == COLUMNS
    assert not len(table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("myelin MBP PLP1\n", "line 1 is not GMT"),
        ("a\tx\tg0\nb\tx\n", "line 2 is not GMT"),
        ("\tx\tg0\n", "line 1 is not GMT"),
        ("a\tx\tg0\na\tx\tg1\n", "line 2 repeats the set 'a'"),
        (b"\x1f\x8b\x08\xff\xfe", "is not text"),
    ],
)
def test_malformed_files_raise(section, tmp_path, content, message):
    path = tmp_path / "sets.gmt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(sx.InputError, match=message):
        sx.tl.enrich(section, path)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ("absent.gmt", "cannot be found"),
        ({"a": ["x", "y"]}, "is an embedded gene"),
        ({"a": "g0"}, "pass a list of genes"),
        ({}, "holds no genes"),
        (["g0", "g1"], "is a list"),
        ({"a": ["g0"]}, "smaller min_size"),
    ],
)
def test_invalid_sets_raise(section, sets, message):
    with pytest.raises(sx.InputError, match=message):
        sx.tl.enrich(section, sets)


def test_missing_modules_raise(section):
    del section.var["spacex_module"]
    with pytest.raises(sx.InputError, match=r"call sx\.tl\.embed"):
        sx.tl.enrich(section, SETS)
