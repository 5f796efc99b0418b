"""Render the report as one HTML page and write it to a file."""

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
from spacex.report._overview import (
    ALPHA,
    key_figures,
    parameter_texts,
    reference_text,
    stage_times,
    unassigned_text,
    warning_texts,
)
from spacex.report._payload import build_payload, has_cofunction
from spacex.report._plots import gene_plot, library_script, tissue_plot

N_GENES = 8
"""Number of gene maps per module."""

MAP_RESOLUTION = 190
"""Resolution of the module maps; see `spacex.get.spot_map`."""

FLAT_ASPECT, BROAD_ASPECT, TALL_ASPECT = 2.2, 0.8, 0.6
"""Limits of the width of the tissue divided by its height for the layouts of the report."""

SCRIPTS = ("arrays", "pattern", "tissue", "elements", "search", "gene_table", "static_tables", "plots", "main")


def write_report(
    adata: AnnData,
    path: str | os.PathLike[str],
    *,
    enrichment: pd.DataFrame | None = None,
    title: str | None = None,
) -> None:
    """Write the report as one self-contained HTML file, which needs neither other files nor a network.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`. Results of other tools are shown if present, and so is
        ``uns["spacex"]["run"]`` (``input``, ``seconds`` by stage, ``peak_memory_mb``), which the command line writes.
    path
        File to write. An existing report is replaced only when the new one is complete.
    enrichment
        Table of `spacex.tl.enrich`; by default ``uns["spacex"]["enrichment"]``, if present.
    title
        Name of the section; by default the name of the input file.

    Raises
    ------
    InputError
        If there is no embedding, the folder of `path` does not exist, or `path` is a file that is not an HTML page.

    Examples
    --------
    >>> import tempfile, pathlib, spacex as sx
    >>> from spacex.report import write_report
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=2, n_domains=3)
    >>> model = sx.tl.embed(adata, config=sx.Config(epochs=0, boost_rounds=0), progress=False)
    >>> adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2]  # instead of a UMAP
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(adata, f"{folder}/report.html")
    ...     pathlib.Path(folder, "report.html").read_text()[:15]
    '<!doctype html>'
    """
    _adata.prepare_adata(adata)
    target = check_output_file(path, name="path", example="report.html")
    if target.is_file() and target.stat().st_size and not _is_html(target):
        raise InputError(f"path='{path}' exists and is not an HTML page; pass another name, such as 'report.html'")
    page = build(adata, enrichment=enrichment, title=title)
    with atomic_file(target) as file:
        file.write(page)


