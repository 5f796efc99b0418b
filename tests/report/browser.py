"""A report in headless Chromium.

``SPACEX_BROWSER=required pytest tests/report`` runs the tests that need it (``apt install chromium chromium-driver``);
without the variable they are skipped where no browser is installed.
"""

import os
import shutil
import time

import pandas as pd
import pytest

EVIL = "<script>alert(1)</script>"
"""Name of a gene or section that would run a script if it became markup."""

SWITCHES = (
    "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "disable-dev-shm-usage", "force-prefers-reduced-motion",
    "window-size=1280,900",
)  # fmt: skip

TOOLTIPS = """
    const tooltips = [], search = (root) => root.querySelectorAll("*").forEach((element) => {
      if (element.classList.contains("bk-Tooltip") && element.shadowRoot) tooltips.push(element.shadowRoot);
      if (element.shadowRoot) search(element.shadowRoot);
    });
    search(document);
    return tooltips.map((root) => [root.textContent, root.querySelectorAll("script").length])"""
"""Script that returns the text of all tooltips and the number of scripts in each."""


def start_driver(downloads):
    """Start the browser, or skip the test if there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    chromedriver = shutil.which("chromedriver")
    if not (chromium and chromedriver) and os.environ.get("SPACEX_BROWSER") != "required":
        pytest.skip("no browser: apt install chromium chromium-driver; SPACEX_BROWSER=required pytest tests/report")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(chromedriver))


def until(condition, seconds=20.0):
    """Wait until a condition is true and return its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("the condition did not become true")


def model(name):
    """JavaScript expression of the Bokeh model with this name."""
    return f"Bokeh.documents.map((d) => d.get_model_by_name('{name}')).find(Boolean)"


class Page:
    """An open report."""

    def __init__(self, driver, downloads):
        self.driver, self.downloads, self.n_visits = driver, downloads, 0
        self.js = driver.execute_script

    def open(self, file, fragment=""):
        """Open a file and wait until its script has finished.

        The query differs each time: the browser does not reload a page if only the fragment differs.
        """
        self.n_visits += 1
        self.driver.get(f"{file.as_uri()}?{self.n_visits}{fragment}")
        until(lambda: self.js("return document.documentElement.dataset.complete"))
        return self

    def element(self, name):
        return self.driver.find_element("id", name)

    def text(self, name):
        return self.element(name).text

    def wait_for_text(self, name, text):
        until(lambda: text in self.text(name))

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def first(self, selector):
        return self.driver.find_element("css selector", selector)

    def numbers(self, selector):
        return [float(element.text) for element in self.all(selector)]

    def genes(self, selector):
        """Names of the genes below an element."""
        return [element.text for element in self.all(f"{selector} em")]

    def search(self, text, expected=None):
        """Search a gene and wait until it is selected."""
        from selenium.webdriver.common.keys import Keys

        self.element("search").clear()
        self.element("search").send_keys(text, Keys.ENTER)
        until(lambda: self.text("gene-name") == (expected or text))

    def select_option(self, name, text):
        from selenium.webdriver.support.ui import Select

        Select(self.element(name)).select_by_visible_text(text)

    def selected_units(self):
        return self.js(f"return {model('units')}.selected.indices")

    def activate_tool(self, tool):
        self.js(
            f"""const {{toolbar}} = {model("tissue plot")};
            if (toolbar.gestures.pan.active) toolbar.gestures.pan.active.active = false;
            toolbar.tools.find((tool) => tool.type === "{tool}").active = true"""
        )

    def drag(self, points):
        """Press the mouse at the first of points (x, y) in the window, move it over the others and release it."""
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        actions = ActionBuilder(self.driver, duration=60)
        pointer = actions.pointer_action
        pointer.move_to_location(*map(round, points[0])).pointer_down()
        for point in points[1:]:
            pointer.move_to_location(*map(round, point))
        pointer.pointer_up()
        actions.perform()

    def tooltip(self, text):
        """Wait for a tooltip with this text and return the number of scripts in it."""
        return until(lambda: [tooltip for tooltip in self.js(TOOLTIPS) if text in tooltip[0]])[0][1]

    def download(self, button, name):
        """Click a button and read the CSV file that it offers."""
        button.click()
        path = self.downloads / name
        until(path.exists)
        table = pd.read_csv(path)
        path.unlink()
        return table

    def emulate(self, method, **parameters):
        self.driver.execute_cdp_cmd(f"Emulation.{method}", parameters)

    def console_errors(self):
        return [entry for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
