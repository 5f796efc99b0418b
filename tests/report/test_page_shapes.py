"""The report in a browser for tissues of all shapes: x and y have the same scale, and tools select what is drawn."""

import itertools

import numpy as np
import pytest
from tests.get.positions import lattice, sections_at
from tests.report.browser import EVIL, model, until
from tests.report.test_page_proportions import page_of

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
    """Section and report of each case."""
    files, folder = {}, tmp_path_factory.mktemp("shapes")
    for case, positions in CASES.items():
        names = [f"{EVIL if s == 0 else LONG}{s}" for s in range(len(positions))]
        adata = sections_at(*positions, n_genes=25, names=names)
        is_right = adata.obsm["spatial"][:, [0]] > np.median(adata.obsm["spatial"][:, 0])
        mean = np.where(is_right, 1.0, 4.0) * np.ones(25)
        adata.X = np.random.default_rng(1).poisson(mean).astype(np.float32)
        adata.obs["half"] = np.where(is_right[:, 0], "right", "left")
        path = folder / f"{case.replace(' ', '_')}.html"
        path.write_text(page_of(adata, "sample" if len(positions) > 1 else None))
        files[case] = adata, path
    return files


@pytest.fixture
def open_case(browser, files):
    """Function that opens the report of a case on a screen."""

    def open_on_screen(case, screen):
        set_screen(browser, *SCREENS[screen], mobile=screen == "phone")
        adata, path = files[case]
        return adata, browser.open(path)

    yield open_on_screen
    browser.emulate("clearDeviceMetricsOverride")


