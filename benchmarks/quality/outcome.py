"""Result of an entry of the scoreboard."""

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
        (G, D) float, one row for each gene of the section, NaN for genes that are not embedded. None if the entry
        returns modules only.
    module
        (G,) str label of every gene, ``"unassigned"`` for genes without one. None if the entry returns no modules.
    project
        Embeds the same genes of another count matrix on the same spots into the same space: AnnData -> (G, D).
        None if the entry does not support this.
    """

    z: np.ndarray | None
    module: np.ndarray | None
    project: Callable[[AnnData], np.ndarray] | None = None
