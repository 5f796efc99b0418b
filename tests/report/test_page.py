"""The page in a browser: search, click, lasso, tables and files, by mouse and by keyboard.

Needs Chromium and its driver (Debian: chromium, chromium-driver); left out where they are missing, unless
SPACEX_BROWSER=required.
"""

import itertools
import os
import shutil
import time

import numpy as np
import pandas as pd
import pytest

import spacex as sx
from spacex import report

VISITS = itertools.count()
EVIL = "<script>alert(1)</script>"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
DRIVER = shutil.which("chromedriver")
NEEDED = os.environ.get("SPACEX_BROWSER") == "required"

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and not NEEDED,
    reason="no chromium and chromedriver: apt install chromium chromium-driver",
)
SWITCHES = (
    "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "disable-dev-shm-usage", "force-prefers-reduced-motion",
    "window-size=1280,900",
)  # fmt: skip


@pytest.fixture(scope="module")
def adata():
    made = sx.datasets.simulate_section(n_genes=150, n_spots=400, n_modules=4, n_domains=3, depth=1.0, seed=3)
    sx.tl.embed(made, n_modules=4, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    sx.tl.svg(made)
    sx.tl.domains(made, n_domains=3)
    sx.tl.interactions(made)
    names = list(made.var_names)
    names[7] = EVIL
    made.var_names = names
    made.varm["X_spacex_umap"] = np.random.default_rng(0).normal(size=(150, 2))
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    folder = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.downloads = folder
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def file(adata, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.write_report(adata, path, title=EVIL)
    return path


@pytest.fixture
def page(browser, file):
    # Another address each time: the same one with another #gene would not be loaded anew.
    browser.get(f"{file.as_uri()}?{next(VISITS)}")
    until(lambda: browser.execute_script("return document.documentElement.dataset.complete"))
    return browser


def until(condition, seconds=20.0):
    """What a condition gives when it is no longer false."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def by_id(page, name):
    return page.find_element("id", name)


def names_in(page, selector):
    return [element.text for element in page.find_elements("css selector", f"{selector} em")]


def model(name):
    return f"Bokeh.documents.map((d) => d.get_model_by_name('{name}')).find(Boolean)"


def drag(page, points):
    """Press the mouse at the first of points in the window, move it over the others, and let it go."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    actions = ActionBuilder(page, duration=60)
    pointer = actions.pointer_action
    pointer.move_to_location(*map(round, points[0])).pointer_down()
    for point in points[1:]:
        pointer.move_to_location(*map(round, point))
    pointer.pointer_up()
    actions.perform()


def search(page, words):
    seek(page, words)
    until(lambda: by_id(page, "gene-name").text == words)


def seek(page, words):
    from selenium.webdriver.common.keys import Keys

    by_id(page, "search").clear()
    by_id(page, "search").send_keys(words, Keys.ENTER)


def downloaded(page, name):
    path = page.downloads / name
    until(path.exists)
    table = pd.read_csv(path)
    path.unlink()
    return table


def test_it_works_offline_and_says_nothing_in_the_console(page):
    assert not by_id(page, "failure").is_displayed()
    assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    refused = page.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done(false), (e) => done(String(e)))"
    )
    assert "TypeError" in refused
    assert any("Content Security Policy" in entry["message"] for entry in page.get_log("browser"))


def test_names_are_text(page):
    assert page.find_element("tag name", "h1").text == EVIL
    search(page, EVIL)
    assert EVIL in page.execute_script("return document.querySelector('#gene h3').textContent")
    assert page.execute_script(f"return {model('spots')}.data.value[0]").startswith(EVIL)
    assert all(script.get_attribute("textContent") != "alert(1)" for script in page.find_elements("tag name", "script"))


TIPS = """
    const found = [], seek = (root) => root.querySelectorAll("*").forEach((element) => {
      if (element.classList.contains("bk-Tooltip") && element.shadowRoot) found.push(element.shadowRoot);
      if (element.shadowRoot) seek(element.shadowRoot);
    });
    seek(document);
    return found.map((root) => [root.textContent, root.querySelectorAll("script").length])"""
"""Text of everything that the mouse makes appear, and the number of scripts in it."""


