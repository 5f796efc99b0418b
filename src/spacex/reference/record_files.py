"""`SectionRecord`: the vectors of one section, and the safetensors file that holds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from spacex._infra.atomic_write import atomic_path
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int
from spacex.reference.state import GROUP_DIMS, SectionInfo

SUFFIX = ".safetensors"
HEADER = "spacex-section"
"""Key of the JSON header in the metadata of the file."""
FORMAT = 1
HINT = "pass a file that Reference.write_sections wrote"


@dataclass(frozen=True, eq=False)
class SectionRecord:
    """Gene vectors of a section, from which a reference is made.

    Attributes
    ----------
    info
        Description of the section.
    genes
        (G_s,) symbols, sorted and unique.
    vectors
        (G_s, d) float32, centered, in their d ≤ `GROUP_DIMS` leading directions.
    """

    info: SectionInfo
    genes: np.ndarray
    vectors: np.ndarray


def save_record(record: SectionRecord, file: Path) -> None:
    """Write a record to a file."""
    header = {"format": FORMAT, "info": asdict(record.info), "genes": record.genes.tolist()}
    with atomic_path(file) as draft:
        save_file({"vectors": np.ascontiguousarray(record.vectors)}, draft, metadata={HEADER: json.dumps(header)})


def load_record(file: Path) -> SectionRecord:
    """Read a record that `save_record` wrote; raises `InputError` for a damaged or foreign file."""
    try:
        with safe_open(file, framework="numpy") as stored:
            text = (stored.metadata() or {}).get(HEADER)
            if text is None:
                raise InputError("it is a safetensors file, but not of a section")
            header, vectors = json.loads(text), stored.get_tensor("vectors")
        if header["format"] != FORMAT:
            raise InputError(f"it has format {header['format']!r}, this version reads {FORMAT}")
        record = SectionRecord(to_section_info(header["info"]), to_genes(header["genes"]), vectors)
        if vectors.ndim != 2 or len(vectors) != len(record.genes) or not 1 <= vectors.shape[1] <= GROUP_DIMS:
            raise InputError(f"its vectors have shape {vectors.shape}")
        if vectors.dtype != np.float32 or not np.isfinite(vectors).all():
            raise InputError("its vectors are not finite numbers of single precision")
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"'{file}' cannot be read ({error}); {HINT}") from error
    return record


def to_genes(values: Sequence[Any]) -> np.ndarray:
    """Return symbols (G,) from a file; raises `InputError` if they are not sorted and unique text."""
    genes = np.array([to_text(value) for value in values], dtype=object)
    if not len(genes) or any(first >= second for first, second in pairwise(genes)):
        raise InputError("the genes are not sorted and unique")
    return genes


def to_section_info(values: dict[str, Any]) -> SectionInfo:
    """Return the description of a section from a file; raises an error for values of another type."""
    info = SectionInfo(**values)
    for name, value in asdict(info).items():
        _ = check_int(value, name=name, low=0) if name in ("n_spots", "n_genes") else to_text(value)
    json.loads(info.fingerprint or "[]")
    return info


def to_text(value: Any) -> str:
    """Return a text from a file; raises `InputError` for another type."""
    if not isinstance(value, str):
        raise InputError(f"{value!r} is not text")
    return value
