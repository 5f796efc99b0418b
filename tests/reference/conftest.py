"""Sections with common gene names, and a reference of them."""

from __future__ import annotations

import pytest
from anndata import AnnData

import spacex as sx

N_MODULES = 3


def simulate(seed: int, *, donor: str = "", tissue: str = "brain", technology: str = "visium") -> AnnData:
    """Simulate 300 spots × 150 genes; names in capitals tell the module: MODA7, MODB2, or NULL5 without a module."""
    adata = sx.datasets.simulate_section(150, 300, N_MODULES, 3, seed=seed, depth=1.5, effect=2.0)
    module = adata.var["module"].to_numpy()
    number = adata.var.groupby("module").cumcount().to_numpy()
    adata.var_names = [
        f"MOD{chr(ord('A') + m)}{n}" if m >= 0 else f"NULL{n}" for m, n in zip(module, number, strict=True)
    ]
    adata.uns |= {"tissue": tissue, "technology": technology, "licence": "CC0", "source": "simulated"}
    if donor:
        adata.uns["group"] = donor
    return adata


@pytest.fixture(scope="session")
def _sections() -> dict[str, AnnData]:
    return {
        "a1": simulate(0, donor="a"),
        "a2": simulate(1, donor="a"),
        "b": simulate(2, donor="b"),
        "c": simulate(3, tissue="liver"),
    }


@pytest.fixture
def sections(_sections: dict[str, AnnData]) -> dict[str, AnnData]:
    """Two sections of a donor, one of another donor, and one of another tissue."""
    return {name: adata.copy() for name, adata in _sections.items()}


@pytest.fixture(scope="session")
def reference(_sections: dict[str, AnnData]) -> sx.Reference:
    """A reference of `sections`."""
    return sx.Reference.fit({name: adata.copy() for name, adata in _sections.items()}, progress=False)
