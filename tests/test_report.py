"""The page is whole, needs nothing else, and shows names as text whatever they are."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import spacex as sx
from spacex import report

EVIL = "<script>alert(1)</script>"
QUOTED = "a\"b'c&amp;<i>"


@pytest.fixture(scope="module")
def fitted():
    adata = sx.datasets.simulate_section(n_genes=100, n_spots=250, n_modules=3, n_domains=3, depth=1.0)
    sx.tl.embed(adata, n_modules=3, config=sx.Config(epochs=1, boost_rounds=1), progress=False)
    sx.tl.svg(adata)
    sx.tl.domains(adata, n_domains=3)
    # the strongest genes are on every list of the page
    order = np.argsort(-np.nan_to_num(np.linalg.norm(adata.varm["X_spacex"], axis=1)))
    top = int(np.nanargmax(adata.var["spacex_svg_score"]))
    names = list(adata.var_names)
    names[top], names[next(g for g in order if g != top)] = EVIL, QUOTED
    adata.var_names = names
    adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2].astype(float)
    adata.uns["spacex"]["run"] = {"input": "<b>.h5ad", "seconds": {"embed": 12.3}, "peak_memory_mb": 512.0}
    return adata


@pytest.fixture(scope="module")
def enrichment(fitted):
    planted = {f"<u>{name}</u>": list(genes) for name, genes in fitted.var.groupby("module").groups.items()}
    return sx.tl.enrich(fitted, planted)


@pytest.fixture(scope="module")
def page(fitted, enrichment):
    return report.build(fitted, enrichment=enrichment)


class Reader(HTMLParser):
    """What a browser would see: tags with their attributes, and text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def of(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def seen(page):
    return Reader(page)


def test_names_are_text(page, seen):
    assert EVIL in "".join(seen.words)
    assert QUOTED in "".join(seen.words)
    assert EVIL not in page
    assert len(seen.of("script")) == 1
    assert not seen.of("i") or all("b'c" not in str(attributes) for attributes in seen.of("i"))
    assert not seen.of("u")
    assert not seen.of("b")
    assert any(EVIL in attributes.get("alt", "") for attributes in seen.of("img"))


def test_nothing_runs_but_the_script_of_the_page(page, seen):
    policy = next(m["content"] for m in seen.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    script = re.search(r"<script>(.*?)</script>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]


def test_nothing_comes_from_elsewhere(page, seen):
    for tag, attributes in seen.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,")), (tag, name, value[:60])
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert not seen.of("link")


def test_everything_is_shown(seen, fitted):
    text = " ".join(" ".join(seen.words).split())
    assert f"{fitted.n_obs}" in text
    assert "hexagonal array" in text
    for words in (
        "Seconds per stage; peak memory 0.50 GB",
        "spacex-st",
        "learning_rate",
        "QQ plot",
        "Masked autoencoder",
    ):
        assert words in text
    domains = fitted.obs["spacex_domain"].value_counts()
    assert all(f"{n} spots" in text for n in domains)
    n_modules = fitted.var.loc[fitted.var["spacex_module"] != "unassigned", "spacex_module"].nunique()
    assert sum(a.get("class") == "card module" for a in seen.of("article")) == n_modules
    assert sum(a.get("class") == "thumb" for a in seen.of("img")) == 50


def test_ids_are_of_use(seen):
    targets = {a["id"] for _, a in seen.tags if "id" in a}
    assert all(a["href"][1:] in targets for a in seen.of("a"))


def test_both_lights_are_served(page):
    assert "prefers-color-scheme:dark" in page
    assert "currentColor" in page
    assert "#010203" not in page


def test_what_was_not_computed_is_said(fitted):
    adata = fitted.copy()
    adata.var = adata.var.drop(columns=[name for name in adata.var if name.startswith("spacex_svg")])
    del adata.obs["spacex_domain"]
    adata.uns["spacex"] = {"grid": adata.uns["spacex"]["grid"], "embed": {"is_count": False}}
    page = report.build(adata)
    assert "Call <code>sx.tl.svg(adata)</code>" in page
    assert "sx.tl.domains(adata)" in page
    assert "No history" in page
    assert "does not hold counts" in page


def test_a_section_without_modules_has_a_page(fitted):
    adata = fitted.copy()
    adata.var["spacex_module"] = pd.Categorical(["unassigned"] * adata.n_vars)
    assert "No gene has a module" in report.build(adata)


def test_the_same_result_gives_the_same_page(fitted, enrichment, page):
    assert report.build(fitted, enrichment=enrichment) == page


def test_a_result_from_disk_gives_a_page(fitted, tmp_path):
    fitted.write_h5ad(tmp_path / "result.h5ad")
    report.write_report(sx.read(tmp_path / "result.h5ad"), tmp_path / "report.html", title="mine")
    assert "<h1>mine</h1>" in (tmp_path / "report.html").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "result.h5ad"]


def test_an_error_leaves_the_old_page(fitted, tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("old")
    monkeypatch.setattr("spacex.report._page.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        report.write_report(fitted, tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_what_cannot_be_written_is_told_before_any_work(fitted, tmp_path):
    with pytest.raises(sx.InputError, match="does not exist"):
        report.write_report(fitted, tmp_path / "no" / "report.html")
    with pytest.raises(sx.InputError, match="is a folder"):
        report.write_report(fitted, tmp_path)
    bare = sx.datasets.simulate_section(n_genes=30, n_spots=100, n_modules=2)
    with pytest.raises(sx.InputError, match=r"call sx\.tl\.embed"):
        report.write_report(bare, tmp_path / "report.html")


def test_tables(fitted, enrichment):
    genes = report.gene_table(fitted)
    assert list(genes["gene"]) == list(fitted.var_names)
    np.testing.assert_allclose(genes["mean_count"], fitted.X.toarray().mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(genes["detected"], (fitted.X.toarray() > 0).mean(axis=0))
    modules = report.module_table(fitted, enrichment)
    assert modules["size"].sum() == (fitted.var["spacex_module"] != "unassigned").sum()
    for _, row in modules.iterrows():
        named = set(row["terms"].split("; ")) - {""}
        kept = enrichment[(enrichment["module"] == row["module"]) & (enrichment["qvalue"] < 0.05)]
        assert named == set(kept.sort_values("qvalue")["term"].head(3))
    assert "terms" not in report.module_table(fitted)
