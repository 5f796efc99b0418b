"""The page: what is on it, and writing it so that a file is there whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .. import _slots
from .._check import InputError
from ..pl._colors import categories_of, category_colors
from ..pl._maps import N_MEAN, gene_values, module_maps, robust_norm
from ..pl._svg import ranked_genes
from ..pl._tissue import tissue_of
from ..pl._training import stages_of
from ._figures import category_uri, embedding_chart, map_uri, svg_chart, training_chart
from ._tables import gene_table, module_table, terms_of

ALPHA = 0.05
N_GENES = 8
N_SVG = 50
TILE = 190
KINDS = {"hex": "hexagonal array", "square": "square array", "bins": "free positions, binned"}


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
    target = Path(path).expanduser()
    if not target.parent.is_dir():
        raise InputError(f"path='{path}': the folder '{target.parent}' does not exist; create it first")
    if target.is_dir():
        raise InputError(f"path='{path}' is a folder; pass the name of a file, such as '{target / 'report.html'}'")
    page = build(adata, enrichment=enrichment, title=title)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp makes files that nobody else may read
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


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
    _slots.read_embedding(adata)
    run = _slots.noted(adata, "run")
    if enrichment is None:
        noted = adata.uns.get(_slots.KEY, {}).get("enrichment")
        enrichment = noted if isinstance(noted, pd.DataFrame) else None
    genes = gene_table(adata)
    tissue = tissue_of(adata, resolution=TILE)
    has_svg = "svg_score" in genes
    script = _resource("page.js")
    context: dict[str, Any] = {
        "title": title or run.get("input") or "section",
        "style": Markup(_resource("page.css")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "aspect": f"{tissue.index.shape[1]} / {tissue.index.shape[0]}",
        "figures": _key_figures(adata, genes),
        "notes": _notes(adata),
        "modules": _modules(adata, enrichment, tissue),
        "n_mean": N_MEAN,
        "enriched": enrichment is not None,
        "embedding": embedding_chart(adata, ["module", *(["svg"] if has_svg else []), "expression"]),
        "svg": _svg(adata, genes, tissue) if has_svg else None,
        "svg_chart": svg_chart(adata, alpha=ALPHA) if has_svg else None,
        "domains": _domains(adata) if _slots.DOMAIN in adata.obs else None,
        "training": training_chart(adata, len(stages_of(adata))) if stages_of(adata) else None,
        "seconds": _seconds(run),
        "peak": run.get("peak_memory_mb"),
        "parameters": _parameters(adata),
        "versions": _slots.noted(adata, "versions"),
        "alpha": ALPHA,
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(p=_p, number=_number)
    return environment.from_string(_resource("page.html.j2")).render(context)


def _resource(name: str) -> str:
    return files("spacex.report").joinpath(name).read_text(encoding="utf-8")


def _p(value: float) -> str:
    """A p-value in three digits; a missing one as a dash."""
    if not np.isfinite(value):
        return "–"
    return "<1e-300" if value < 1e-300 else f"{value:.2g}"


def _number(value: float) -> str:
    return "–" if not np.isfinite(value) else f"{value:.3g}"


def _key_figures(adata: AnnData, genes: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Name, value and a remark of each figure at the top."""
    grid = _slots.noted(adata, "grid")
    kind = str(np.atleast_1d(grid["kind"])[0])
    sections = len(np.atleast_1d(grid["section"]))
    shape = f"{np.atleast_1d(grid['height'])[0]} × {np.atleast_1d(grid['width'])[0]} pixels"
    embedded = int(genes["strength"].notna().sum())
    assigned = int(((genes["module"] != _slots.UNASSIGNED) & genes["strength"].notna()).sum())
    n_modules = genes.loc[genes["module"] != _slots.UNASSIGNED, "module"].nunique()
    figures = [
        (
            "spots",
            f"{adata.n_obs:,}",
            KINDS.get(kind, kind) + (f", {sections} sections" if sections > 1 else f", {shape}"),
        ),
        (
            "genes",
            f"{adata.n_vars:,}",
            f"{embedded:,} embedded, {adata.n_vars - embedded:,} with too few counts",
        ),
        (
            "modules",
            f"{n_modules}",
            f"{assigned:,} genes in them, {embedded - assigned:,} without a clear pattern",
        ),
    ]
    if "svg_qvalue" in genes:
        tested = int(genes["svg_pvalue"].notna().sum())
        found = int((genes["svg_qvalue"] < ALPHA).sum())
        figures.append(("spatially variable genes", f"{found:,}", f"q < {ALPHA:g}, of {tested:,} tested"))
    if _slots.DOMAIN in adata.obs:
        figures.append(("domains", f"{adata.obs[_slots.DOMAIN].nunique()}", "of the tissue"))
    return figures


