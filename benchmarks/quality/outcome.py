"""What an entry of the scoreboard hands over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from anndata import AnnData


@dataclass(frozen=True)
class Outcome:
    """Embedding and modules of the genes of one section.

    Attributes
    ----------
    z
        (G, D) float, a row for every gene of the section in its order; NaN rows: genes not embedded. None: the
        entry gives modules only.
    module
        (G,) str label of every gene, ``"unassigned"`` for genes without one. None: the entry gives no modules.
    project
        Embeds the same genes of another count matrix on the same spots into the same space: AnnData -> (G, D).
        None: the entry cannot do that.
    """

    z: np.ndarray | None
    module: np.ndarray | None
    project: Callable[[AnnData], np.ndarray] | None = None