def test_names_are_text_under_the_mouse_too(page):
    search(page, EVIL)
    left, top = page.execute_script(
        f"""const plot = {model("tissue plot")}, source = {model("spots")};
        const view = Bokeh.index.find_one(plot), element = view.canvas_view.el;
        element.scrollIntoView({{block: "end"}});
        const box = element.getBoundingClientRect(), {{x_scale, y_scale}} = view.frame;
        return [box.left + x_scale.compute(source.data.x[9]), box.top + y_scale.compute(source.data.y[9])]"""
    )
    drag(page, [(left, top)])
    shown = until(lambda: [tip for tip in page.execute_script(TIPS) if EVIL in tip[0]])
    assert shown[0][1] == 0


def test_the_name_on_the_map_stands_where_there_is_room(page, adata):
    across = adata.varm["X_spacex_umap"][:, 0]
    for gene, side, gap in ((np.argmax(across), "right", -10), (np.argmin(across), "left", 10)):
        search(page, adata.var_names[gene])
        ring = page.execute_script(f"const at = {model('chosen gene')}.data; return [at.gene, at.side, at.gap]")
        assert ring == [[adata.var_names[gene]], [side], [gap]]


def test_hostile_names_do_nothing(adata, browser, tmp_path):
    from tests.test_untrusted_files import HOSTILE

    made = adata.copy()
    names = [name.replace(EVIL, "plain") for name in made.var_names]
    strongest = np.argsort(-np.nan_to_num(np.linalg.norm(made.varm["X_spacex"], axis=1)))
    for gene, name in zip(strongest, HOSTILE, strict=False):
        names[gene] = name
    made.var_names = names
    known = list(made.obs["spacex_domain"].cat.categories)
    made.obs["spacex_domain"] = made.obs["spacex_domain"].cat.rename_categories(dict(zip(known, HOSTILE, strict=False)))
    report.write_report(made, tmp_path / "hostile.html", title=HOSTILE[4])
    browser.get((tmp_path / "hostile.html").as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.complete"))
    tags = "return [...document.querySelectorAll('script,img[src=x],svg[onload],base,style')].length"
    before = browser.execute_script(tags)
    for name in filter(str.isprintable, HOSTILE):  # an alert would end the next call to the browser with an error
        search(browser, name)
        title = browser.execute_script("return document.querySelector('#gene h3').textContent")
        assert " ".join(name.split()) in " ".join(title.split())
    assert browser.execute_script(tags) == before
    assert browser.execute_script("return document.querySelectorAll('img[src=x],svg[onload],base').length") == 0
    assert browser.execute_script("return document.baseURI").startswith("file:///")


def test_the_search_completes_and_is_used_by_keyboard_alone(page, adata):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(page).send_keys("/").perform()
    assert page.switch_to.active_element.get_attribute("id") == "search"
    by_id(page, "search").send_keys("gene01")
    offered = names_in(page, "#completions")
    assert offered == [name for name in adata.var_names if name.startswith("gene01")][: len(offered)]
    assert len(offered) == 12
    by_id(page, "search").send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    until(lambda: by_id(page, "gene-name").text == offered[1])
    assert page.execute_script("return location.hash") == f"#gene={offered[1]}"
    by_id(page, "search").clear()
    by_id(page, "search").send_keys("no such gene")
    assert by_id(page, "search-none").is_displayed()


def test_genes_named_by_identifiers_are_found_and_shown_by_symbol(adata, browser, tmp_path):
    made = adata.copy()
    symbols = ["Twin" if i in (20, 21) else f"Sym{i}" for i in range(made.n_vars)]
    made.var["feature_name"] = symbols
    made.var_names = [f"ENSMUSG{i:011d}.3" for i in range(made.n_vars)]
    report.write_report(made, tmp_path / "ids.html")
    browser.get((tmp_path / "ids.html").as_uri() + "#gene=sym30")
    until(lambda: browser.execute_script("return document.documentElement.dataset.complete"))
    assert by_id(browser, "gene-name").text == "Sym30"
    assert made.var_names[30] in by_id(browser, "gene-facts").text
    for words, shown in (("sym77", "Sym77"), (made.var_names[9], "Sym9"), ("Twin", f"Twin ({made.var_names[20]})")):
        seek(browser, words)
        until(lambda shown=shown: by_id(browser, "gene-name").text == shown)
    search(browser, "Sym12")
    assert browser.execute_script("return location.hash") == f"#gene={made.var_names[12]}"
    near = sx.tl.similar_genes(made, "Sym12", n=12)
    labels = {"Twin": None} | {symbol: symbol for symbol in symbols if symbol != "Twin"}
    expected = [labels[symbol] or f"Twin ({gene})" for gene, symbol in zip(near["gene"], near["symbol"], strict=True)]
    until(lambda: names_in(browser, "#gene-near") == expected)
    assert browser.execute_script(f"return {model('genes')}.data.gene[0]") == "Sym0"
    for words, n in (("sym14", "of 11 genes"), (made.var_names[14].lower(), "of 1 genes")):
        by_id(browser, "genes-filter").clear()
        by_id(browser, "genes-filter").send_keys(words)
        until(lambda n=n: n in by_id(browser, "genes-shown").text)
    by_id(browser, "genes-csv").click()
    table = downloaded(browser, "genes.csv")
    assert table.loc[0, ["gene", "symbol"]].tolist() == [made.var_names[14], "Sym14"]
    top = sx.get.module_table(made)
    by_id(browser, "modules").find_element("css selector", "[data-filter]").send_keys(top["top_genes"][0].split(",")[9])
    rows = browser.find_elements("css selector", "#modules-table tbody tr:not([hidden])")
    assert rows[0].find_element("css selector", ".genes").text == ", ".join(top["top_symbols"][0].split(",")[:6])


def test_an_address_opens_a_gene_and_a_wrong_one_does_no_harm(page, file, adata):
    page.execute_script(f"location.hash = '#gene={adata.var_names[40]}'")
    until(lambda: by_id(page, "gene-name").text == adata.var_names[40])
    page.get(f"{file.as_uri()}?{next(VISITS)}#gene=%E0%A4%A")
    until(lambda: page.execute_script("return document.documentElement.dataset.complete"))
    assert by_id(page, "gene-name").text in adata.var_names
    assert not by_id(page, "failure").is_displayed()


def test_a_gene_shows_its_counts_and_its_neighbours(page, adata):
    gene = adata.var_names[int(np.nanargmax(adata.var["spacex_svg_score"]))]
    assert by_id(page, "gene-name").text == gene  # what is shown first
    words = page.execute_script(f"return {model('spots')}.data.value")
    counts = adata[:, gene].X.toarray().ravel()
    assert words == [f"{gene}: {n:g}" for n in counts]
    expected = sx.tl.similar_genes(adata, gene, n=12)
    until(lambda: names_in(page, "#gene-near") == list(expected["gene"]))
    cosines = [float(e.text) for e in page.find_elements("css selector", "#gene-near small")]
    np.testing.assert_allclose(cosines, expected["similarity"], atol=0.0051)
    partners = adata.varp["spacex_interactions"][adata.var_names.get_loc(gene)].toarray().ravel()
    shown = [float(e.text) for e in page.find_elements("css selector", "#gene-partners small")]
    np.testing.assert_allclose(shown, np.sort(partners[partners > 0])[::-1][:12], atol=0.0071)


def test_a_neighbour_leads_on(page):
    tile = page.find_element("css selector", "#gene-near .tile")
    name = tile.find_element("tag name", "em").text
    tile.click()
    until(lambda: by_id(page, "gene-name").text == name)


def test_a_click_on_a_point_shows_its_gene(page, adata):
    point = page.execute_script(
        f"""const source = {model("genes")}, plot = {model("genes plot")};
        const view = Bokeh.index.find_one(plot), box = view.canvas_view.el.getBoundingClientRect(), k = 20;
        const {{x_scale, y_scale}} = view.frame;
        return [box.left + x_scale.compute(source.data.x[k]), box.top + y_scale.compute(source.data.y[k]),
                source.data.gene[k]]"""
    )
    drag(page, [(point[0], point[1])])
    until(lambda: by_id(page, "gene-name").text == point[2])


def test_a_lasso_finds_the_genes_of_its_spots_as_python_does(page, adata):
    left, top, width, height = page.execute_script(
        f"""const plot = {model("tissue plot")};
        plot.toolbar.gestures.pan.active.active = false;
        plot.toolbar.tools.find((tool) => tool.type === "LassoSelectTool").active = true;
        const element = Bokeh.index.find_one(plot).canvas_view.el;
        element.scrollIntoView({{block: "end"}});
        const frame = element.getBoundingClientRect();
        return [frame.left, frame.top, frame.width, frame.height]"""
    )
    corners = [(0.2, 0.2), (0.5, 0.2), (0.5, 0.5), (0.2, 0.5), (0.2, 0.25)]
    drag(page, [(left + x * width, top + y * height) for x, y in corners])
    until(lambda: by_id(page, "pattern-result").is_displayed())
    chosen = page.execute_script(f"return {model('spots')}.selected.indices")
    assert 10 < len(chosen) < 200
    by_id(page, "spots-csv").click()
    spots = downloaded(page, "spots.csv")["spot"].astype(str)
    assert sorted(spots) == sorted(adata.obs_names[chosen])
    by_id(page, "pattern-csv").click()
    found = downloaded(page, "genes_of_pattern.csv")
    expected = sx.tl.pattern(adata.copy(), adata.obs_names.isin(spots), n=150)
    both = found.merge(expected, on="gene")
    assert len(both) == len(found) == len(expected)
    np.testing.assert_allclose(both["similarity_x"], both["similarity_y"], atol=2e-3)
    assert names_in(page, "#pattern-genes")[:3] == list(expected["gene"][:3])


def test_a_domain_is_an_area_too_without_a_mouse(page, adata):
    from selenium.webdriver.support.ui import Select

    Select(by_id(page, "tissue-color")).select_by_visible_text("SpaCEX domain")
    first = until(lambda: page.find_elements("css selector", "#tissue-legend button"))[0]
    first.send_keys(" ")
    until(lambda: by_id(page, "pattern-result").is_displayed())
    size = int((adata.obs["spacex_domain"] == adata.obs["spacex_domain"].cat.categories[0]).sum())
    assert f"{size} places" in by_id(page, "pattern-status").text
    by_id(page, "pattern-clear").click()
    until(lambda: not by_id(page, "pattern-result").is_displayed())


def test_the_table_sorts_filters_and_is_a_file(page, adata):
    heads = page.find_elements("css selector", "#genes-table th button")
    next(head for head in heads if head.text == "mean count").click()
    total = pd.Series(np.asarray(adata.X.sum(axis=0)).ravel(), adata.var_names)
    first = page.find_element("css selector", "#genes-table td .gene").text
    assert total[first] == total.max()
    by_id(page, "genes-next").click()
    assert "26–50 of 150" in by_id(page, "genes-shown").text
    by_id(page, "genes-filter").send_keys("gene000")
    until(lambda: "of 8 genes" in by_id(page, "genes-shown").text)  # one of nine is named otherwise here
    by_id(page, "genes-csv").click()
    table = downloaded(page, "genes.csv")
    expected = sx.get.gene_table(adata).set_index("gene").loc[table["gene"]]
    assert table["mean_count"].is_monotonic_decreasing
    for name in ("svg_score", "svg_qvalue", "strength", "mean_count", "detected"):
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-5, atol=1e-37)


