"""The page: what is on it, and writing it so that a file is there whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from anndata import AnnData
from jinja2 import Environment, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from matplotlib.colors import to_hex

from spacex import _adata
from spacex._infra.atomic_write import atomic_file
from spacex._infra.errors import InputError
from spacex._infra.validation import check_name, check_output_file
from spacex.get import (
    ModuleMaps,
    SpotMap,
    gene_layout,
    gene_table,
    module_maps,
    module_table,
    module_terms,
    spot_map,
    training_history,
)
from spacex.pl.colors import SEQUENTIAL, robust_norm
from spacex.report._figures import map_uri, svg_chart, training_chart
from spacex.report._overview import ALPHA, key_figures, parameters_of, seconds_of, warnings_of
from spacex.report._payload import payload
from spacex.report._plots import gene_plot, library_script, tissue_plot

N_GENES = 8
TILE = 190
FLAT, BROAD, TALL = 2.2, 0.8, 0.6
"""Width of the tissue divided by its height above or below which the page is laid out for it."""

SCRIPTS = ("data", "pattern", "tissue", "parts", "search", "table", "static", "views", "main")


def write_report(
    adata: AnnData,
    path: str | os.PathLike[str],
    *,
    enrichment: pd.DataFrame | None = None,
    title: str | None = None,
) -> None:
    """Write the report: one HTML file that needs nothing else, neither other files nor a network.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`; what other tools wrote is shown where it is there, and so is
        ``uns["spacex"]["run"]`` (``input``, ``seconds`` by stage, ``peak_memory_mb``), which the command line writes.
    path
        File to write. It is replaced only by a complete one.
    enrichment
        Table of `spacex.tl.enrich`; by default ``uns["spacex"]["enrichment"]``, where it is there.
    title
        Name of the section; by default that of the input file.

    Raises
    ------
    InputError
        If there is no embedding, or the folder of `path` does not exist.

    Examples
    --------
    >>> import tempfile, pathlib, spacex as sx
    >>> from spacex.report import write_report
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=2, n_domains=3)
    >>> model = sx.tl.embed(adata, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    >>> adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2]  # spares the UMAP
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(adata, f"{folder}/report.html")
    ...     pathlib.Path(folder, "report.html").read_text()[:15]
    '<!doctype html>'
    """
    _adata.prepare_adata(adata)
    target = check_output_file(path, name="path", example="report.html")
    if target.is_file() and target.stat().st_size and not _is_page(target):
        raise InputError(f"path='{path}' is there already and no page; pass another name, such as 'report.html'")
    page = build(adata, enrichment=enrichment, title=title)
    with atomic_file(target) as file:
        file.write(page)


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(200).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def build(adata: AnnData, *, enrichment: pd.DataFrame | None = None, title: str | None = None) -> str:
    """The page as text; see `write_report`.

    Examples
    --------
    >>> import spacex as sx
    >>> from spacex.report import build
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=2)
    >>> model = sx.tl.embed(adata, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    >>> adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2]
    >>> "default-src 'none'" in build(adata, title="my section")
    True
    """
    check_name(title, name="title")
    adata = _adata.subset_to_tissue(adata)
    _adata.read_embedding(adata)
    _adata.check_unique_gene_names(adata)
    run = _adata.read_uns_entry(adata, "run")
    if enrichment is None:
        noted = _adata.read_uns(adata).get("enrichment")
        enrichment = noted if isinstance(noted, pd.DataFrame) else None
    genes, modules = gene_table(adata), module_table(adata, enrichment)
    cards = module_maps(adata, list(modules["module"]), n_genes=N_GENES)
    tissue = spot_map(adata, resolution=TILE)
    height, width = tissue.index.shape
    context: dict[str, Any] = {
        "title": str(title or "") or run.get("input") or "section",
        "figures": key_figures(adata, genes),
        "notes": warnings_of(adata),
        "modules": _modules(adata, modules, cards, enrichment, tissue),
        "map_width": width,
        "map_height": height,
        "shape": _shape(tissue.aspect, several=bool(tissue.labels)),
        "n_mean": ModuleMaps.MAX_MEAN_GENES,
        "enriched": enrichment is not None,
        "svg_chart": svg_chart(adata, alpha=ALPHA) if "svg_score" in genes else None,
        "domains": _adata.keys.DOMAIN in adata.obs,
        "partners": _adata.keys.INTERACTIONS in adata.varp,
        "training": training_chart(adata, len(training_history(adata))) if training_history(adata) else None,
        "seconds": seconds_of(run),
        "peak": run.get("peak_memory_mb"),
        "parameters": parameters_of(adata),
        "versions": _adata.read_uns_entry(adata, "versions"),
        "alpha": ALPHA,
        **_interactive(adata, genes, cards),
        **_resources(),
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(p=_p)
    return environment.from_string(_resource("page.html.j2")).render(context)


def _interactive(adata: AnnData, genes: pd.DataFrame, cards: list[ModuleMaps]) -> dict[str, Any]:
    """What the page's script works on."""
    made = payload(adata, genes, cards)
    labeled = genes.assign(gene=_adata.read_gene_names(adata).labels)
    palette = [to_hex(color) for color in mpl.colormaps[SEQUENTIAL](np.linspace(0, 1, 256))]
    return {
        "payload": htmlsafe_json_dumps({**made.notes, "palette": palette}),
        "blocks": {name.replace(" ", "-"): text for name, text in made.blocks.packed.items()},
        "gene_plot": htmlsafe_json_dumps(gene_plot(gene_layout(adata), labeled, made.notes["modules"])),
        "tissue_plot": htmlsafe_json_dumps(tissue_plot(made.places)),
        "aspect": made.places.aspect,
    }


def _shape(aspect: float, *, several: bool) -> str:
    """The class of the page, by which it makes room for maps."""
    return "flat" if aspect > FLAT else "tall" if aspect < TALL else "several" if several and aspect > BROAD else ""


def _resources() -> dict[str, Any]:
    """Style and scripts, and the hashes by which a browser knows that they may run."""
    own = '"use strict";\n(() => {\n' + "\n".join(_resource(f"js/{name}.js") for name in SCRIPTS) + "})();\n"
    library = library_script().replace("</script", "<\\/script")
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (library, own)]
    style = _resource("page.css")
    safe = {"style": style, "library": library, "script": own}  # the package's own files: nothing of a section
    policy = " ".join(f"'sha256-{value}'" for value in hashes)
    marked = {name: Markup(text) for name, text in safe.items()}  # nosec B704
    return {"policy": policy, **marked}


def _resource(name: str) -> str:
    return files("spacex.report").joinpath(name).read_text(encoding="utf-8")


def _p(value: float) -> str:
    """A p-value in three digits; a missing one as a dash."""
    if not np.isfinite(value):
        return "–"
    return "<1e-300" if value < 1e-300 else f"{value:.2g}"


def _modules(
    adata: AnnData,
    table: pd.DataFrame,
    cards: list[ModuleMaps],
    enrichment: pd.DataFrame | None,
    tissue: SpotMap,
) -> list[dict[str, Any]]:
    """What the cards and the table of modules show."""
    shown = []
    for row, card in zip(table.to_dict("records"), cards, strict=True):
        norm = robust_norm(card.maps)
        terms = module_terms(enrichment, row["module"]).to_dict("records") if enrichment is not None else []
        shown.append(
            {
                **row,
                "top": str(row.get("top_symbols", row["top_genes"])).split(","),
                "terms": terms,
                "mean": map_uri(tissue, card.mean, robust_norm(card.mean)),
                "maps": [
                    (label, gene, map_uri(tissue, v, norm))
                    for label, gene, v in zip(card.labels, card.genes.tolist(), card.maps, strict=False)
                ],
            }
        )
    return shown
