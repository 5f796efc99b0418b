"""The report in a browser: search, click, lasso, tables and downloads, by mouse and by keyboard."""

import numpy as np
import pandas as pd
import pytest
from tests.report.browser import EVIL, model, until

import spacex as sx
from spacex import report


@pytest.fixture(scope="module")
def adata():
    adata = sx.datasets.simulate_section(n_genes=150, n_spots=400, n_modules=4, n_domains=3, depth=1.0, seed=3)
    sx.tl.embed(adata, n_modules=4, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    sx.tl.svg(adata)
    sx.tl.domains(adata, n_domains=3)
    sx.tl.interactions(adata)
    adata.var_names = [EVIL if i == 7 else name for i, name in enumerate(adata.var_names)]
    adata.varm["X_spacex_umap"] = np.random.default_rng(0).normal(size=(150, 2))
    return adata


@pytest.fixture(scope="module")
def file(adata, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.write_report(adata, path, title=EVIL)
    return path


@pytest.fixture
def page(browser, file):
    return browser.open(file)


def test_the_report_works_offline_without_console_messages(page):
    assert not page.element("failure").is_displayed()
    assert page.console_errors() == []
    error = page.driver.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done(false), (e) => done(String(e)))"
    )
    assert "TypeError" in error
    assert any("Content Security Policy" in entry["message"] for entry in page.console_errors())


def test_names_are_text(page):
    assert page.first("h1").text == EVIL
    page.search(EVIL)
    assert EVIL in page.js("return document.querySelector('#gene h3').textContent")
    assert page.js(f"return {model('units')}.data.value[0]").startswith(EVIL)
    assert all(script.get_attribute("textContent") != "alert(1)" for script in page.all("script"))


def test_names_in_tooltips_are_text(page):
    page.search(EVIL)
    point = page.js(
        f"""const plot = {model("tissue plot")}, source = {model("units")};
        const view = Bokeh.index.find_one(plot), element = view.canvas_view.el;
        element.scrollIntoView({{block: "end"}});
        const box = element.getBoundingClientRect(), {{x_scale, y_scale}} = view.frame;
        return [box.left + x_scale.compute(source.data.x[9]), box.top + y_scale.compute(source.data.y[9])]"""
    )
    page.drag([point])
    assert page.tooltip(EVIL) == 0


def test_the_label_of_a_gene_points_to_the_center(page, adata):
    x = adata.varm["X_spacex_umap"][:, 0]
    for gene, align, offset in ((np.argmax(x), "right", -10), (np.argmin(x), "left", 10)):
        page.search(adata.var_names[gene])
        mark = page.js(f"const {{data}} = {model('selected gene')}; return [data.gene, data.align, data.offset]")
        assert mark == [[adata.var_names[gene]], [align], [offset]]


def test_hostile_names_run_nothing(adata, browser, tmp_path):
    from tests.test_untrusted_files import HOSTILE

    adata = adata.copy()
    names = [name.replace(EVIL, "plain") for name in adata.var_names]
    strongest = np.argsort(-np.nan_to_num(np.linalg.norm(adata.varm["X_spacex"], axis=1)))
    for gene, name in zip(strongest, HOSTILE, strict=False):
        names[gene] = name
    adata.var_names = names
    domains = adata.obs["spacex_domain"]
    adata.obs["spacex_domain"] = domains.cat.rename_categories(dict(zip(domains.cat.categories, HOSTILE, strict=False)))
    report.write_report(adata, tmp_path / "hostile.html", title=HOSTILE[4])
    page = browser.open(tmp_path / "hostile.html")
    count_tags = "return [...document.querySelectorAll('script,img[src=x],svg[onload],base,style')].length"
    before = page.js(count_tags)
    for name in filter(str.isprintable, HOSTILE):  # an alert would raise an error at the next call to the browser
        page.search(name)
        title = page.js("return document.querySelector('#gene h3').textContent")
        assert " ".join(name.split()) in " ".join(title.split())
    assert page.js(count_tags) == before
    assert page.js("return document.querySelectorAll('img[src=x],svg[onload],base').length") == 0
    assert page.js("return document.baseURI").startswith("file:///")


