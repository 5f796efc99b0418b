"""`GeneKnowledge`: what a reference knows about one gene."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, eq=False)
class GeneKnowledge:
    """Result of `spacex.Reference.gene`.

    Attributes
    ----------
    symbol
        Symbol of the gene.
    groups
        A row per group: ``group``, ``n_sections`` in which the gene was measured, ``weight`` (the number of donors, if
        each donor measured the gene in all or none of its sections), and ``norm`` of its vector in the group, at most
        about one: the share that the dimensions of the group keep, zero if it was not measured.
    similar
        The most similar genes: ``gene`` and ``similarity``, cosine of the joint vectors.
    """

    symbol: str
    groups: pd.DataFrame
    similar: pd.DataFrame
