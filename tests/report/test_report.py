"""The page is whole, needs nothing else, and shows names as text whatever they are."""

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

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


def unpack(page, notes, name):
    text = re.search(rf'id="block-{name.replace(" ", "-")}">(.*?)</script>', page, re.S)[1]
    shape = notes["shapes"][name]
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=shape["type"]).reshape(shape["shape"])


@pytest.fixture(scope="module")
def seen(page):
    return Reader(page)


def test_names_are_text(page, seen):
    assert EVIL in "".join(seen.words)
    assert QUOTED in "".join(seen.words)
    assert EVIL not in page
    run = [script for script in seen.of("script") if "type" not in script]
    assert len(run) == 2  # the library and the page's own
    assert not seen.of("i") or all("b'c" not in str(attributes) for attributes in seen.of("i"))
    assert not seen.of("u")
    assert not seen.of("b")
    assert any(EVIL in attributes.get("alt", "") for attributes in seen.of("img"))


def test_nothing_runs_but_the_scripts_of_the_page(page, seen):
    policy = next(m["content"] for m in seen.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    for script in re.findall(r"<script>(.*?)</script>", page, re.S):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256-") == 2
    assert all(a["type"] in ("application/json", "text/plain") for a in seen.of("script") if "type" in a)
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]


def test_nothing_comes_from_elsewhere(page, seen):
    for tag, attributes in seen.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,")), (tag, name, value[:60])
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    assert "@import" not in style
    assert "url(" not in style
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
    n_modules = fitted.var.loc[fitted.var["spacex_module"] != "unassigned", "spacex_module"].nunique()
    assert sum(a.get("class") == "card module" for a in seen.of("article")) == n_modules


def test_ids_are_of_use(seen):
    targets = {a["id"] for _, a in seen.tags if "id" in a}
    assert all(a["href"][1:] in targets for a in seen.of("a"))


def test_both_lights_are_served(page):
    assert "prefers-color-scheme:dark" in page
    assert "currentColor" in page
    assert "#010203" not in page


def test_the_page_holds_what_was_measured(page, fitted):
    """Counts, unpacked as a browser does it, are those of the section."""
    notes = json.loads(re.search(r'id="notes">(.*?)</script>', page, re.S)[1])
    assert notes["genes"] == list(fitted.var_names)
    assert notes["places"] == list(fitted.obs_names)
    blocks = {name: unpack(page, notes, name) for name in notes["shapes"]}
    rows = np.concatenate([blocks[f"counts {k}"] for k in range(2)])
    np.testing.assert_array_equal(rows[blocks["slot"]], fitted.X.toarray().T)
    assert fitted.X.max() <= 255  # larger ones are rounded: the next test
    picture = blocks["picture"]
    assert set(np.unique(picture)) == set(range(-1, fitted.n_obs))
    first = notes["annotations"][0]
    assert first["title"] == "SpaCEX domain"
    codes = unpack(page, notes, "annotation 0")
    assert list(np.array(first["categories"])[codes]) == list(fitted.obs["spacex_domain"])


def test_large_counts_are_kept_to_a_byte():
    adata = sx.datasets.simulate_section(n_genes=60, n_spots=200, n_modules=2, depth=1.0)
    counts = adata.X.toarray()
    counts[3, 5], counts[4, 5] = 40_000, 100
    adata.X = sp.csr_matrix(counts)
    sx.tl.embed(adata, n_modules=2, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2].astype(float)
    page = report.build(adata)
    notes = json.loads(re.search(r'id="notes">(.*?)</script>', page, re.S)[1])
    row = unpack(page, notes, "counts 0")[unpack(page, notes, "slot")[5]]
    assert unpack(page, notes, "most")[5] == 40_000
    assert (row[3] / 255) ** 2 * 40_000 == 40_000
    assert (row[4] / 255) ** 2 * 40_000 == pytest.approx(100, rel=0.1)


def test_a_section_too_large_for_a_page_is_shown_by_pixel(fitted, monkeypatch):
    adata = sx.datasets.simulate_section(n_genes=60, n_spots=900, n_modules=2, technology="cells", depth=1.0)
    sx.tl.embed(adata, n_modules=2, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2].astype(float)
    monkeypatch.setattr("spacex.report._display_units.MAX_VALUES", 1000)
    page = report.build(adata)
    notes = json.loads(re.search(r'id="notes">(.*?)</script>', page, re.S)[1])
    images = sx.pp.gene_images(adata)
    assert len(notes["places"]) == images.n_pixels < adata.n_obs
    rows = unpack(page, notes, "counts 0")[unpack(page, notes, "slot")]
    np.testing.assert_array_equal(rows, images.counts.toarray().T)
    assert unpack(page, notes, "annotation 0").shape == (images.n_pixels,)


def test_the_weakest_genes_have_no_map_where_there_is_no_room(fitted, monkeypatch):
    monkeypatch.setattr("spacex.report._payload.MAX_CHARACTERS", 10)
    page = report.build(fitted)
    notes = json.loads(re.search(r'id="notes">(.*?)</script>', page, re.S)[1])
    slot = unpack(page, notes, "slot")
    strength = np.nan_to_num(np.linalg.norm(fitted.varm["X_spacex"], axis=1), nan=-1)
    assert (slot >= 0).sum() == 64
    assert strength[slot >= 0].min() >= strength[slot < 0].max()


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
    (tmp_path / "report.html").write_text("<!doctype html>old")
    monkeypatch.setattr("spacex.report._page.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        report.write_report(fitted, tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "<!doctype html>old"


def test_a_page_replaces_nothing_but_a_page(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("spacex.report._page.build", lambda *_, **__: "<!doctype html>new")
    for name, before in (("page.html", "\n<!DOCTYPE HTML>\n"), ("empty.html", ""), ("other.html", "<html>")):
        (tmp_path / name).write_text(before)
        report.write_report(fitted, tmp_path / name)
        assert (tmp_path / name).read_text() == "<!doctype html>new"
    (tmp_path / "result.h5ad").write_bytes(b"\x89HDF\r\n")
    with pytest.raises(sx.InputError, match=r"result\.h5ad' is there already and no page"):
        report.write_report(fitted, tmp_path / "result.h5ad")
    assert (tmp_path / "result.h5ad").read_bytes() == b"\x89HDF\r\n"


def test_what_cannot_be_written_is_told_before_any_work(fitted, tmp_path):
    with pytest.raises(sx.InputError, match="does not exist"):
        report.write_report(fitted, tmp_path / "no" / "report.html")
    with pytest.raises(sx.InputError, match="is a folder"):
        report.write_report(fitted, tmp_path)
    bare = sx.datasets.simulate_section(n_genes=30, n_spots=100, n_modules=2)
    with pytest.raises(sx.InputError, match=r"call sx\.tl\.embed"):
        report.write_report(bare, tmp_path / "report.html")


def test_tables(fitted, enrichment):
    genes = sx.get.gene_table(fitted)
    assert list(genes["gene"]) == list(fitted.var_names)
    np.testing.assert_allclose(genes["mean_count"], fitted.X.toarray().mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(genes["detected"], (fitted.X.toarray() > 0).mean(axis=0))
    modules = sx.get.module_table(fitted, enrichment)
    assert modules["size"].sum() == (fitted.var["spacex_module"] != "unassigned").sum()
    for _, row in modules.iterrows():
        named = set(row["terms"].split("; ")) - {""}
        kept = enrichment[(enrichment["module"] == row["module"]) & (enrichment["qvalue"] < 0.05)]
        assert named == set(kept.sort_values("qvalue")["term"].head(3))
    assert "terms" not in sx.get.module_table(fitted)
