"""The HTML of the report: content, data, escaping, content security policy and writing to a file."""

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
from tests.report.browser import EVIL

import spacex as sx
from spacex import report

QUOTED = "a\"b'c&amp;<i>"


@pytest.fixture(scope="module")
def fitted():
    adata = sx.datasets.simulate_section(n_genes=100, n_spots=250, n_modules=3, n_domains=3, depth=1.0)
    sx.tl.embed(adata, n_modules=3, config=sx.Config(epochs=1, boost_rounds=1), progress=False)
    sx.tl.svg(adata)
    sx.tl.domains(adata, n_domains=3)
    # The strongest genes are in all lists of the report.
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
    gene_sets = {f"<u>{name}</u>": list(genes) for name, genes in fitted.var.groupby("module").groups.items()}
    return sx.tl.enrich(fitted, gene_sets)


@pytest.fixture(scope="module")
def page(fitted, enrichment):
    return report.build(fitted, enrichment=enrichment)


class Reader(HTMLParser):
    """Tags with their attributes, and text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def attributes(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def read_metadata(page):
    return json.loads(re.search(r'id="metadata">(.*?)</script>', page, re.S)[1])


def unpack(page, name):
    text = re.search(rf'id="array-{name.replace(" ", "-")}">(.*?)</script>', page, re.S)[1]
    shape = read_metadata(page)["shapes"][name]
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=shape["type"]).reshape(shape["shape"])


def embed_quickly(adata):
    """Embed without training and store a gene layout instead of a UMAP."""
    sx.tl.embed(adata, n_modules=2, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2].astype(float)
    return adata


@pytest.fixture(scope="module")
def html(page):
    return Reader(page)


def test_names_are_text(page, html):
    assert EVIL in "".join(html.texts)
    assert QUOTED in "".join(html.texts)
    assert EVIL not in page
    scripts = [script for script in html.attributes("script") if "type" not in script]
    assert len(scripts) == 2  # Bokeh and the script of the report
    assert not html.attributes("i") or all("b'c" not in str(attributes) for attributes in html.attributes("i"))
    assert not html.attributes("u")
    assert not html.attributes("b")
    assert any(EVIL in attributes.get("alt", "") for attributes in html.attributes("img"))


def test_the_policy_allows_only_the_scripts_of_the_report(page, html):
    policy = next(m["content"] for m in html.attributes("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    for script in re.findall(r"<script>(.*?)</script>", page, re.S):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256-") == 2
    assert all(a["type"] in ("application/json", "text/plain") for a in html.attributes("script") if "type" in a)
    assert not [name for _, attributes in html.tags for name in attributes if name.startswith("on")]


def test_the_report_loads_no_other_file(page, html):
    for tag, attributes in html.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,")), (tag, name, value[:60])
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    assert "@import" not in style
    assert "url(" not in style
    assert not html.attributes("link")


def test_all_parts_are_shown(html, fitted):
    text = " ".join(" ".join(html.texts).split())
    for part in (
        f"{fitted.n_obs}", "hexagonal array", "Seconds per stage; peak memory 0.50 GB", "spacex-st", "learning_rate",
        "QQ plot", "Masked autoencoder",
    ):  # fmt: skip
        assert part in text
    n_modules = fitted.var.loc[fitted.var["spacex_module"] != "unassigned", "spacex_module"].nunique()
    assert sum(a.get("class") == "card module" for a in html.attributes("article")) == n_modules


def test_links_have_targets(html):
    targets = {a["id"] for _, a in html.tags if "id" in a}
    assert all(a["href"][1:] in targets for a in html.attributes("a"))


def test_charts_follow_light_and_dark_mode(page):
    assert "prefers-color-scheme:dark" in page
    assert "currentColor" in page
    assert "#010203" not in page


def test_packed_counts_equal_those_of_the_section(page, fitted):
    metadata = read_metadata(page)
    assert metadata["genes"] == list(fitted.var_names)
    assert metadata["units"] == list(fitted.obs_names)
    rows = np.concatenate([unpack(page, f"counts {chunk}") for chunk in range(2)])
    assert fitted.X.max() <= 255  # stored exactly
    np.testing.assert_array_equal(rows[unpack(page, "row")], fitted.X.toarray().T)
    assert set(np.unique(unpack(page, "picture"))) == set(range(-1, fitted.n_obs))
    domain = metadata["annotations"][0]
    assert domain["title"] == "SpaCEX domain"
    codes = unpack(page, "annotation 0")
    assert list(np.array(domain["categories"])[codes]) == list(fitted.obs["spacex_domain"])


def test_unstable_modules_are_marked_and_explained(fitted):
    adata = fitted.copy()
    module = adata.var["spacex_module"].astype(str)
    for index, low in (("halves", 0.25), ("seeds", 0.75)):
        adata.var[f"spacex_module_jaccard_{index}"] = module.map({"0": 0.875, "1": low, "2": 0.875})
    plain, marked = report.build(fitted), report.build(adata)
    assert marked.count('class="mark"') == 2  # table and map of module 1
    title = re.search(r'class="mark" title="([^"]*)"', marked)[1]
    assert re.search(r"0\.25 in halves of the counts, 0\.75 from other starts; below 0\.5", title)
    assert "marked as unstable" in marked
    assert "unstable" not in re.sub(r"<(style|script)\b.*?</\1>", "", plain, flags=re.DOTALL)


def test_large_counts_are_rounded_to_one_byte():
    adata = sx.datasets.simulate_section(n_genes=60, n_spots=200, n_modules=2, depth=1.0)
    counts = adata.X.toarray()
    counts[3, 5], counts[4, 5] = 40_000, 100
    adata.X = sp.csr_matrix(counts)
    page = report.build(embed_quickly(adata))
    row = unpack(page, "counts 0")[unpack(page, "row")[5]]
    assert unpack(page, "max count")[5] == 40_000
    assert (row[3] / 255) ** 2 * 40_000 == 40_000
    assert (row[4] / 255) ** 2 * 40_000 == pytest.approx(100, rel=0.1)


def test_large_sections_are_shown_by_pixel(monkeypatch):
    adata = sx.datasets.simulate_section(n_genes=60, n_spots=900, n_modules=2, technology="cells", depth=1.0)
    monkeypatch.setattr("spacex.report._display_units.MAX_VALUES", 1000)
    page = report.build(embed_quickly(adata))
    metadata, images = read_metadata(page), sx.pp.gene_images(adata)
    assert metadata["unitKind"] == "pixel"
    assert len(metadata["units"]) == images.n_pixels < adata.n_obs
    np.testing.assert_array_equal(unpack(page, "counts 0")[unpack(page, "row")], images.counts.toarray().T)
    assert unpack(page, "annotation 0").shape == (images.n_pixels,)


def test_large_reports_omit_the_weakest_genes(fitted, monkeypatch):
    monkeypatch.setattr("spacex.report._payload.MAX_CHARACTERS", 10)
    row = unpack(report.build(fitted), "row")
    strength = np.nan_to_num(np.linalg.norm(fitted.varm["X_spacex"], axis=1), nan=-1)
    assert (row >= 0).sum() == 64
    assert strength[row >= 0].min() >= strength[row < 0].max()


def test_missing_results_name_the_call(fitted):
    adata = fitted.copy()
    adata.var = adata.var.drop(columns=[name for name in adata.var if name.startswith("spacex_svg")])
    del adata.obs["spacex_domain"]
    adata.uns["spacex"] = {"grid": adata.uns["spacex"]["grid"], "embed": {"is_count": False}}
    page = report.build(adata)
    for text in ("sx.tl.svg(adata)", "sx.tl.domains(adata)", "no training history", "does not hold counts"):
        assert text in page


@pytest.fixture(scope="module")
def with_reference():
    """A section of 140 genes, one of them with too few counts, and a reference of the same section with more counts."""
    rich = sx.datasets.simulate_section(n_genes=140, n_spots=300, n_modules=3, depth=3.0)
    adata = rich.copy()
    adata.X = sp.csr_matrix(np.random.default_rng(0).binomial(rich.X.toarray().astype(int), 0.1).astype(np.float32))
    counts = adata.X.toarray()
    counts[:, 5] = 0
    counts[0, 5] = 1
    adata.X = sp.csr_matrix(counts)
    config = sx.Config(epochs=0, boost_rounds=0)
    reference = sx.Reference.fit([rich], progress=False)
    sx.tl.embed(adata, n_modules=3, reference=reference, config=config, progress=False)
    adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2].astype(float)
    return adata


def test_neighbors_by_function_are_beside_those_by_pattern(with_reference):
    page = report.build(with_reference)
    text = " ".join(" ".join(Reader(page).texts).split())
    assert "Similar pattern in this section" in text
    assert "Similar function, with what other sections know" in text
    vectors, genes = unpack(page, "cofunction").astype(float), unpack(page, "cofunction genes")
    assert vectors.shape[0] == len(genes) == 140
    assert 5 not in unpack(page, "embedded")
    direction = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = sx.tl.similar_genes(with_reference, with_reference.var_names[5], n=139, space="cofunction")
    cosine = direction[with_reference.var_names.get_indexer(expected["gene"])] @ direction[5]
    np.testing.assert_allclose(cosine, expected["similarity"], atol=0.01)


def test_the_weight_and_the_agreement_of_the_reference_are_shown(with_reference):
    entry = with_reference.uns["spacex"]["reference"]
    assert entry["weight"] > 0
    page = report.build(with_reference)
    for text in (
        f"weight {entry['weight']:.3g}; agreement of halves {entry['agreement_without']:.2f} without it",
        f"is {entry['agreement_without']:.3f} without the reference and {entry['agreement_with']:.3f} with it",
        f"summarizes 1 section and knows {entry['n_genes']} of the embedded genes",
    ):
        assert text in page
    adata = with_reference.copy()
    adata.uns["spacex"]["reference"] = entry | {"weight": 0.0}
    assert "Its weight in the embedding is 0, because it did not clearly increase" in report.build(adata)


def test_without_a_reference_the_report_lists_similar_patterns_only(fitted, page):
    assert "No reference was used" in page
    assert "Nearest genes" in page
    assert "cofunction" not in read_metadata(page)["shapes"]
    assert "other sections know" not in page
    adata = fitted.copy()
    del adata.varm["X_spacex_cofunction"]  # as in results of earlier versions
    earlier = report.build(adata)
    assert "Nearest genes" in earlier
    assert "reference was used" not in earlier


def test_sections_without_modules_have_a_report(fitted):
    adata = fitted.copy()
    adata.var["spacex_module"] = pd.Categorical(["unassigned"] * adata.n_vars)
    assert "No gene is in a module" in report.build(adata)


def test_the_report_is_reproducible(fitted, enrichment, page):
    assert report.build(fitted, enrichment=enrichment) == page


def test_a_stored_result_has_a_report(fitted, tmp_path):
    fitted.write_h5ad(tmp_path / "result.h5ad")
    report.write_report(sx.read(tmp_path / "result.h5ad"), tmp_path / "report.html", title="stored")
    assert "<h1>stored</h1>" in (tmp_path / "report.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "result.h5ad"]


def test_an_error_keeps_the_old_report(fitted, tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("<!doctype html>old")
    monkeypatch.setattr("spacex.report._page.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        report.write_report(fitted, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "<!doctype html>old"


def test_only_html_is_overwritten(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("spacex.report._page.build", lambda *_, **__: "<!doctype html>new")
    for name, before in (("page.html", "\n<!DOCTYPE HTML>\n"), ("empty.html", ""), ("other.html", "<html>")):
        (tmp_path / name).write_text(before)
        report.write_report(fitted, tmp_path / name)
        assert (tmp_path / name).read_text() == "<!doctype html>new"
    (tmp_path / "result.h5ad").write_bytes(b"\x89HDF\r\n")
    with pytest.raises(sx.InputError, match=r"result\.h5ad' exists and is not an HTML page; pass another name"):
        report.write_report(fitted, tmp_path / "result.h5ad")
    assert (tmp_path / "result.h5ad").read_bytes() == b"\x89HDF\r\n"


def test_invalid_paths_and_sections_raise(fitted, tmp_path):
    with pytest.raises(sx.InputError, match="does not exist"):
        report.write_report(fitted, tmp_path / "no" / "report.html")
    with pytest.raises(sx.InputError, match="is a folder"):
        report.write_report(fitted, tmp_path)
    not_embedded = sx.datasets.simulate_section(n_genes=30, n_spots=100, n_modules=2)
    with pytest.raises(sx.InputError, match=r"call sx\.tl\.embed"):
        report.write_report(not_embedded, tmp_path / "report.html")
