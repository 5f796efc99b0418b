"""Colours of categories, chosen to differ under deuteranopia and protanopia too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from spacex._adata.keys import UNASSIGNED
from spacex._infra.errors import InputError, safe_repr

# Okabe & Ito (2008) without black, then colours farthest from those before them in Oklab, for normal vision and for
# both colour blindnesses as simulated by Machado et al. (2009).
OKABE_ITO_EXTENDED = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#790000",
    "#183D6D", "#AA3118", "#6186F3", "#79556D", "#CEE7B6", "#0049AA", "#CEDBFF", "#79C279",
)  # fmt: skip
GRAY = "#bfbfbf"
SEQUENTIAL = "viridis"

Palette = str | Sequence[str] | Mapping[str, str] | None


def category_colors(categories: Sequence[str], palette: Palette = None) -> dict[str, str]:
    """Colour of each category; grey for unassigned ones. Beyond the colours of the palette they repeat."""
    names = [str(name) for name in categories]
    if isinstance(palette, Mapping):
        missing = [name for name in names if name not in palette and name != UNASSIGNED]
        if missing:
            raise InputError(f"palette has no colour for {', '.join(missing)}; pass a colour for every category")
        return {name: to_hex(palette.get(name, GRAY)).lower() for name in names}
    try:
        colors = _colors_of(palette, len(names))
        chosen = [name for name in names if name != UNASSIGNED]
        return {name: to_hex(colors[i % len(colors)]).lower() for i, name in enumerate(chosen)} | {
            name: GRAY for name in names if name == UNASSIGNED
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"palette={safe_repr(palette)} is not allowed; pass the name of a colour map, a list of colours or a dict"
        ) from error


def matched_colors(
    labels: pd.Categorical,
    reference: pd.Categorical,
    colors: Mapping[str, str],
    spare: Sequence[str] = OKABE_ITO_EXTENDED,
) -> dict[str, str]:
    """Colour of each category of `labels`: that of the reference category it shares most spots with, one to one.

    The assignment maximises the spots in common (Kuhn 1955); categories that have no partner take spare colours.
    """
    from scipy.optimize import linear_sum_assignment

    both = (labels.codes >= 0) & (reference.codes >= 0)
    common = np.zeros((len(labels.categories), len(reference.categories)))
    np.add.at(common, (labels.codes[both], reference.codes[both]), 1)
    rows, columns = linear_sum_assignment(-common)
    matched = {labels.categories[i]: colors[str(reference.categories[j])] for i, j in zip(rows, columns, strict=True)}
    free = [color.lower() for color in spare if color.lower() not in set(colors.values())] or list(spare)
    others = [name for name in labels.categories if name not in matched]
    taken = {name: to_hex(free[i % len(free)]).lower() for i, name in enumerate(others)}
    return {str(name): (matched | taken)[name] for name in labels.categories}


def _colors_of(palette: str | Sequence[str] | None, n: int) -> Sequence:
    if palette is None:
        return OKABE_ITO_EXTENDED
    if isinstance(palette, str):
        cmap = colormaps[palette]
        return getattr(cmap, "colors", None) or list(cmap(np.linspace(0, 1, n)))
    if not len(palette):
        raise ValueError("no colours")
    return palette


def categories_of(column: pd.Series) -> pd.Categorical:
    """A column as text categories, numbers in the order of numbers, missing values as missing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        text = column.cat.rename_categories([str(category) for category in column.cat.categories])
        return text.cat.remove_unused_categories().array
    values = sorted(column.dropna().unique())
    text = column.map(lambda value: str(value), na_action="ignore")
    return pd.Categorical(text, categories=[str(value) for value in values])