def test_the_search_completes_and_works_by_keyboard(page, adata):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(page.driver).send_keys("/").perform()
    assert page.driver.switch_to.active_element.get_attribute("id") == "search"
    field = page.element("search")
    field.send_keys("gene01")
    completions = page.genes("#completions")
    assert completions == [name for name in adata.var_names if name.startswith("gene01")][:12]
    field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    until(lambda: page.text("gene-name") == completions[1])
    assert page.js("return location.hash") == f"#gene={completions[1]}"
    field.clear()
    field.send_keys("no such gene")
    assert page.element("search-none").is_displayed()


def test_genes_are_searched_by_identifier_and_shown_by_symbol(adata, browser, tmp_path):
    adata = adata.copy()
    symbols = ["Twin" if i in (20, 21) else f"Sym{i}" for i in range(adata.n_vars)]
    adata.var["feature_name"] = symbols
    adata.var_names = [f"ENSMUSG{i:011d}.3" for i in range(adata.n_vars)]
    report.write_report(adata, tmp_path / "ids.html")
    page = browser.open(tmp_path / "ids.html", "#gene=sym30")
    assert page.text("gene-name") == "Sym30"
    assert adata.var_names[30] in page.text("gene-facts")
    page.search("sym77", "Sym77")
    page.search(adata.var_names[9], "Sym9")
    page.search("Twin", f"Twin ({adata.var_names[20]})")
    page.search("Sym12")
    assert page.js("return location.hash") == f"#gene={adata.var_names[12]}"
    nearest = sx.tl.similar_genes(adata, "Sym12", n=12)
    labels = [
        f"Twin ({gene})" if symbol == "Twin" else symbol for gene, symbol in nearest[["gene", "symbol"]].to_numpy()
    ]
    until(lambda: page.genes("#gene-nearest") == labels)
    assert page.js(f"return {model('genes')}.data.gene[0]") == "Sym0"
    for text, n_rows in (("sym14", 11), (adata.var_names[14].lower(), 1)):
        page.element("genes-filter").clear()
        page.element("genes-filter").send_keys(text)
        page.wait_for_text("genes-shown", f"of {n_rows} genes")
    table = page.download(page.element("genes-csv"), "genes.csv")
    assert table.loc[0, ["gene", "symbol"]].tolist() == [adata.var_names[14], "Sym14"]
    modules = sx.get.module_table(adata)
    page.first("#modules [data-filter]").send_keys(modules["top_genes"][0].split(",")[9])
    shown = page.first("#modules-table tbody tr:not([hidden]) .genes").text
    assert shown == ", ".join(modules["top_symbols"][0].split(",")[:6])


def test_the_address_selects_a_gene(page, file, adata):
    page.js(f"location.hash = '#gene={adata.var_names[40]}'")
    until(lambda: page.text("gene-name") == adata.var_names[40])
    page.open(file, "#gene=%E0%A4%A")  # invalid
    assert page.text("gene-name") in adata.var_names
    assert not page.element("failure").is_displayed()


def test_a_gene_shows_its_counts_and_nearest_genes(page, adata):
    gene = adata.var_names[int(np.nanargmax(adata.var["spacex_svg_score"]))]
    assert page.text("gene-name") == gene  # selected first
    counts = adata[:, gene].X.toarray().ravel()
    assert page.js(f"return {model('units')}.data.value") == [f"{gene}: {n:g}" for n in counts]
    nearest = sx.tl.similar_genes(adata, gene, n=12)
    until(lambda: page.genes("#gene-nearest") == list(nearest["gene"]))
    np.testing.assert_allclose(page.numbers("#gene-nearest small"), nearest["similarity"], atol=0.0051)
    partners = adata.varp["spacex_interactions"][adata.var_names.get_loc(gene)].toarray().ravel()
    expected = np.sort(partners[partners > 0])[::-1][:12]
    np.testing.assert_allclose(page.numbers("#gene-partners small"), expected, atol=0.0071)


