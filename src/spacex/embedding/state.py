"""`FittedState`: everything that a fit learns; saved as JSON and safetensors, never as code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from spacex._config import Config
from spacex._infra.atomic_write import atomic_path, fsync, translate_os_errors
from spacex._infra.errors import InputError
from spacex._infra.serialization import file_sha256, json_sha256, read_json
from spacex._infra.validation import check_int, check_path, check_seed
from spacex.embedding.encoder import Encoder
from spacex.embedding.history import History
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.student_t import Parameters
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout

FORMAT = 6
FORMAT_WITHOUT_CHECKSUMS = 4
"""Formats 4 to 6 are read: 5 added checksums; 6 renamed settings and arrays, and added the results per gene."""
SETTINGS, ARRAYS = "config.json", "model.safetensors"
OLD_ARRAY_NAMES = {
    "canvas.section": "layout.section",
    "canvas.pixel": "layout.pixel",
    "model.owner": "model.patch_of_pixel",
    "model.encoder.index": "model.encoder.pixels_of_patch",
    "model.encoder.trust": "model.encoder.strength_weights",
    "model.encoder.where": "model.encoder.patch_weights",
    "model.encoder.what": "model.encoder.channel_weights",
}
"""Names of arrays before format 6."""
SAVE_AGAIN = "save it again"


@dataclass(frozen=True, eq=False)
class FittedState:
    """Result of `spacex.embedding.fit.fit`.

    Attributes
    ----------
    config, seed
        Settings and seed of the fit.
    layout
        Pixels of the maps.
    autoencoder
        Encoder and decoder.
    null_mean, null_shape
        Mean of the signal strength of genes with permuted pixels, and shape of its gamma distribution.
    mixture
        Parameters of the K modules, numbered by size, and the background.
    history
        Metrics of every stage.
    embedding
        (G, D) float32 embeddings of the genes. This and the next two are None if the file was written before format 6.
    labels
        (G,) int, module of every gene; -1 for the background.
    probabilities
        (G,) posterior probability of the label.
    """

    config: Config
    seed: int
    layout: SectionLayout
    autoencoder: MaskedAutoencoder
    null_mean: float
    null_shape: float
    mixture: Parameters
    history: History
    embedding: np.ndarray | None
    labels: np.ndarray | None
    probabilities: np.ndarray | None

    @property
    def n_modules(self) -> int:
        """Number of modules K."""
        return len(self.mixture.nu) - 1


def attention_sizes(config: Config) -> dict[str, int]:
    """Return the sizes of the attention path; a model without training has no such path."""
    n_layers = config.n_layers if config.is_trained else 0
    return {"d_model": config.d_model, "n_layers": n_layers, "n_heads": config.n_heads}


def save(state: FittedState, directory: str | Path) -> None:
    """Write a state to a folder; each file appears under its name only when it is complete.

    Raises
    ------
    InputError
        If `directory` is a file, contains another program's ``config.json``, or cannot be written.
    """
    grids = state.layout.grids
    settings = {
        "format": FORMAT,
        "config": state.config.to_dict(),
        "seed": state.seed,
        "n_modules": state.n_modules,
        "null_mean": state.null_mean,
        "null_shape": state.null_shape,
        "layout": [{"shape": list(g.shape), "kind": g.kind, "aspect": g.aspect, "pitch": g.pitch} for g in grids],
        "history": state.history.to_dict(),
    }
    arrays = {f"model.{name}": value for name, value in state.autoencoder.state_dict().items()}
    arrays |= {f"mixture.{name}": value for name, value in state.mixture._asdict().items()}
    layout = {"layout.section": state.layout.section, "layout.pixel": state.layout.pixel}
    genes = {f"genes.{name}": getattr(state, name) for name in ("embedding", "labels", "probabilities")}
    arrays |= {name: torch.from_numpy(value) for name, value in (layout | genes).items() if value is not None}
    folder = check_path(directory, name="directory", hint="the name of a folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"directory='{folder}' is a file; pass the name of a folder")
    if (folder / SETTINGS).exists() and not _is_model_settings(folder / SETTINGS):
        raise InputError(f"directory='{folder}' contains a {SETTINGS} that is not a model; pass another folder")
    with translate_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / SETTINGS) as settings_draft, atomic_path(folder / ARRAYS) as arrays_draft:
        save_file({name: value.detach().cpu().contiguous() for name, value in arrays.items()}, arrays_draft)
        settings = json.loads(json.dumps(settings))
        settings["sha256"] = {"settings": json_sha256(settings), "arrays": file_sha256(arrays_draft)}
        settings_draft.write_text(json.dumps(settings, indent=1))
        fsync(settings_draft)
        # Between the two renames the folder has no model, rather than files of two models.
        (folder / SETTINGS).unlink(missing_ok=True)


def load(directory: str | Path, device: torch.device) -> FittedState:
    """Read a state that `save` wrote, with the settings for a single process.

    Raises
    ------
    InputError
        If the folder does not contain a valid model.
    """
    settings, arrays = _read_files(directory)
    try:
        return _to_state(settings, arrays, device)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"the model in {directory} was not written by save() ({reason}); {SAVE_AGAIN}") from error


def _is_model_settings(path: Path) -> bool:
    try:
        return "format" in read_json(path, hint="pass another folder")
    except (OSError, ValueError, TypeError):
        return False


def _read_files(directory: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read both files and verify their checksums; names of earlier formats are replaced."""
    folder = check_path(directory, name="directory", hint="a folder that SpaCEX.save(directory) wrote")
    for name in (SETTINGS, ARRAYS):
        if not (folder / name).is_file():
            raise InputError(f"{folder} contains no {name}; pass a folder that SpaCEX.save(directory) wrote")
    settings = read_json(folder / SETTINGS, hint="save the model again")
    version, checksums = settings.get("format"), settings.pop("sha256", None)
    if version not in range(FORMAT_WITHOUT_CHECKSUMS, FORMAT + 1):
        supported = f"{FORMAT_WITHOUT_CHECKSUMS} to {FORMAT}"
        raise InputError(f"the model in {folder} has format {version!r}, this version reads {supported}; {SAVE_AGAIN}")
    if version != FORMAT_WITHOUT_CHECKSUMS or checksums is not None:
        actual = {"settings": json_sha256(settings), "arrays": file_sha256(folder / ARRAYS)}
        for part, digest in actual.items():
            if not isinstance(checksums, dict) or checksums.get(part) != digest:
                raise InputError(f"the {part} of the model in {folder} were changed after saving; {SAVE_AGAIN}")
    try:
        arrays = load_file(folder / ARRAYS)
    except SafetensorError as error:
        raise InputError(f"the model in {folder} cannot be read ({error}); {SAVE_AGAIN}") from error
    if "canvas" in settings:
        settings["layout"] = settings.pop("canvas")
    return settings, {OLD_ARRAY_NAMES.get(name, name): array for name, array in arrays.items()}


