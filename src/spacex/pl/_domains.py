"""Tissue domains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import Patch

from spacex import _adata, get
from spacex._infra.errors import InputError
from spacex._infra.validation import check_bool, check_name, check_number
from spacex.pl._gene_images import color_bar, map_size
from spacex.pl._panels import AxesLike, Path, check_drawing, panels, rows_of_boxes, save_or_show, title
from spacex.pl._tissue import draw_categories, draw_values
from spacex.pl.colors import SEQUENTIAL, Palette, category_colors, matched_colors

OPACITY_OVER_IMAGE = 0.6
MAX_LEGEND = 30


def domains(
    adata: AnnData,
    *,
    reference: str | None = None,
    probability: bool = False,
    cmap: str | Colormap = SEQUENTIAL,
    palette: Palette = None,
    image: bool = True,
    alpha: float | None = None,
    library_key: str | None = None,
    ax: AxesLike = None,
    show: bool | None = None,
    save: Path | None = None,
) -> Axes | list[Axes]:
    """Draw the tissue colored by domain, and by an annotation next to it.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.domains`.
    reference
        Column of ``obs`` to draw next to the domains, such as layers annotated by an expert. Unless `palette` is a
        dict, domains are matched to its labels one to one by the number of shared spots and have their colors.
    probability
        Whether to draw ``obs["spacex_domain_prob"]`` too.
    cmap
        Color map of the probability.
    palette
        Name of a color map, list of colors, or dict from category to color.
    image
        Whether to draw over the photograph of the tissue in ``uns["spatial"]``, if it has one; with several sections,
        its libraries must have the names of the sections.
    alpha
        Opacity of the domains and labels, from 0 to 1; by default 0.6 over a photograph and 1 without.
    library_key
        Column of ``obs`` that names the sections, which are drawn in rows and columns of one map; by default the column
        that `spacex.pp.rasterize` used.
    ax
        Axes to draw on: one, or one each for the domains, the `reference` and the `probability`.
    show, save
        Whether to open the window of the figure; file to save the figure to.

    Returns
    -------
    The Axes, or a list of them in that order; `ax` itself if one Axes was passed.

    Raises
    ------
    InputError
        If there are no domains or probabilities, `reference` is not a column of ``obs``, or `alpha` is not in [0, 1].

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> sx.tl.domains(adata, n_domains=3)
    >>> [ax.get_title() for ax in sx.pl.domains(adata, reference="domain")]
    ['SpaCEX domains', 'domain']
    """
    _adata.prepare_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    check_drawing(ax, show, save, cmap=cmap, image=image, library_key=library_key)
    if _adata.keys.DOMAIN not in adata.obs:
        raise InputError('the spots have no domains yet: obs["spacex_domain"] is missing; call sx.tl.domains(adata)')
    check_name(reference, name="reference")
    probability = check_bool(probability, name="probability")
    if reference is not None and reference not in adata.obs:
        raise InputError(f"reference={reference!r} is not a column of adata.obs; pass one with labels of the spots")
    if probability and _adata.keys.DOMAIN_PROB not in adata.obs:
        raise InputError(f'obs["{_adata.keys.DOMAIN_PROB}"] is missing; call sx.tl.domains(adata)')
    columns = [_adata.keys.DOMAIN] + ([reference] if reference is not None else [])
    if alpha is not None:
        alpha = check_number(alpha, name="alpha", at_least=0.0, at_most=1.0)
    tissue = get.spot_map(adata, library_key=library_key, image=image)
    alpha = alpha if alpha is not None else 1.0 if tissue.image is None else OPACITY_OVER_IMAGE
    width, height = map_size(tissue.aspect, 3.6)
    boxes, size = rows_of_boxes(
        len(columns) + probability, columns=3, width=width, height=height, gap=(1.2, 0.3), margin=(0.1, 0.1, 1.2, 0.35)
    )
    drawn = panels(ax, boxes, size)
    labels_of = {column: get.spot_categories(adata, column) for column in columns}
    for one, column in zip(drawn, columns, strict=False):
        labels = labels_of[column]
        colors = category_colors(list(labels.categories), palette)
        if reference is not None and column == _adata.keys.DOMAIN and not isinstance(palette, Mapping):
            annotation = labels_of[reference]
            colors = matched_colors(labels, annotation, category_colors(list(annotation.categories), palette))
        draw_categories(one, tissue, np.asarray(labels.codes), list(colors.values()), alpha=alpha)
        _legend(one, labels, colors)
        title(one, "SpaCEX domains" if column == _adata.keys.DOMAIN else column, fontsize=10)
    if probability:
        values = adata.obs[_adata.keys.DOMAIN_PROB].to_numpy(dtype=float)
        picture = draw_values(drawn[-1], tissue, values, cmap=cmap, norm=Normalize(0, 1))
        color_bar(drawn[-1], picture, "probability")
        title(drawn[-1], "probability of the domain", fontsize=10)
    return save_or_show(ax, drawn, show=show, save=save)


def _legend(ax: Axes, labels: pd.Categorical, colors: dict[str, str]) -> None:
    handles = [Patch(color=color, label=name) for name, color in list(colors.items())[:MAX_LEGEND]]
    if (labels.codes < 0).any():
        handles.append(Patch(facecolor="#DDDDDD", label="none"))
    legend = ax.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=7.5,
        handlelength=1.0, handleheight=1.0, ncols=1 if len(handles) <= 15 else 2,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
