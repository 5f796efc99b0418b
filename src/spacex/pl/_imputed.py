"""Imputed genes next to measured genes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from spacex import _adata, get
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_names
from spacex.imputation import match_genes
from spacex.pl._gene_images import draw_gene, map_size
from spacex.pl._panels import MAX_MAPS, AxesLike, Path, check_drawing, panels, rows_of_boxes, save_or_show, title
from spacex.pl.colors import SEQUENTIAL

SIDE = 2.4
KIND_LABELS = {"reference": "in the reference", "imputed": "imputed", "measured": "measured"}


def imputed(
    adata: AnnData,
    genes: str | Sequence[str] | None = None,
    *,
    target: AnnData | None = None,
    reference: AnnData | None = None,
    n_genes: int = 4,
    cmap: str | Colormap = SEQUENTIAL,
    image: bool = False,
    library_key: str | None = None,
    ax: AxesLike = None,
    show: bool | None = None,
    save: Path | None = None,
) -> Axes | list[Axes]:
    """Draw imputed genes: measured in the reference, imputed in the target, measured in the target.

    Parameters
    ----------
    adata
        Result of `spacex.tl.impute`, with coordinates.
    genes
        One gene or several of `adata`, by name or symbol; by default the `n_genes` with the largest reliability.
    target
        The target. Genes that it measures are drawn too, and the title gives their correlation with the imputed values.
    reference
        The reference. Its maps are drawn too if it has coordinates.
    n_genes
        Number of genes if `genes` is None, 500 at most.
    cmap
        Color map; its limits are computed for each map.
    image
        Whether to draw discs over the photograph of the tissue in ``uns["spatial"]``, if it has one.
    library_key
        Column of ``obs`` that names the sections of the target.
    ax
        Axes to draw on: one, or one for each map, gene by gene.
    show, save
        Whether to open the window of the figure; file to save the figure to.

    Returns
    -------
    The Axes, or a list of them, gene by gene; `ax` itself if one Axes was passed.

    Raises
    ------
    InputError
        If `adata` is not a result of `spacex.tl.impute`, a gene is unknown or ambiguous, or coordinates are missing.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> result = sx.tl.impute(adata, adata, genes=["gene0101", "gene0102"], progress=False)
    >>> [ax.get_title() for ax in sx.pl.imputed(result, "gene0101", target=adata)][1]
    'gene0101, measured'
    """
    _adata.prepare_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    check_drawing(ax, show, save, cmap=cmap, image=image, library_key=library_key)
    for name, other in (("target", target), ("reference", reference)):
        if other is not None:
            _adata.prepare_adata(other, name=name)
    target, reference = (other if other is None else _adata.subset_to_tissue(other) for other in (target, reference))
    if "reliability" not in adata.var:
        raise InputError('var["reliability"] is missing; pass the result of sx.tl.impute(target, reference)')
    if genes is None:
        n_genes = check_int(n_genes, name="n_genes", low=1, high=MAX_MAPS)
        genes = list(adata.var["reliability"].sort_values(ascending=False, kind="stable").index[:n_genes])
    names, gene_names = check_names(genes, name="genes"), _adata.read_gene_names(adata)
    missing = [name for name in names if not gene_names.matches(name)]
    if missing or not names:
        what = (
            f"genes: {missing[0]!r} was not imputed{gene_names.suggestion(missing[0])}" if missing else "genes is empty"
        )
        raise InputError(f"{what}; pass names of adata.var_names")
    index = [gene_names.index(name) for name in names]
    sources = [("imputed", adata, get.spot_map(adata, library_key=library_key, resolution=500, image=image))]
    if reference is not None and _adata.has_positions(reference):
        sources.insert(0, ("reference", reference, get.spot_map(reference, resolution=500, image=image)))
    if target is not None:
        sources.append(("measured", target, get.spot_map(target, library_key=library_key, resolution=500, image=image)))
    positions = {kind: _positions_in(source, adata) for kind, source, _ in sources}
    maps = [(gene, *source) for gene in index for source in sources]
    width, height = map_size(max(tissue.aspect for *_, tissue in sources), SIDE)
    boxes, size = rows_of_boxes(
        len(maps), columns=len(sources), width=width, height=height, gap=(0.65, 0.5), margin=(0.1, 0.15, 0.75, 0.45)
    )
    is_measured = [gene in positions[kind] for gene, kind, *_ in maps]  # the boxes of the others stay empty
    maps, boxes = list(compress(maps, is_measured)), list(compress(boxes, is_measured))
    drawn = panels(ax, boxes, size)
    for one, (gene, kind, source, tissue) in zip(drawn, maps, strict=True):
        values, label = _values(source, positions[kind][gene], kind)
        draw_gene(one, tissue, values, label, cmap=cmap, zero=kind != "imputed")
        text = f"{gene_names.labels[gene]}, {KIND_LABELS[kind]}"
        if kind == "imputed":
            text += f"\nreliability {adata.var['reliability'].iloc[gene]:.2f}"
            if target is not None and gene in positions["measured"]:
                text += _correlation(values, _values(target, positions["measured"][gene], "measured")[0])
        title(one, text, fontsize=8.5)
    return save_or_show(ax, drawn, show=show, save=save)


def _positions_in(source: AnnData, imputed: AnnData) -> dict[int, int]:
    """Position of each imputed gene in a data set, for the genes that it has."""
    if source is imputed:
        return {gene: gene for gene in range(source.n_vars)}
    pairs = match_genes(_adata.read_gene_names(imputed), _adata.read_gene_names(source))
    return dict(np.column_stack(pairs).tolist())


def _values(adata: AnnData, gene: int, kind: str) -> tuple[np.ndarray, str]:
    """Values (S,) of a gene and their label."""
    if kind == "imputed":
        entry = _adata.read_uns_entry(adata, "impute", "counts")
        label = "expected counts" if entry["counts"] else f"{entry.get('values', 'log1p')}, imputed"
        return np.asarray(adata.X[:, gene], dtype=float).ravel(), label
    values, label = get.gene_values(adata, [gene])
    return values[0], label


def _correlation(imputed: np.ndarray, measured: np.ndarray) -> str:
    """Text on the correlation of imputed and measured values; empty if either is constant."""
    if not (np.nanstd(measured) > 0 and imputed.std() > 0):
        return ""
    return f", correlation {np.ma.corrcoef(np.ma.masked_invalid(measured), imputed)[0, 1]:.2f}"
