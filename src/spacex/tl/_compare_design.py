"""Design of `compare`: sections or donors, and their conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex.differential import label_splits, pair_splits
from spacex.stats import l2_normalize


@dataclass(frozen=True)
class Design:
    """Units of the test.

    Attributes
    ----------
    unit
        (S,) unit of each section.
    second
        (U,) mask of the units of the second condition.
    pair
        (U,) donor of each unit, if every donor has a unit of each condition; None otherwise.
    """

    unit: np.ndarray
    second: np.ndarray
    pair: np.ndarray | None = None

    def splits(self, max_splits: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Other assignments of the units to the conditions."""
        if self.pair is None:
            return label_splits(self.second, max_splits, rng)
        return pair_splits(self.second, self.pair, max_splits, rng)


def read_sections_and_conditions(
    adata: AnnData, condition_key: str, library_key: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Section (n_obs,) of each spot, mask (S,) of the sections of the second condition, names of the conditions."""
    section, names = _adata.read_sections(adata, library_key)
    if condition_key not in adata.obs:
        raise InputError(f"condition_key={condition_key!r} is not a column of adata.obs; pass one")
    if adata.obs[condition_key].isna().any():
        raise InputError(f"obs[{condition_key!r}] is missing for some spots; drop them, or fill in their condition")
    code, conditions = pd.factorize(adata.obs[condition_key].astype(str), sort=True)
    if len(conditions) != 2:
        raise InputError(
            f"obs[{condition_key!r}] has {len(conditions)} condition(s) ({', '.join(conditions[:6])}); compare takes "
            "two: subset adata to the sections of two conditions and embed them"
        )
    n_spots = np.stack([np.bincount(section[code == k], minlength=len(names)) for k in (0, 1)])
    mixed = np.flatnonzero((n_spots > 0).all(axis=0))
    if len(mixed):
        raise InputError(
            f"section {names[mixed[0]]!r} has spots of both conditions; pass a column with one condition per section"
        )
    for condition, in_condition in zip(conditions, n_spots > 0, strict=True):
        if in_condition.sum() < 2:
            raise InputError(
                f"condition {condition!r} has one section ({names[in_condition.argmax()]!r}), so differences between "
                "conditions cannot be distinguished from differences between sections; pass at least two sections of "
                "each condition"
            )
    return section, n_spots[1] > 0, [str(name) for name in conditions]


def read_units(
    adata: AnnData, donor_key: str | None, section: np.ndarray, second: np.ndarray, conditions: list[str]
) -> Design:
    """Sections, or donors in each condition, as the units of the test."""
    if donor_key is None:
        return Design(np.arange(len(second)), second)
    donor, names = _adata.read_sections(adata, donor_key)
    n_spots = np.zeros((len(second), len(names)), dtype=int)
    np.add.at(n_spots, (section, donor), 1)
    if (several := (n_spots > 0).sum(axis=1) > 1).any():
        raise InputError(
            f"obs[{donor_key!r}] has {(n_spots[several.argmax()] > 0).sum()} donors in one section; pass a column with "
            "one donor per section"
        )
    donor_of_section = n_spots.argmax(axis=1)
    units, unit = np.unique(np.c_[donor_of_section, second], axis=0, return_inverse=True)
    unit = unit.ravel()
    n_conditions = np.bincount(units[:, 0])
    if (n_conditions == 2).all() and len(names) > 1:
        return Design(unit, units[:, 1].astype(bool), units[:, 0])
    if (n_conditions == 2).any():
        raise InputError(
            f"donor {names[(n_conditions == 2).argmax()]!r} has sections of both conditions and donor "
            f"{names[(n_conditions == 1).argmax()]!r} of one; subset adata to donors of one kind"
            if (n_conditions == 1).any()
            else f"all sections are of the donor {names[0]!r}; pass sections of several donors"
        )
    for k, condition in enumerate(conditions):
        if (units[:, 1] == k).sum() < 2:
            raise InputError(
                f"condition {condition!r} has one donor, so differences between conditions cannot be distinguished "
                "from differences between donors; pass at least two donors of each condition"
            )
    return Design(unit, units[:, 1].astype(bool))


def average_sections(z: np.ndarray, present: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean directions (G, U, D) over the sections of each unit in which a gene is present, and presence (G, U)."""
    direction = l2_normalize(z)
    average, is_present = [], []
    for u in range(unit.max() + 1):
        part, here = direction[:, unit == u], present[:, unit == u]
        weight = np.where(here.any(axis=1, keepdims=True), here, True)
        average.append((part * weight[:, :, None]).sum(axis=1) / weight.sum(axis=1, keepdims=True))
        is_present.append(here.any(axis=1))
    return np.stack(average, axis=1), np.stack(is_present, axis=1)