def test_a_gene_shows_its_neighbors_by_pattern_and_by_function(adata, browser, tmp_path):
    richer = sx.datasets.simulate_section(n_genes=150, n_spots=400, n_modules=4, n_domains=3, depth=4.0, seed=4)
    section = adata.copy()
    section.var_names = richer.var_names
    counts = section.X.toarray()
    counts[:, 5] = 0
    counts[0, 5] = 1
    section.X = counts
    reference = sx.Reference.fit([richer], progress=False)
    config = sx.Config(epochs=0, boost_rounds=0)
    sx.tl.embed(section, n_modules=4, reference=reference, config=config, progress=False)
    report.write_report(section, tmp_path / "report.html")
    page = browser.open(tmp_path / "report.html", "#gene=gene0031")
    for space, name in (("section", "gene-nearest"), ("cofunction", "gene-function")):
        nearest = sx.tl.similar_genes(section, "gene0031", n=12, space=space)
        until(lambda name=name: len(page.genes(f"#{name}")) == 12)
        cosines = [float(element.text.rstrip("*")) for element in page.all(f"#{name} small")]
        np.testing.assert_allclose(cosines, nearest["similarity"], atol=0.02)
        assert len(set(page.genes(f"#{name}")) & set(nearest["gene"])) >= 11
    left, right = (page.element(name).rect for name in ("gene-nearest", "gene-function"))
    assert left["y"] == right["y"]  # side by side
    assert left["x"] + left["width"] < right["x"]
    table = page.download(page.element("gene-function-csv"), "function_like_gene0031.csv")
    assert len(table) == 100
    page.search("gene0006")  # too few counts: only the reference knows it
    until(lambda: page.element("gene-nearest-none").is_displayed())
    assert not page.genes("#gene-nearest")
    assert not page.element("gene-csv").is_enabled()
    until(lambda: len(page.genes("#gene-function")) == 12)
    assert not page.element("gene-function-none").is_displayed()
    neighbor = sx.tl.similar_genes(section, "gene0006", n=1, space="cofunction")["gene"][0]
    page.search(neighbor)
    until(lambda: "gene0006" in page.genes("#gene-function"))
    tile = page.genes("#gene-function").index("gene0006")
    assert page.all("#gene-function small")[tile].text.endswith("*")
    assert page.console_errors() == []


def test_a_gene_without_a_module_shows_what_this_means(page, file, adata):
    is_unassigned = (adata.var["spacex_module"] == "unassigned").to_numpy()
    for genes, shown in ((adata.var_names[is_unassigned], True), (adata.var_names[~is_unassigned], False)):
        page.open(file, f"#gene={genes[0]}")
        until(lambda gene=genes[0]: page.text("gene-name") == gene)
        assert page.element("gene-unassigned").is_displayed() == shown
    assert "no module has a probability above 0.5" in page.element("gene-unassigned").get_attribute("textContent")


def test_a_click_on_a_tile_selects_its_gene(page):
    tile = page.first("#gene-nearest .tile")
    name = tile.find_element("tag name", "em").text
    tile.click()
    until(lambda: page.text("gene-name") == name)


def test_a_click_on_a_point_selects_its_gene(page):
    *point, gene = page.js(
        f"""const source = {model("genes")}, plot = {model("genes plot")};
        const view = Bokeh.index.find_one(plot), box = view.canvas_view.el.getBoundingClientRect(), k = 20;
        const {{x_scale, y_scale}} = view.frame;
        return [box.left + x_scale.compute(source.data.x[k]), box.top + y_scale.compute(source.data.y[k]),
                source.data.gene[k]]"""
    )
    page.drag([point])
    until(lambda: page.text("gene-name") == gene)


