"""Files with the vectors of one section, which keep the memory of a fit independent of the number of sections."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from spacex.reference.sections import SectionRecord
from spacex.reference.state import SectionInfo


def save_record(record: SectionRecord, file: Path) -> None:
    """Write a record to a file."""
    metadata = {"info": json.dumps(asdict(record.info)), "genes": json.dumps(record.genes.tolist())}
    save_file({"vectors": np.ascontiguousarray(record.vectors)}, file, metadata=metadata)


def read_info(file: Path) -> SectionInfo:
    """Read the description of the section from a record file."""
    with safe_open(file, framework="numpy") as stored:
        return SectionInfo(**json.loads(stored.metadata()["info"]))


def load_record(file: Path) -> SectionRecord:
    """Read a record that `save_record` wrote."""
    with safe_open(file, framework="numpy") as stored:
        metadata = stored.metadata()
        genes = np.array(json.loads(metadata["genes"]), dtype=object)
        return SectionRecord(SectionInfo(**json.loads(metadata["info"])), genes, stored.get_tensor("vectors"))
