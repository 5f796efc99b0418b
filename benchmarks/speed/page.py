"""Size of the report, and its loading and response times in a browser.

    python -m benchmarks.speed.page [--data DIR] [--genes 8500] [--spots 3460] [--repeats 3]

The section is simulated, or dlpfc_151676 with --data; all results that the report shows are computed first. "build s"
is the time to write the report without the UMAP of the genes, which takes "layout s". In milliseconds after navigation
in Chromium: "first paint", "ready" (the first gene is drawn on the tissue), "complete" (the tables too). "gene ms" is
the selection of a gene by search, "pattern ms" the search for genes that follow selected spots, the first time (all
maps are unpacked) and again. Medians over repeats. Requires chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np

import spacex as sx
from spacex.report import write_report

SWITCHES = (
    "headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking",
    "disable-dev-shm-usage", "window-size=1280,900",
)  # fmt: skip
SPOTS = "Bokeh.documents.map((d) => d.get_model_by_name('units')).find(Boolean)"


def section(options: argparse.Namespace) -> ad.AnnData:
    """Return a section with all results that the report shows."""
    if options.data:
        adata = ad.read_h5ad(options.data / "dlpfc_151676.h5ad")
    else:
        adata = sx.datasets.simulate_section(options.genes, options.spots, n_modules=24, n_domains=7)
    sx.tl.embed(adata, progress=False)
    sx.tl.svg(adata)
    sx.tl.interactions(adata)
    sx.tl.domains(adata, n_domains=7)
    return adata


def visit(page: Path, genes: list[str]) -> dict[str, float]:
    """Milliseconds of one visit in a new browser."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_script_timeout(120)
        driver.get(page.as_uri())
        when(driver, "document.documentElement.dataset.complete")
        paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        milliseconds = {"first paint": driver.execute_script(f"return {paint}")}
        for name in ("ready", "complete"):
            milliseconds[name] = float(driver.execute_script(f"return document.documentElement.dataset.{name}"))
        milliseconds["gene ms"] = np.median([change(driver, gene) for gene in genes])
        for name, half in (("pattern ms", 0), ("pattern again ms", 1)):
            milliseconds[name] = pattern(driver, half)
        return milliseconds
    finally:
        driver.quit()


def when(driver: Any, condition: str, action: str = "") -> float:
    """Milliseconds from an action in the report until a condition holds and is drawn."""
    return float(driver.execute_async_script(
        f"const [done] = arguments, t = performance.now(); {action};"
        f"const look = () => ({condition}) ? requestAnimationFrame(() => done(performance.now() - t)) :"
        "setTimeout(look, 1); look()"
    ))  # fmt: skip


def change(driver: Any, gene: str) -> float:
    """Milliseconds to draw another gene after a search."""
    search = (
        f"const s = document.getElementById('search'); s.value = '{gene}'; s.dispatchEvent(new Event('input'));"
        "s.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', cancelable: true}))"
    )
    return when(driver, f"{SPOTS}.data.value[0].startsWith('{gene}:')", search)


def pattern(driver: Any, half: int) -> float:
    """Milliseconds to list the genes that follow half of the spots."""
    choose = (
        f"const s = {SPOTS}, n = s.data.x.length; document.getElementById('pattern-result').hidden = true;"
        f"s.selected.indices = Array.from({{length: n >> 1}}, (_, i) => i + {half} * (n >> 1))"
    )
    return when(driver, "!document.getElementById('pattern-result').hidden", choose)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.page", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, help="folder with dlpfc_151676.h5ad")
    parser.add_argument("--genes", type=int, default=8500)
    parser.add_argument("--spots", type=int, default=3460)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    adata = section(options)
    start = time.perf_counter()
    adata.varm["X_spacex_umap"] = sx.get.gene_layout(adata)
    laid_out = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_report(adata, page, title="section")
        built = time.perf_counter()
        print(f"{adata.n_vars} genes x {adata.n_obs} spots: {page.stat().st_size / 1e6:.1f} MB")
        print(f"layout s {laid_out - start:.1f}, build s {built - laid_out:.1f}")
        genes = [str(name) for name in adata.var_names[[10, 500, 1000, 2000, 3000]] if str(name).isalnum()]
        visits = [visit(page, genes) for _ in range(options.repeats)]
    for name in visits[0]:
        print(f"{name:>18} {np.median([v[name] for v in visits]):8.0f}")


if __name__ == "__main__":
    main()
