"""Reference files: one safetensors file with the arrays, and a JSON header in its metadata; never code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from spacex._infra.atomic_write import atomic_path
from spacex._infra.errors import InputError
from spacex._infra.serialization import json_sha256
from spacex._infra.validation import check_int, check_output_file, check_path, check_seed
from spacex.reference.record_files import to_genes, to_section_info, to_text
from spacex.reference.state import GROUP_DIMS, GroupState, ReferenceState

FORMAT = 1
HEADER = "spacex-reference"
"""Key of the JSON header in the metadata of the file."""
MAX_INT8 = 127
HINT = "a file that Reference.save(path) wrote"


def save_state(state: ReferenceState, path: Any, *, quantize: bool) -> None:
    """Write a state to one file, which appears under its name only when it is complete.

    Rows of genes that were not measured in a group are left out. With `quantize`, each dimension of a group is stored
    as int8 in units of its largest magnitude / 127, and weights as float16.

    Raises
    ------
    InputError
        If `path` is not the name of a file that can be written.
    """
    target = check_output_file(path, name="path", example="reference.safetensors")
    arrays: dict[str, np.ndarray] = {}
    for number, group in enumerate(state.groups):
        arrays |= {f"{number}.{name}": array for name, array in _group_arrays(group, quantize=quantize).items()}
    header = {
        "format": FORMAT,
        "genes": state.genes.tolist(),
        "groups": [group.name for group in state.groups],
        "sections": [asdict(section) for section in state.sections],
        "n_dims": state.n_dims,
        "seed": state.seed,
        "settings": {"group_dims": GROUP_DIMS, "quantized": quantize},
        "versions": state.versions,
    }
    header["sha256"] = _checksum(header, arrays)
    with atomic_path(target) as draft:
        save_file(arrays, draft, metadata={HEADER: json.dumps(header)})


def load_state(path: Any) -> ReferenceState:
    """Read a state that `save_state` wrote.

    Raises
    ------
    InputError
        If the file cannot be found, was not written by `save_state`, or is damaged.
    """
    file = check_path(path, name="path", hint=HINT)
    if not file.is_file():
        raise InputError(f"path='{file}' is not a file; pass {HINT}")
    header, arrays = _read(file)
    if header.get("format") != FORMAT:
        raise InputError(f"the reference '{file}' has format {header.get('format')!r}, this version reads {FORMAT}")
    checksum = header.pop("sha256", None)
    if checksum != _checksum(header, arrays):
        raise InputError(f"the reference '{file}' was changed after saving; save or download it again")
    try:
        return _to_state(header, arrays)
    except (InputError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"the reference '{file}' is damaged ({reason}); save or download it again") from error


def _read(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with safe_open(file, framework="numpy") as stored:
            text = (stored.metadata() or {}).get(HEADER)
            if text is None:
                raise InputError(f"'{file}' is a safetensors file, but not a reference; pass {HINT}")
            header = json.loads(text)
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except InputError:
        raise
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"the reference '{file}' cannot be read ({error}); save or download it again") from error
    if not isinstance(header, dict):
        raise InputError(f"the reference '{file}' has no valid header; save or download it again")
    return header, arrays


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json_sha256(header).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _group_arrays(group: GroupState, *, quantize: bool) -> dict[str, np.ndarray]:
    """Arrays of a group in a file; factor and weight have the rows of the measured genes."""
    measured = group.n_sections > 0
    factor, weight = group.factor[measured], group.weight[measured]
    if not quantize:
        return {"factor": np.ascontiguousarray(factor), "weight": weight, "n_sections": group.n_sections}
    scale = np.abs(factor).max(axis=0, initial=0.0) / np.float32(MAX_INT8)
    steps = np.rint(factor / np.where(scale > 0, scale, 1)).astype(np.int8)
    return {
        "factor": np.ascontiguousarray(steps),
        "scale": scale.astype(np.float32),
        "weight": weight.astype(np.float16),
        "n_sections": np.minimum(group.n_sections, np.iinfo(np.uint16).max).astype(np.uint16),
    }


def _to_state(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ReferenceState:
    genes = to_genes(header["genes"])
    sections = tuple(to_section_info(section) for section in header["sections"])
    groups = tuple(_to_group(to_text(name), number, arrays, len(genes)) for number, name in enumerate(header["groups"]))
    if {section.group_name for section in sections} != {group.name for group in groups}:
        raise InputError("sections and groups do not match")
    return ReferenceState(
        genes=genes,
        groups=groups,
        sections=sections,
        n_dims=check_int(header["n_dims"], name="n_dims", low=1),
        seed=check_seed(header["seed"]),
        versions={to_text(name): to_text(value) for name, value in header["versions"].items()},
    )


def _to_group(name: str, number: int, arrays: Mapping[str, np.ndarray], n_genes: int) -> GroupState:
    factor, weight, n_sections = (arrays[f"{number}.{part}"] for part in ("factor", "weight", "n_sections"))
    if factor.dtype == np.int8:
        factor = factor * arrays[f"{number}.scale"]
    if n_sections.shape != (n_genes,) or n_sections.dtype.kind not in "iu" or (n_sections < 0).any():
        raise InputError(f"the numbers of sections of group {name!r} have shape {n_sections.shape}")
    rows = np.flatnonzero(n_sections)
    n_dims = factor.shape[1] if factor.ndim == 2 else 0
    if factor.shape != (len(rows), n_dims) or n_dims > GROUP_DIMS or weight.shape != (len(rows),):
        raise InputError(f"the vectors of group {name!r} have shape {factor.shape}")
    weight = weight.astype(np.float32)
    if not (np.isfinite(factor).all() and np.isfinite(weight).all() and (weight > 0).all()):
        raise InputError(f"the vectors or weights of group {name!r} are not finite")
    measured = GroupState(name, factor.astype(np.float32), weight, n_sections[rows].astype(np.int32))
    return measured.expand(rows, n_genes)