def test_a_module_is_shown_and_listed(page, adata):
    button = page.find_element("css selector", "[data-module]")
    name = button.get_attribute("data-module")
    button.click()
    size = int((adata.var["spacex_module"] == name).sum())
    until(lambda: f"of {size} genes" in by_id(page, "genes-shown").text)
    assert by_id(page, "tissue-color").get_attribute("value") == "module 0"


def test_the_modules_sort_filter_and_are_a_file(page, adata):
    head = next(h for h in page.find_elements("css selector", "#modules-table th button") if h.text == "genes")
    head.click()
    sizes = [int(cell.text) for cell in page.find_elements("css selector", "#modules-table td:nth-child(2)")]
    assert sizes == sorted(sizes)
    expected = sx.get.module_table(adata)
    gene = expected["top_genes"][0].split(",")[9]  # the tenth is not among those shown
    page.find_element("css selector", "[data-filter=modules-table]").send_keys(gene)
    page.find_element("css selector", "[data-csv=modules-table]").click()
    table = downloaded(page, "modules.csv")
    assert list(table["module"].astype(str)) == [expected["module"][0]]
    assert table["strongest genes"][0] == expected["top_genes"][0]


def test_both_lights(page):
    def ground():
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")

    light = ground()
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    assert ground() != light
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_small_screen_needs_no_scrolling_sideways(page):
    size = page.get_window_size()
    page.set_window_size(500, 900)
    wide = page.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.set_window_size(size["width"], size["height"])
    assert wide <= 0