def _notes(adata: AnnData) -> list[str]:
    """What a reader must know before believing the page."""
    notes = []
    if not bool(_slots.noted(adata, "embed").get("is_count", True)):
        notes.append(
            "The input does not hold counts. It was treated as intensities: z-scores take the place of Pearson "
            "residuals, and p-values rest on weaker ground."
        )
    history = _slots.noted(adata, "history").get("pretrain", {})
    correlation, retrieval = (np.atleast_1d(history.get(name, ())) for name in ("correlation", "retrieval"))
    gain = correlation / correlation[:1] + retrieval / retrieval[:1] - 2 if len(correlation) else np.zeros(0)
    if len(gain) > 1 and gain[1:].max() <= 0:
        notes.append("Pre-training gained nothing on the held-out counts: the embedding is that of the linear start.")
    return notes


def _modules(adata: AnnData, enrichment: pd.DataFrame | None, tissue: Any) -> list[dict[str, Any]]:
    """What the cards and the table of modules show."""
    table = module_table(adata, enrichment)
    cards = module_maps(adata, list(table["module"]), n_genes=N_GENES)
    shown = []
    for row, card in zip(table.to_dict("records"), cards, strict=True):
        norm = robust_norm(card.maps)
        terms = terms_of(enrichment, row["module"]).to_dict("records") if enrichment is not None else []
        shown.append(
            {
                **row,
                "top": str(row["top_genes"]).split(",")[:6],
                "terms": terms,
                "mean": map_uri(tissue, card.mean, robust_norm(card.mean)),
                "maps": [(gene, map_uri(tissue, v, norm)) for gene, v in zip(card.genes, card.maps, strict=False)],
            }
        )
    return shown


def _svg(adata: AnnData, genes: pd.DataFrame, tissue: Any) -> list[dict[str, Any]]:
    """The genes that vary most over the tissue, each with its map."""
    top = ranked_genes(adata)[:N_SVG]
    if not top:
        return []
    values, _ = gene_values(adata, top)
    rows = genes.set_index("gene", drop=False).loc[top].to_dict("records")
    return [{**row, "map": map_uri(tissue, v, robust_norm(v, zero=True))} for row, v in zip(rows, values, strict=True)]


def _domains(adata: AnnData) -> dict[str, Any]:
    labels = categories_of(adata.obs[_slots.DOMAIN])
    colors = category_colors(list(labels.categories))
    codes = np.asarray(labels.codes)
    sizes = np.bincount(codes[codes >= 0], minlength=len(colors))
    return {
        "map": category_uri(tissue_of(adata, resolution=560), codes, list(colors.values())),
        "legend": [(name, color, int(n)) for (name, color), n in zip(colors.items(), sizes, strict=True)],
        "none": int((codes < 0).sum()),
    }


def _seconds(run: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Stage, seconds and share of the longest stage."""
    seconds = {str(stage): float(value) for stage, value in dict(run.get("seconds", {})).items()}
    longest = max(seconds.values(), default=1.0) or 1.0
    return [(stage, value, value / longest) for stage, value in seconds.items()]


def _parameters(adata: AnnData) -> list[tuple[str, str]]:
    """Every setting that was used, the choices of the call before the numbers of the method."""
    found = _slots.noted(adata, "embed")  # such as the number of modules, where "auto" was asked for
    merged = {**found, **_slots.noted(adata, "parameters"), **found}
    return [(name, _plain(value)) for name, value in merged.items() if _plain(value)]


def _plain(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return ", ".join(map(str, value.tolist())) if value.ndim else str(value.item())
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.6g}"
    return str(value)
