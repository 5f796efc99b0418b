"""A fitted model on disk: settings in JSON, arrays in safetensors, nothing that can run code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from spacex._infra.atomic_write import atomic_path, fsync, translate_os_errors
from spacex._infra.errors import InputError
from spacex._infra.serialization import file_sha256, json_sha256, read_json
from spacex._infra.validation import check_path
from spacex.embedding.encoder import Encoder
from spacex.embedding.mixture import Parameters
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout

FORMAT = 5  # 2: fine dimensions; 3: weighted smooth dimensions; 4: strength weighted likewise; 5: sealed
FORMAT_WITHOUT_CHECKSUMS = 4
"""An earlier format that is the same but for the digests."""
SETTINGS, ARRAYS = "config.json", "model.safetensors"


def write(directory: str | Path, settings: dict[str, Any], arrays: dict[str, Tensor]) -> None:
    """Write both files; each appears under its name only when it is complete."""
    folder = check_path(directory, name="directory", hint="the name of a folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"directory='{folder}' is a file; pass the name of a folder")
    if (folder / SETTINGS).exists() and not _is_settings(folder / SETTINGS):
        raise InputError(f"directory='{folder}' holds a {SETTINGS} of something else; pass another folder")
    with translate_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / SETTINGS) as noted, atomic_path(folder / ARRAYS) as draft:
        save_file({key: value.detach().cpu().contiguous() for key, value in arrays.items()}, draft)
        noted.write_text(json.dumps(_with_checksums({"format": FORMAT, **settings}, file_sha256(draft)), indent=1))
        fsync(noted)
        (folder / SETTINGS).unlink(missing_ok=True)  # between the two renames there is no model, not a mixed one


def _is_settings(path: Path) -> bool:
    try:
        return "format" in read_json(path, hint="pass another folder")
    except (OSError, ValueError, TypeError):
        return False


def read(directory: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and arrays that `write` left; an error that says what is wrong with the folder."""
    folder = check_path(directory, name="directory", hint="a folder that SpaCEX.save(directory) wrote")
    for name in (SETTINGS, ARRAYS):
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no {name}; pass a folder that SpaCEX.save(directory) wrote")
    settings = read_json(folder / SETTINGS, hint="save the model again")
    found, seals = settings.get("format"), settings.pop("sha256", None)
    if found not in (FORMAT_WITHOUT_CHECKSUMS, FORMAT):
        known = f"{FORMAT_WITHOUT_CHECKSUMS} and {FORMAT}"
        raise InputError(f"the model in {folder} has format {found!r}, this version reads {known}; save it again")
    if found == FORMAT or seals is not None:  # a seal under an earlier format: somebody changed the format
        _check_checksums(folder, settings, seals)
    try:
        return settings, load_file(folder / ARRAYS)
    except SafetensorError as error:
        raise InputError(f"the model in {folder} cannot be read ({error}); save it again") from error


def _check_checksums(folder: Path, settings: dict[str, Any], seals: Any) -> None:
    """Raise `InputError` where settings or arrays are not those that were written together."""
    for what, found in (("settings", json_sha256(settings)), ("arrays", file_sha256(folder / ARRAYS))):
        if not isinstance(seals, dict) or seals.get(what) != found:
            raise InputError(f"the {what} of the model in {folder} are not those that were saved; save it again")


def _with_checksums(settings: dict[str, Any], arrays: str) -> dict[str, Any]:
    """Settings with the digests by which `read` knows that they and the arrays are those that were written."""
    plain = json.loads(json.dumps(settings))
    return {**plain, "sha256": {"settings": json_sha256(plain), "arrays": arrays}}


def layout_settings(layout: SectionLayout) -> list[dict[str, Any]]:
    """The grids of a layout for JSON."""
    return [{"shape": list(g.shape), "kind": g.kind, "aspect": g.aspect, "pitch": g.pitch} for g in layout.grids]


def layout_of(settings: list[dict[str, Any]], arrays: dict[str, Tensor]) -> SectionLayout:
    """The canvas that `layout_settings` and the arrays ``canvas.*`` describe."""
    grids = tuple(
        Grid((int(g["shape"][0]), int(g["shape"][1])), g["kind"], float(g["aspect"]), float(g["pitch"]))
        for g in settings
    )
    for grid in grids:
        if not grid.is_valid:
            raise InputError(f"the saved model has a grid that cannot be, {grid}; save it again")
    return SectionLayout(grids, np.asarray(arrays["canvas.section"]), np.asarray(arrays["canvas.pixel"]))


def autoencoder_of(arrays: dict[str, Tensor], *, width: int, depth: int, heads: int) -> MaskedAutoencoder:
    """The autoencoder whose state the arrays ``model.*`` hold."""
    state = {key.removeprefix("model."): value for key, value in arrays.items() if key.startswith("model.")}
    index, basis, trust, start = (state[f"encoder.{name}"].numpy() for name in ("index", "basis", "trust", "linear"))
    with torch.random.fork_rng(devices=[]):
        encoder = Encoder(index, basis, trust, start, width=width, depth=depth, heads=heads)
    model = MaskedAutoencoder(encoder, state["owner"].numpy())
    model.load_state_dict(state)
    return model


def parameters_of(arrays: dict[str, Tensor]) -> Parameters:
    """The mixture's parameters from the arrays ``mixture.*``."""
    return Parameters(*(arrays[f"mixture.{name}"] for name in Parameters._fields))


def check_sizes(layout: SectionLayout, model: MaskedAutoencoder, parameters: Parameters, n_modules: int) -> None:
    """Raise `InputError` where grid, encoder and mixture do not fit one another."""
    n_pixels, n_dims = model.encoder.linear.shape
    pixels_fit = layout.pixel.shape == (n_pixels, 2) and layout.section.shape == (n_pixels,)
    shapes = [tuple(value.shape) for value in parameters]
    k = n_modules + 1
    if not pixels_fit or shapes != [(k,), (k, n_dims), (k,), (k,)]:
        raise InputError("the parts of the saved model do not fit one another; save it again")
    sides = np.array([grid.shape for grid in layout.grids])
    if len(sides) > n_pixels or (layout.pixel < 0).any():
        raise InputError("the saved model has more grids than pixels, or pixels outside of all; save it again")
    if layout.section.min() < 0 or layout.section.max() >= len(layout.grids):
        raise InputError("the saved model names a section that has no grid; save it again")


def history_of(settings: Any) -> dict[str, list[dict[str, float]]]:
    """The history that a model was saved with: records of numbers, stage by stage."""
    stages = list(settings.values()) if isinstance(settings, dict) else [None]
    records = [row for rows in stages for row in (rows if isinstance(rows, list) else [None])]
    if not all(isinstance(row, dict) and all(isinstance(v, (int, float)) for v in row.values()) for row in records):
        raise InputError("the history of the saved model is no table of numbers; save it again")
    return settings


def positive(settings: dict[str, Any], name: str) -> float:
    """A setting that must be a positive number."""
    value = settings[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise InputError(f"the model's {name}={value!r} is not a positive number; save the model again")
    return float(value)
