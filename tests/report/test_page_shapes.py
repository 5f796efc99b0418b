"""The page in a browser with tissue of every shape: x and y have one scale, and the mouse finds what is drawn."""

import itertools

import numpy as np
import pytest
from tests.get.positions import lattice, sections_at
from tests.report import test_page
from tests.report.test_page import by_id, drag, model, until
from tests.report.test_page_proportions import EVIL, page_of

pytestmark = test_page.pytestmark
browser = test_page.browser
VISITS = itertools.count()
SCREENS = {"laptop": (1366, 768), "desktop": (1920, 1080), "phone": (390, 844)}
CASES = {
    "strip": [lattice(60, 15)],
    "long strip": [lattice(120, 6)],
    "tall": [lattice(15, 60)],
    "two": [lattice(14, 12, hexagonal=True)] * 2,
    "three": [unit * lattice(14, 12, hexagonal=True) for unit in (1.0, 2.5, 0.4)],
    "eight": [(1.0 + s % 3) * lattice(12, 10, hexagonal=True) for s in range(8)],
}
LONG = "a name of a section that is much longer than its section is wide, number "


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Of each case the section and its page."""
    made, folder = {}, tmp_path_factory.mktemp("shapes")
    for case, positions in CASES.items():
        names = [f"{EVIL if s == 0 else LONG}{s}" for s in range(len(positions))]
        adata = sections_at(*positions, n_genes=25, names=names)
        rng = np.random.default_rng(1)
        side = adata.obsm["spatial"][:, [0]] > np.median(adata.obsm["spatial"][:, 0])
        adata.X = rng.poisson(np.where(side, 1.0, 4.0) * np.ones(25)).astype(np.float32)
        adata.obs["half"] = np.where(side[:, 0], "right", "left")
        path = folder / f"{case.replace(' ', '_')}.html"
        path.write_text(page_of(adata, "sample" if len(positions) > 1 else None))
        made[case] = adata, path
    return made


@pytest.fixture
def opened(browser, files):
    """A function that opens the page of a case on a screen."""

    def on_screen(case, screen):
        width, height = SCREENS[screen]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == "phone"}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        adata, path = files[case]
        browser.get(f"{path.as_uri()}?{next(VISITS)}")
        until(lambda: browser.execute_script("return document.documentElement.dataset.complete"))
        return adata, browser

    yield on_screen
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


PLOT = f"""
    const plot = {model("tissue plot")}, spots = {model("spots")}.data, names = {model("section names")}?.data;
    const view = Bokeh.index.find_one(plot), {{frame}} = view, element = view.canvas_view.el;
    const shown = (data) => {{
      const {{left, top}} = element.getBoundingClientRect(), {{x_scale, y_scale}} = frame;
      return Array.from(data.x, (x, i) => [left + x_scale.compute(x), top + y_scale.compute(data.y[i])]);
    }};