def _is_html(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(200).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def build(adata: AnnData, *, enrichment: pd.DataFrame | None = None, title: str | None = None) -> str:
    """Return the report as text; see `write_report`.

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
        stored = _adata.read_uns(adata).get("enrichment")
        enrichment = stored if isinstance(stored, pd.DataFrame) else None
    genes, modules = gene_table(adata), module_table(adata, enrichment)
    maps = module_maps(adata, list(modules["module"]), n_genes=N_GENES)
    tissue = spot_map(adata, resolution=MAP_RESOLUTION)
    height, width = tissue.index.shape
    n_stages = len(training_history(adata))
    context: dict[str, Any] = {
        "title": str(title or "") or run.get("input") or "section",
        "figures": key_figures(adata, genes),
        "warnings": warning_texts(adata),
        "unassigned": unassigned_text(adata),
        "modules": _module_cards(modules, maps, enrichment, tissue, _adata.unstable_modules(adata)),
        "has_stability": "stable" in modules,
        "min_jaccard": _adata.MIN_STABLE_JACCARD,
        "map_width": width,
        "map_height": height,
        "layout": _layout(tissue.aspect, several=bool(tissue.labels)),
        "n_mean": ModuleMaps.MAX_MEAN_GENES,
        "has_terms": enrichment is not None,
        "svg_chart": svg_chart(adata, alpha=ALPHA) if "svg_score" in genes else None,
        "has_domains": _adata.keys.DOMAIN in adata.obs,
        "here": "these sections" if tissue.labels else "this section",
        "has_cofunction": has_cofunction(adata),
        "reference": reference_text(adata),
        "has_interactions": _adata.keys.INTERACTIONS in adata.varp,
        "training_chart": training_chart(adata, n_stages) if n_stages else None,
        "stages": stage_times(run),
        "peak_memory_mb": run.get("peak_memory_mb"),
        "parameters": parameter_texts(adata),
        "versions": _adata.read_uns_entry(adata, "versions"),
        "alpha": ALPHA,
        **_interactive(adata, genes, maps),
        **_resources(),
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(pvalue=_format_pvalue, index=_format_index)
    return environment.from_string(_resource("page.html.j2")).render(context)


def _interactive(adata: AnnData, genes: pd.DataFrame, maps: list[ModuleMaps]) -> dict[str, Any]:
    """Return the data of the script and of the two plots."""
    payload = build_payload(adata, genes, maps)
    labeled_genes = genes.assign(gene=_adata.read_gene_names(adata).labels)
    colormap = [to_hex(color) for color in mpl.colormaps[SEQUENTIAL](np.linspace(0, 1, 256))]
    return {
        "metadata": htmlsafe_json_dumps({**payload.metadata, "colormap": colormap}),
        "arrays": {name.replace(" ", "-"): text for name, text in payload.arrays.packed.items()},
        "gene_plot": htmlsafe_json_dumps(gene_plot(gene_layout(adata), labeled_genes, payload.metadata["modules"])),
        "tissue_plot": htmlsafe_json_dumps(tissue_plot(payload.units)),
        "aspect": payload.units.aspect,
    }


def _layout(aspect: float, *, several: bool) -> str:
    """Return the CSS class of the report for the shape of the tissue and one or several sections."""
    if aspect > FLAT_ASPECT:
        return "flat"
    if aspect < TALL_ASPECT:
        return "tall"
    return "several" if several and aspect > BROAD_ASPECT else ""


def _resources() -> dict[str, Any]:
    """Return style, scripts and the hashes of the scripts, which the content security policy allows."""
    script = '"use strict";\n(() => {\n' + "\n".join(_resource(f"js/{name}.js") for name in SCRIPTS) + "})();\n"
    library = library_script().replace("</script", "<\\/script")
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (library, script)]
    # Files of installed packages, without data of the section: safe as markup.
    files_of_package = {"style": _resource("page.css"), "library": library, "script": script}
    markup = {name: Markup(text) for name, text in files_of_package.items()}  # nosec B704
    return {"policy": " ".join(f"'sha256-{digest}'" for digest in hashes), **markup}


def _resource(name: str) -> str:
    return files("spacex.report").joinpath(name).read_text(encoding="utf-8")


def _format_pvalue(value: float) -> str:
    if not np.isfinite(value):
        return "–"
    return "<1e-300" if value < 1e-300 else f"{value:.2g}"


def _format_index(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"


def _module_cards(
    table: pd.DataFrame, modules: list[ModuleMaps], enrichment: pd.DataFrame | None, tissue: SpotMap, unstable: set[str]
) -> list[dict[str, Any]]:
    """Return the rows of the module table with maps as images and enriched terms."""
    cards = []
    for row, module in zip(table.to_dict("records"), modules, strict=True):
        norm = robust_norm(module.maps)
        uris = [map_uri(tissue, values, norm) for values in module.maps]
        cards.append(
            {
                **row,
                "is_unstable": row["module"] in unstable,
                "top": str(row.get("top_symbols", row["top_genes"])).split(","),
                "terms": module_terms(enrichment, row["module"]).to_dict("records") if enrichment is not None else [],
                "mean": map_uri(tissue, module.mean, robust_norm(module.mean)),
                "maps": list(zip(module.labels, module.genes.tolist()[: len(uris)], uris, strict=True)),
            }
        )
    return cards
