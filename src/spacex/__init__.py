"""SpaCEX: embeddings and modules of spatially co-expressed genes, learned from images of their expression.

Subpackages: `pp` (spots to pixels), `tl` (embedding and analyses), `pl` (plots), `get` (derived tables and maps), `io`
(readers), `datasets` (simulated and public sections). They are imported on first use, so that ``import spacex`` is fast
and imports neither torch nor matplotlib nor scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacex import datasets, get, io, pl, pp, tl
    from spacex._config import Config
    from spacex._infra.errors import InputError, WorkerError
    from spacex.differential import CompareParams
    from spacex.domains.params import DomainParams
    from spacex.embedding.estimator import SpaCEX
    from spacex.get import genes_as_obs
    from spacex.imputation.params import ImputationParams
    from spacex.io import read
    from spacex.pairs.params import PairParams
    from spacex.reference.reference import Reference
    from spacex.svg.params import SVGParams

__version__ = "0.1.0"

__all__ = [
    "CompareParams",
    "Config",
    "DomainParams",
    "ImputationParams",
    "InputError",
    "PairParams",
    "Reference",
    "SVGParams",
    "SpaCEX",
    "WorkerError",
    "__version__",
    "datasets",
    "genes_as_obs",
    "get",
    "io",
    "pl",
    "pp",
    "read",
    "tl",
]

_SUBPACKAGES = frozenset({"datasets", "get", "io", "pl", "pp", "tl"})
_LAZY_ATTRIBUTES = {
    "CompareParams": "spacex.differential",
    "Config": "spacex._config",
    "DomainParams": "spacex.domains.params",
    "InputError": "spacex._infra.errors",
    "ImputationParams": "spacex.imputation.params",
    "PairParams": "spacex.pairs.params",
    "Reference": "spacex.reference.reference",
    "SVGParams": "spacex.svg.params",
    "SpaCEX": "spacex.embedding.estimator",
    "WorkerError": "spacex._infra.errors",
    "genes_as_obs": "spacex.get",
    "read": "spacex.io",
}


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"spacex.{name}")
    if name in _LAZY_ATTRIBUTES:
        value = getattr(import_module(_LAZY_ATTRIBUTES[name]), name)
        globals()[name] = value  # later look-ups bypass this function
        return value
    raise AttributeError(f"module 'spacex' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