def _to_state(settings: dict[str, Any], arrays: dict[str, Tensor], device: torch.device) -> FittedState:
    config = Config.from_dict(settings["config"]).single_process()
    n_modules = check_int(settings["n_modules"], name="n_modules", low=1)
    genes = {name: arrays.get(f"genes.{name}") for name in ("embedding", "labels", "probabilities")}
    state = FittedState(
        config=config,
        seed=check_seed(settings["seed"]),
        layout=_to_layout(settings["layout"], arrays),
        autoencoder=_to_autoencoder(arrays, config).to(device),
        null_mean=_positive(settings, "null_mean"),
        null_shape=_positive(settings, "null_shape"),
        mixture=Parameters(*(arrays[f"mixture.{name}"] for name in Parameters._fields)),
        history=_to_history(settings["history"]),
        **{name: None if value is None else value.numpy() for name, value in genes.items()},
    )
    _check_shapes(state, n_modules)
    return state


def _to_layout(settings: list[dict[str, Any]], arrays: dict[str, Tensor]) -> SectionLayout:
    grids = tuple(
        Grid((int(g["shape"][0]), int(g["shape"][1])), g["kind"], float(g["aspect"]), float(g["pitch"]))
        for g in settings
    )
    for grid in grids:
        if not grid.is_valid:
            raise InputError(f"the saved model has an invalid grid, {grid}; {SAVE_AGAIN}")
    return SectionLayout(grids, np.asarray(arrays["layout.section"]), np.asarray(arrays["layout.pixel"]))


def _to_autoencoder(arrays: dict[str, Tensor], config: Config) -> MaskedAutoencoder:
    values = {name.removeprefix("model."): array for name, array in arrays.items() if name.startswith("model.")}
    pixels, basis, weights, components = (
        values[f"encoder.{name}"].numpy() for name in ("pixels_of_patch", "basis", "strength_weights", "linear")
    )
    with torch.random.fork_rng(devices=[]):
        encoder = Encoder(pixels, basis, weights, components, **attention_sizes(config))
    model = MaskedAutoencoder(encoder, values["patch_of_pixel"].numpy())
    model.load_state_dict(values)
    return model


def _to_history(records: Any) -> History:
    stages = list(records.values()) if isinstance(records, dict) else [None]
    rows = [row for stage in stages for row in (stage if isinstance(stage, list) else [None])]
    if not all(isinstance(row, dict) and all(isinstance(v, (int, float)) for v in row.values()) for row in rows):
        raise InputError(f"the history of the saved model is not a table of numbers; {SAVE_AGAIN}")
    return History(records)


def _positive(settings: dict[str, Any], name: str) -> float:
    value = settings[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise InputError(f"the model's {name}={value!r} is not a positive number; save the model again")
    return float(value)


def _check_shapes(state: FittedState, n_modules: int) -> None:
    """Raise `InputError` if layout, encoder, mixture and results per gene do not match."""
    layout, k = state.layout, n_modules + 1
    n_pixels, n_dims = state.autoencoder.encoder.linear.shape
    shapes: list[Any] = [layout.pixel.shape, layout.section.shape, *(tuple(value.shape) for value in state.mixture)]
    expected = [(n_pixels, 2), (n_pixels,), (k,), (k, n_dims), (k,), (k,)]
    genes = (state.embedding, state.labels, state.probabilities)
    if any(part is not None for part in genes):
        n_genes = 0 if state.labels is None else len(state.labels)
        shapes += [None if part is None else part.shape for part in genes]
        expected += [(n_genes, n_dims), (n_genes,), (n_genes,)]
    if shapes != expected:
        raise InputError(f"the parts of the saved model do not match in size; {SAVE_AGAIN}")
    if len(layout.grids) > n_pixels or (layout.pixel < 0).any():
        raise InputError(f"the saved model has more grids than pixels, or pixels outside the grids; {SAVE_AGAIN}")
    if layout.section.min() < 0 or layout.section.max() >= len(layout.grids):
        raise InputError(f"the saved model refers to a section without a grid; {SAVE_AGAIN}")
