"""Colors of categories and limits of color maps, which `spacex.pl` and `spacex.report` share.

The colors of categories also differ under deuteranopia and protanopia.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_hex

from spacex._adata.keys import UNASSIGNED
from spacex._infra.errors import InputError, safe_repr

# Okabe & Ito (2008) without black, then colors with the largest distance in Oklab to all before them, for normal vision
# and for both types of color blindness as simulated by Machado et al. (2009).
OKABE_ITO_EXTENDED = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#790000",
    "#183D6D", "#AA3118", "#6186F3", "#79556D", "#CEE7B6", "#0049AA", "#CEDBFF", "#79C279",
)  # fmt: skip
GRAY = "#bfbfbf"
SEQUENTIAL = "viridis"

Palette = str | Sequence[str] | Mapping[str, str] | None


def category_colors(categories: Sequence[str], palette: Palette = None) -> dict[str, str]:
    """Color of each category, gray for `"unassigned"`; the colors of the palette repeat if there are more categories.

    Raises
    ------
    InputError
        If a dict lacks a category, or `palette` is not a palette.

    Examples
    --------
    >>> from spacex.pl.colors import category_colors
    >>> category_colors(["0", "1", "unassigned"])
    {'0': '#0072b2', '1': '#e69f00', 'unassigned': '#bfbfbf'}
    """
    names = [str(name) for name in categories]
    if isinstance(palette, Mapping):
        missing = [name for name in names if name not in palette and name != UNASSIGNED]
        if missing:
            raise InputError(f"palette has no color for {', '.join(missing)}; pass a color for every category")
        return {name: to_hex(palette.get(name, GRAY)).lower() for name in names}
    try:
        colors = _palette_colors(palette, len(names))
        chosen = [name for name in names if name != UNASSIGNED]
        return {name: to_hex(colors[i % len(colors)]).lower() for i, name in enumerate(chosen)} | {
            name: GRAY for name in names if name == UNASSIGNED
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"palette={safe_repr(palette)} is not allowed; pass the name of a color map, a list of colors or a dict"
        ) from error


def matched_colors(
    labels: pd.Categorical,
    reference: pd.Categorical,
    colors: Mapping[str, str],
    spare: Sequence[str] = OKABE_ITO_EXTENDED,
) -> dict[str, str]:
    """Color of each category of `labels`: the color of the reference category that it is matched to.

    The one-to-one assignment maximizes the number of shared spots (Kuhn 1955); unmatched categories get spare colors.
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


def _palette_colors(palette: str | Sequence[str] | None, n: int) -> Sequence:
    if palette is None:
        return OKABE_ITO_EXTENDED
    if isinstance(palette, str):
        cmap = colormaps[palette]
        return getattr(cmap, "colors", None) or list(cmap(np.linspace(0, 1, n)))
    if not len(palette):
        raise ValueError("no colors")
    return palette


def robust_norm(
    values: np.ndarray, *, zero: bool = False, vmin: float | None = None, vmax: float | None = None
) -> Normalize:
    """Color limits at the 1st and 99th percentile, which single spots do not dominate.

    With `zero` the lower limit is 0 unless a value is negative. `vmin` and `vmax` take precedence.

    Examples
    --------
    >>> import numpy as np
    >>> from spacex.pl.colors import robust_norm
    >>> norm = robust_norm(np.arange(101.0))
    >>> float(norm.vmin), float(norm.vmax)
    (1.0, 99.0)
    """
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [1.0, 99.0]) if finite.size else (0.0, 1.0)
    if high <= low:
        high = finite.max(initial=low + 1e-9)
    low = vmin if vmin is not None else 0.0 if zero and (not finite.size or finite.min() >= 0) else float(low)
    high = vmax if vmax is not None else float(high)
    return Normalize(low, max(high, low + 1e-9), clip=True)