"""
"""The parts of the plot of the tissue, and where in the window it shows the points of a source."""


def spots_on_screen(page):
    """Places (S, 2) of the spots in pixels of the window, as the plot draws them; its element is brought into view."""
    return np.array(page.execute_script(f"{PLOT} element.scrollIntoView({{block: 'center'}}); return shown(spots)"))


def sections_of(adata):
    return [np.flatnonzero(adata.obs["sample"] == name) for name in sorted(set(adata.obs["sample"]))]


def stretch(screen_xy, xy):
    """Pixels of the window per unit of the coordinates, in x and in y."""
    return np.ptp(screen_xy, axis=0) / np.ptp(xy, axis=0)


def choose(page, tool):
    page.execute_script(
        f"""const {{toolbar}} = {model("tissue plot")};
        if (toolbar.gestures.pan.active) toolbar.gestures.pan.active.active = false;
        toolbar.tools.find((tool) => tool.type === "{tool}").active = true"""
    )


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("case", ["strip", "long strip", "tall", "three", "eight"])
def test_x_and_y_have_one_scale_on_the_screen(opened, case, screen):
    adata, page = opened(case, screen)
    at, xy = spots_on_screen(page), adata.obsm["spatial"]
    units = [np.diff(np.unique(xy[spots, 0])).min() for spots in sections_of(adata)]
    found = [unit * stretch(at[spots], xy[spots]) for unit, spots in zip(units, sections_of(adata), strict=True)]
    np.testing.assert_allclose(found, found[0][0], rtol=1e-3)  # along x and y, and in every section
    if case == "long strip":
        assert np.ptp(at[:, 0]) > 0.75 * min(SCREENS[screen][0], 1240)
    box, picture, ratio, ranges = page.execute_script(
        f"""{PLOT} const {{x_range, y_range, renderers}} = plot;
        const {{dw, dh}} = renderers.find((renderer) => renderer.glyph.type === "ImageRGBA").glyph;
        return [[frame.bbox.width, frame.bbox.height], [dw.value, dh.value], plot.aspect_ratio,
                [x_range.start, x_range.end, y_range.end, y_range.start]]"""
    )
    assert ratio == pytest.approx(picture[0] / picture[1])
    # The whole picture is in the frame, and fills it in one direction at least.
    left, right, top, bottom = ranges
    assert left <= 1e-6
    assert top <= 1e-6
    assert right >= picture[0] - 1e-6
    assert bottom >= picture[1] - 1e-6
    assert min((right - left) / picture[0], (bottom - top) / picture[1]) == pytest.approx(1, abs=1e-6)
    # Its frame has its shape, but where that would leave no room for the mouse.
    if 0.4 < ratio < 4.5 and box[1] > 120:
        assert box[0] / box[1] == pytest.approx(ratio, rel=0.05)
    height, overflow = page.execute_script(
        """return [document.querySelector("#tissue-plot").offsetHeight,
                document.documentElement.scrollWidth - document.documentElement.clientWidth]"""
    )
    assert 100 < height <= 0.75 * SCREENS[screen][1] + 1
    assert overflow <= 0


@pytest.mark.parametrize("case", CASES)
def test_small_maps_have_the_shape_of_the_large_one(opened, case):
    _, page = opened(case, "laptop")
    ratio = page.execute_script(f"return {model('tissue plot')}.aspect_ratio")
    page.execute_script("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    maps = until(
        lambda: page.execute_script(
            """const maps = [...document.querySelectorAll(".tile canvas, .tile img, .mean img, .thumb")];
            if (maps.some((map) => map.tagName === "IMG" && !map.complete)) return null;
            return maps.map((map) => [map.offsetWidth, map.offsetHeight,
                                      map.naturalWidth ?? map.width, map.naturalHeight ?? map.height])"""
        )
    )
    shown = np.array(maps, dtype=float)
    assert len(shown) > 30
    assert (shown >= 4).all()
    assert (shown[:, 1] < 480).all()
    own = shown[:, 2] / shown[:, 3]
    assert (np.abs(shown[:, 0] - own * shown[:, 1]) <= np.maximum(1, own)).all()  # to a pixel of the screen
    np.testing.assert_allclose(own, ratio, rtol=0.12)  # the small ones may lack the last point


@pytest.mark.parametrize(
    ("case", "screen"),
    [("two", "laptop"), ("three", "phone"), ("eight", "laptop"), ("eight", "desktop"), ("eight", "phone")],
)
def test_every_section_has_its_name_below_it(opened, case, screen):
    adata, page = opened(case, screen)
    at = spots_on_screen(page)
    names, whole, places, widths = page.execute_script(
        f"""{PLOT} const pen = document.createElement("canvas").getContext("2d");
        pen.font = "11px helvetica, sans-serif";
        return [names.name, names.whole, shown(names), names.name.map((name) => pen.measureText(name).width)]"""
    )
    sections = sections_of(adata)
    assert list(whole) == sorted(set(adata.obs["sample"]))
    for name, full in zip(names, whole, strict=True):
        assert name[0] == full[0]
        assert name[-1] == full[-1]
    boxes = []
    for (x, y), width, spots in zip(places, widths, sections, strict=True):
        low, high = at[spots].min(axis=0), at[spots].max(axis=0)
        assert low[0] < x < high[0]
        assert high[1] < y < high[1] + 40
        boxes.append((x - width / 2, x + width / 2, y, y + 13))
    for (left, right, top, bottom), (left_2, right_2, top_2, bottom_2) in itertools.combinations(boxes, 2):
        assert right <= left_2 or right_2 <= left or bottom <= top_2 or bottom_2 <= top
    for left, right, top, bottom in boxes:  # nor do they cover spots
        assert not ((at > [left, top + 1]) & (at < [right, bottom - 1])).all(axis=1).any()
    gap = min(abs(a - b).max() for a, b in itertools.combinations([at[spots].mean(axis=0) for spots in sections], 2))
    assert gap > 0.9 * max(np.ptp(at[spots], axis=0).max() for spots in sections)


@pytest.mark.parametrize("case", ["eight", "strip", "tall"])
def test_lasso_box_and_mouse_find_the_spots_that_lie_there(opened, case):
    adata, page = opened(case, "laptop")
    sections = sections_of(adata)
    chosen = sections[4] if case == "eight" else np.flatnonzero(adata.obs["half"] == "left")
    choose(page, "LassoSelectTool")
    at = spots_on_screen(page)
    (left, top), (right, bottom) = at[chosen].min(axis=0) - 3, at[chosen].max(axis=0) + 3
    drag(page, [(left, top), (right, top), (right, bottom), (left, bottom), (left, top + 4)])
    until(lambda: by_id(page, "pattern-result").is_displayed() or by_id(page, "pattern-status").text)
    until(lambda: len(page.execute_script(f"return {model('spots')}.selected.indices")))
    assert sorted(page.execute_script(f"return {model('spots')}.selected.indices")) == chosen.tolist()
    until(lambda: f"{len(chosen)} places" in by_id(page, "pattern-status").text)
    by_id(page, "pattern-clear").click()
    choose(page, "BoxSelectTool")
    at = spots_on_screen(page)
    few = chosen[np.abs(at[chosen] - at[chosen].mean(axis=0)).max(axis=1) < 20]
    assert len(few) > 3
    low, high = at[few].min(axis=0) - 2, at[few].max(axis=0) + 2
    drag(page, [tuple(low), tuple(high)])
    until(lambda: len(page.execute_script(f"return {model('spots')}.selected.indices")))
    assert set(few) <= set(page.execute_script(f"return {model('spots')}.selected.indices")) < set(chosen)
    one = int(chosen[len(chosen) // 2])
    drag(page, [tuple(at[one] + [1, 1])])
    hovered = until(lambda: page.execute_script(f"return {model('spots')}.inspected.indices"))
    assert hovered == [one]


def test_a_category_of_the_legend_is_chosen_in_all_sections(opened):
    from selenium.webdriver.support.ui import Select

    adata, page = opened("eight", "laptop")
    Select(by_id(page, "tissue-color")).select_by_visible_text("half")
    until(lambda: page.find_elements("css selector", "#tissue-legend button"))[1].click()
    right = np.flatnonzero(adata.obs["half"] == "right")
    until(lambda: page.execute_script(f"return {model('spots')}.selected.indices"))
    assert sorted(page.execute_script(f"return {model('spots')}.selected.indices")) == right.tolist()
    colors = page.execute_script(
        f"""const {{data}} = {model("spots")}, image = {model("picture")}.data.image[0], width = image.shape[1];
        return Array.from(data.x, (x, i) => image[Math.floor(data.y[i]) * width + Math.floor(x)])"""
    )
    by_half = [set(np.array(colors)[adata.obs["half"] == half]) for half in ("left", "right")]
    assert [len(one) for one in by_half] == [1, 1]  # every spot is drawn where it can be clicked
    assert by_half[0] != by_half[1]


def test_zooming_and_turning_the_screen_keep_the_scale(opened):
    adata, page = opened("eight", "desktop")
    spots = sections_of(adata)[5]
    before = stretch(spots_on_screen(page)[spots], adata.obsm["spatial"][spots])
    page.execute_script(
        f"""const {{x_range, y_range}} = {model("tissue plot")};
        for (const range of [x_range, y_range]) {{
          const middle = (range.start + range.end) / 2, half = (range.end - range.start) / 6;
          range.setv({{start: middle - half, end: middle + half}});
        }}"""
    )
    np.testing.assert_allclose(
        stretch(spots_on_screen(page)[spots], adata.obsm["spatial"][spots]), 3 * before, rtol=1e-3
    )
    middle = page.execute_script(f"const r = {model('tissue plot')}.x_range; return (r.start + r.end) / 2")
    size = {"width": 844, "height": 390, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    until(lambda: page.execute_script("return document.querySelector('#tissue-plot').offsetHeight") <= 0.75 * 390 + 1)

    def settled():
        found = stretch(spots_on_screen(page)[spots], adata.obsm["spatial"][spots])
        return found if abs(found[0] / found[1] - 1) < 1e-3 and not np.allclose(found, 3 * before) else None

    until(lambda: settled() is not None)
    assert page.execute_script(f"const r = {model('tissue plot')}.x_range; return (r.start + r.end) / 2") == middle
    page.execute_script(f"Bokeh.index.find_one({model('tissue plot')}).reset()")
    at = spots_on_screen(page)
    np.testing.assert_allclose(*stretch(at[spots], adata.obsm["spatial"][spots]), rtol=1e-3)
    box = page.execute_script(
        f"{PLOT} const box = element.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom]"
    )
    assert (at > box[:2]).all()
    assert (at < box[2:]).all()


def test_names_of_sections_are_text_under_the_mouse_too(opened):
    _, page = opened("two", "laptop")
    spots_on_screen(page)
    at = page.execute_script(f"{PLOT} return shown(names)")
    for place, name in zip(at, [f"{EVIL}0", f"{LONG}1"], strict=True):
        drag(page, [(place[0], place[1] + 7)])
        shown = until(lambda name=name: [tip for tip in page.execute_script(test_page.TIPS) if name in tip[0]])
        assert shown[0][1] == 0


def test_the_console_stays_empty(opened):
    for case in CASES:
        _, page = opened(case, "laptop")
        assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
        assert not by_id(page, "failure").is_displayed()