def test_a_lasso_lists_the_genes_of_tl_pattern(page, adata):
    page.activate_tool("LassoSelectTool")
    left, top, width, height = page.js(
        f"""const element = Bokeh.index.find_one({model("tissue plot")}).canvas_view.el;
        element.scrollIntoView({{block: "end"}});
        const frame = element.getBoundingClientRect();
        return [frame.left, frame.top, frame.width, frame.height]"""
    )
    corners = [(0.2, 0.2), (0.5, 0.2), (0.5, 0.5), (0.2, 0.5), (0.2, 0.25)]
    page.drag([(left + x * width, top + y * height) for x, y in corners])
    until(lambda: page.element("pattern-result").is_displayed())
    selected = page.selected_units()
    assert 10 < len(selected) < 200
    spots = page.download(page.element("spots-csv"), "spots.csv")["spot"].astype(str)
    assert sorted(spots) == sorted(adata.obs_names[selected])
    table = page.download(page.element("pattern-csv"), "genes_of_pattern.csv")
    expected = sx.tl.pattern(adata.copy(), adata.obs_names.isin(spots), n=150)
    both = table.merge(expected, on="gene")
    assert len(both) == len(table) == len(expected)
    np.testing.assert_allclose(both["similarity_x"], both["similarity_y"], atol=2e-3)
    assert page.genes("#pattern-genes")[:3] == list(expected["gene"][:3])


def test_a_domain_is_selected_by_keyboard(page, adata):
    page.select_option("tissue-color", "SpaCEX domain")
    until(lambda: page.all("#tissue-legend button"))[0].send_keys(" ")
    until(lambda: page.element("pattern-result").is_displayed())
    size = int((adata.obs["spacex_domain"] == adata.obs["spacex_domain"].cat.categories[0]).sum())
    assert f"{size} spots selected" in page.text("pattern-status")
    page.element("pattern-clear").click()
    until(lambda: not page.element("pattern-result").is_displayed())


def test_the_gene_table_sorts_filters_and_downloads(page, adata):
    next(head for head in page.all("#genes-table th button") if head.text == "mean count").click()
    total = pd.Series(np.asarray(adata.X.sum(axis=0)).ravel(), adata.var_names)
    assert total[page.first("#genes-table td .gene").text] == total.max()
    page.element("genes-next").click()
    assert "26–50 of 150" in page.text("genes-shown")
    page.element("genes-filter").send_keys("gene000")
    page.wait_for_text("genes-shown", "of 8 genes")  # gene0007 was renamed
    table = page.download(page.element("genes-csv"), "genes.csv")
    expected = sx.get.gene_table(adata).set_index("gene").loc[table["gene"]]
    assert table["mean_count"].is_monotonic_decreasing
    for name in ("svg_score", "svg_qvalue", "strength", "mean_count", "detected"):
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-5, atol=1e-37)


def test_a_module_is_shown_on_the_tissue_and_in_the_table(page, adata):
    button = page.first("[data-module]")
    size = int((adata.var["spacex_module"] == button.get_attribute("data-module")).sum())
    button.click()
    page.wait_for_text("genes-shown", f"of {size} genes")
    assert page.element("tissue-color").get_attribute("value") == "module 0"


def test_the_module_table_sorts_filters_and_downloads(page, adata):
    next(head for head in page.all("#modules-table th button") if head.text == "genes").click()
    sizes = page.numbers("#modules-table td:nth-child(2)")
    assert sizes == sorted(sizes)
    expected = sx.get.module_table(adata)
    page.first("[data-filter=modules-table]").send_keys(expected["top_genes"][0].split(",")[9])  # not shown
    table = page.download(page.first("[data-csv=modules-table]"), "modules.csv")
    assert list(table["module"].astype(str)) == [expected["module"][0]]
    assert table["strongest genes"][0] == expected["top_genes"][0]


def test_dark_mode_changes_the_background(page):
    background = "return getComputedStyle(document.body).backgroundColor"
    light = page.js(background)
    page.emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert page.js(background) != light
    page.emulate("setEmulatedMedia", features=[])


def test_a_small_window_does_not_scroll_sideways(page):
    size = page.driver.get_window_size()
    page.driver.set_window_size(500, 900)
    overflow = page.js("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.driver.set_window_size(size["width"], size["height"])
    assert overflow <= 0
