"""A browser for all tests of the report."""

import pytest
from tests.report.browser import Page, start_driver


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    downloads = tmp_path_factory.mktemp("downloads")
    driver = start_driver(downloads)
    yield Page(driver, downloads)
    driver.quit()