def set_screen(page, width, height, *, mobile):
    page.emulate("setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)


PLOT = f"""
    const plot = {model("tissue plot")}, units = {model("units")}.data, names = {model("section names")}?.data;
    const view = Bokeh.index.find_one(plot), {{frame}} = view, element = view.canvas_view.el;
    const toWindow = (data) => {{
      const {{left, top}} = element.getBoundingClientRect(), {{x_scale, y_scale}} = frame;
      return Array.from(data.x, (x, i) => [left + x_scale.compute(x), top + y_scale.compute(data.y[i])]);
    }};
"""
"""Script with the parts of the tissue plot; ``toWindow`` returns positions in the window."""


def spots_in_window(page):
    """Scroll to the tissue plot and return the positions (S, 2) of the spots in pixels of the window."""
    return np.array(page.js(f"{PLOT} element.scrollIntoView({{block: 'center'}}); return toWindow(units)"))


def spots_of_sections(adata):
    return [np.flatnonzero(adata.obs["sample"] == name) for name in sorted(set(adata.obs["sample"]))]


def scale(window_xy, xy):
    """Pixels of the window per unit of the coordinates, in x and in y."""
    return np.ptp(window_xy, axis=0) / np.ptp(xy, axis=0)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("case", ["strip", "long strip", "tall", "three", "eight"])
def test_x_and_y_have_the_same_scale(open_case, case, screen):
    adata, page = open_case(case, screen)
    window_xy, xy = spots_in_window(page), adata.obsm["spatial"]
    scales = [
        np.diff(np.unique(xy[spots, 0])).min() * scale(window_xy[spots], xy[spots])
        for spots in spots_of_sections(adata)
    ]
    np.testing.assert_allclose(scales, scales[0][0], rtol=1e-3)  # in all sections
    if case == "long strip":
        assert np.ptp(window_xy[:, 0]) > 0.75 * min(SCREENS[screen][0], 1240)
    box, picture, aspect, ranges = page.js(
        f"""{PLOT} const {{x_range, y_range, renderers}} = plot;
        const {{dw, dh}} = renderers.find((renderer) => renderer.glyph.type === "ImageRGBA").glyph;
        return [[frame.bbox.width, frame.bbox.height], [dw.value, dh.value], plot.aspect_ratio,
                [x_range.start, x_range.end, y_range.end, y_range.start]]"""
    )
    assert aspect == pytest.approx(picture[0] / picture[1])
    # The picture is inside the frame and fills it in one direction.
    left, right, top, bottom = ranges
    assert left <= 1e-6
    assert top <= 1e-6
    assert right >= picture[0] - 1e-6
    assert bottom >= picture[1] - 1e-6
    assert min((right - left) / picture[0], (bottom - top) / picture[1]) == pytest.approx(1, abs=1e-6)
    # The frame has the aspect of the picture unless it would be too small for the mouse.
    if 0.4 < aspect < 4.5 and box[1] > 120:
        assert box[0] / box[1] == pytest.approx(aspect, rel=0.05)
    height, overflow = page.js(
        """return [document.querySelector("#tissue-plot").offsetHeight,
                document.documentElement.scrollWidth - document.documentElement.clientWidth]"""
    )
    assert 100 < height <= 0.75 * SCREENS[screen][1] + 1
    assert overflow <= 0


@pytest.mark.parametrize("case", CASES)
def test_small_maps_have_the_aspect_of_the_tissue(open_case, case):
    _, page = open_case(case, "laptop")
    aspect = page.js(f"return {model('tissue plot')}.aspect_ratio")
    page.js("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    sizes = until(
        lambda: page.js(
            """const maps = [...document.querySelectorAll(".tile canvas, .tile img, .mean img, .thumb")];
            if (maps.some((map) => map.tagName === "IMG" && !map.complete)) return null;
            return maps.map((map) => [map.offsetWidth, map.offsetHeight,
                                      map.naturalWidth ?? map.width, map.naturalHeight ?? map.height])"""
        )
    )
    width, height, natural_width, natural_height = np.array(sizes, dtype=float).T
    natural_aspect = natural_width / natural_height
    assert len(width) > 30
    assert (np.minimum(width, height) >= 4).all()
    assert (height < 480).all()
    assert (np.abs(width - natural_aspect * height) <= np.maximum(1, natural_aspect)).all()  # up to a pixel
    np.testing.assert_allclose(natural_aspect, aspect, rtol=0.12)  # small maps may lack the last point


@pytest.mark.parametrize(
    ("case", "screen"),
    [("two", "laptop"), ("three", "phone"), ("eight", "laptop"), ("eight", "desktop"), ("eight", "phone")],
)
def test_section_names_are_below_their_sections(open_case, case, screen):
    adata, page = open_case(case, screen)
    window_xy, sections = spots_in_window(page), spots_of_sections(adata)
    texts, names, positions, widths = page.js(
        f"""{PLOT} const context = document.createElement("canvas").getContext("2d");
        context.font = "11px helvetica, sans-serif";
        return [names.text, names.name, toWindow(names), names.text.map((text) => context.measureText(text).width)]"""
    )
    assert list(names) == sorted(set(adata.obs["sample"]))
    assert [(text[0], text[-1]) for text in texts] == [(name[0], name[-1]) for name in names]
    boxes = []
    for (x, y), width, spots in zip(positions, widths, sections, strict=True):
        low, high = window_xy[spots].min(axis=0), window_xy[spots].max(axis=0)
        assert low[0] < x < high[0]
        assert high[1] < y < high[1] + 40
        boxes.append((x - width / 2, x + width / 2, y, y + 13))
    for (left, right, top, bottom), (left_2, right_2, top_2, bottom_2) in itertools.combinations(boxes, 2):
        assert right <= left_2 or right_2 <= left or bottom <= top_2 or bottom_2 <= top
    for left, right, top, bottom in boxes:  # names do not cover spots
        assert not ((window_xy > [left, top + 1]) & (window_xy < [right, bottom - 1])).all(axis=1).any()
    centers = [window_xy[spots].mean(axis=0) for spots in sections]
    distance = min(abs(a - b).max() for a, b in itertools.combinations(centers, 2))
    assert distance > 0.9 * max(np.ptp(window_xy[spots], axis=0).max() for spots in sections)


@pytest.mark.parametrize("case", ["eight", "strip", "tall"])
def test_lasso_box_and_mouse_select_the_spots_below_them(open_case, case):
    adata, page = open_case(case, "laptop")
    is_left = np.flatnonzero(adata.obs["half"] == "left")
    spots = spots_of_sections(adata)[4] if case == "eight" else is_left
    page.activate_tool("LassoSelectTool")
    window_xy = spots_in_window(page)
    (left, top), (right, bottom) = window_xy[spots].min(axis=0) - 3, window_xy[spots].max(axis=0) + 3
    page.drag([(left, top), (right, top), (right, bottom), (left, bottom), (left, top + 4)])
    assert sorted(until(page.selected_units)) == spots.tolist()
    page.wait_for_text("pattern-status", f"{len(spots)} spots")
    until(lambda: page.element("pattern-result").is_displayed())
    page.element("pattern-clear").click()
    page.activate_tool("BoxSelectTool")
    window_xy = spots_in_window(page)
    inner = spots[np.abs(window_xy[spots] - window_xy[spots].mean(axis=0)).max(axis=1) < 20]
    assert len(inner) > 3
    page.drag([window_xy[inner].min(axis=0) - 2, window_xy[inner].max(axis=0) + 2])
    assert set(inner) <= set(until(page.selected_units)) < set(spots)
    spot = int(spots[len(spots) // 2])
    page.drag([window_xy[spot] + 1])
    assert until(lambda: page.js(f"return {model('units')}.inspected.indices")) == [spot]


def test_a_category_is_selected_in_all_sections(open_case):
    adata, page = open_case("eight", "laptop")
    page.select_option("tissue-color", "half")
    until(lambda: page.all("#tissue-legend button"))[1].click()
    assert sorted(until(page.selected_units)) == np.flatnonzero(adata.obs["half"] == "right").tolist()
    colors = page.js(
        f"""const {{data}} = {model("units")}, image = {model("picture")}.data.image[0], width = image.shape[1];
        return Array.from(data.x, (x, i) => image[Math.floor(data.y[i]) * width + Math.floor(x)])"""
    )
    left, right = (set(np.array(colors)[adata.obs["half"] == half]) for half in ("left", "right"))
    assert len(left) == len(right) == 1  # each spot is drawn where it is selected
    assert left != right


def test_zoom_and_rotation_of_the_screen_keep_the_scale(open_case):
    adata, page = open_case("eight", "desktop")
    spots = spots_of_sections(adata)[5]
    x_center = f"const r = {model('tissue plot')}.x_range; return (r.start + r.end) / 2"

    def section_scale():
        return scale(spots_in_window(page)[spots], adata.obsm["spatial"][spots])

    before = section_scale()
    page.js(
        f"""const {{x_range, y_range}} = {model("tissue plot")};
        for (const range of [x_range, y_range]) {{
          const center = (range.start + range.end) / 2, half = (range.end - range.start) / 6;
          range.setv({{start: center - half, end: center + half}});
        }}"""
    )
    zoomed = section_scale()
    np.testing.assert_allclose(zoomed, 3 * before, rtol=1e-3)
    center = page.js(x_center)
    set_screen(page, 844, 390, mobile=True)

    def is_resized():
        x, y = section_scale()
        return abs(x / y - 1) < 1e-3 and not np.allclose([x, y], zoomed)

    until(lambda: page.js("return document.querySelector('#tissue-plot').offsetHeight") <= 0.75 * 390 + 1)
    until(is_resized)
    assert page.js(x_center) == center
    page.js(f"Bokeh.index.find_one({model('tissue plot')}).reset()")
    np.testing.assert_allclose(*section_scale(), rtol=1e-3)
    window_xy = spots_in_window(page)
    left, top, right, bottom = page.js(
        f"{PLOT} const box = element.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom]"
    )
    assert (window_xy > [left, top]).all()
    assert (window_xy < [right, bottom]).all()


def test_section_names_in_tooltips_are_text(open_case):
    _, page = open_case("two", "laptop")
    spots_in_window(page)
    for (x, y), name in zip(page.js(f"{PLOT} return toWindow(names)"), [f"{EVIL}0", f"{LONG}1"], strict=True):
        page.drag([(x, y + 7)])
        assert page.tooltip(name) == 0


@pytest.mark.parametrize("case", CASES)
def test_no_console_messages(open_case, case):
    _, page = open_case(case, "laptop")
    assert page.console_errors() == []
    assert not page.element("failure").is_displayed()
