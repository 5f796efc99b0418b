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
from spacex.embedding.coordinates import NoiseScale
from spacex.embedding.encoder import Encoder
from spacex.embedding.history import History
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.student_t import AMPLITUDES, Parameters
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout

FORMAT = 7
"""Format 7 has another mixture; earlier formats cannot be read."""
SETTINGS, ARRAYS = "config.json", "model.safetensors"
SAVE_AGAIN = "save it again"
SCALE_ARRAYS = ("dims", "scale", "signal")
GENE_ARRAYS = ("level_bounds", "embedding", "labels", "probabilities", "levels", "null_embedding", "null_level")


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
    null_mean
        Mean of the signal strength of null genes.
    library_factor
        (P,) factor by which the library sizes of the pixels were multiplied (`spacex.svg.size_factors`).
    scale
        Scale of noise and signal, from which the coordinates of the mixture follow.
    level_bounds
        (L - 1,) bounds of the expression levels.
    mixture
        Parameters of the K modules, in decreasing order of evidence, and of the background.
    history
        Metrics of every stage.
    embedding
        (G, D) float32 embeddings of the genes.
    labels
        (G,) int, module of every gene; -1 for none.
    probabilities
        (G,) probability that the label is right.
    levels
        (G,) int, expression level of every gene.
    null_embedding
        (N, D) float32 embeddings of the null genes.
    null_level
        (N,) int, expression level of the null genes.
    """

    config: Config
    seed: int
    layout: SectionLayout
    autoencoder: MaskedAutoencoder
    null_mean: float
    library_factor: np.ndarray
    scale: NoiseScale
    level_bounds: np.ndarray
    mixture: Parameters
    history: History
    embedding: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    levels: np.ndarray
    null_embedding: np.ndarray
    null_level: np.ndarray

    @property
    def n_modules(self) -> int:
        """Number of modules K."""
        return self.mixture.n_modules


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
        "n_smooth": state.scale.n_smooth,
        "layout": [{"shape": list(g.shape), "kind": g.kind, "aspect": g.aspect, "pitch": g.pitch} for g in grids],
        "history": state.history.to_dict(),
    }
    arrays = {f"model.{name}": value for name, value in state.autoencoder.state_dict().items()}
    arrays |= {f"mixture.{name}": value for name, value in state.mixture._asdict().items()}
    arrays |= {f"scale.{name}": getattr(state.scale, name) for name in SCALE_ARRAYS}
    plain = {"layout.section": state.layout.section, "layout.pixel": state.layout.pixel}
    plain["layout.library_factor"] = state.library_factor
    plain |= {f"genes.{name}": getattr(state, name) for name in GENE_ARRAYS}
    arrays |= {name: torch.from_numpy(value) for name, value in plain.items()}
    folder = check_path(directory, name="directory", hint="the name of a folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"directory='{folder}' is a file; pass the name of a folder")
    if (folder / SETTINGS).exists() and not _is_model_settings(folder / SETTINGS):
        raise InputError(f"directory='{folder}' contains a {SETTINGS} that is not a model; pass another folder")
    with translate_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / SETTINGS) as settings_draft, atomic_path(folder / ARRAYS) as arrays_draft:
        # The mixture and the scale share the signal, and safetensors rejects tensors that share memory.
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in arrays.items()}, arrays_draft)
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
    """Read both files and verify their checksums."""
    folder = check_path(directory, name="directory", hint="a folder that SpaCEX.save(directory) wrote")
    for name in (SETTINGS, ARRAYS):
        if not (folder / name).is_file():
            raise InputError(f"{folder} contains no {name}; pass a folder that SpaCEX.save(directory) wrote")
    settings = read_json(folder / SETTINGS, hint="save the model again")
    version, checksums = settings.get("format"), settings.pop("sha256", None)
    if version != FORMAT:
        raise InputError(f"the model in {folder} has format {version!r}, this version reads {FORMAT}; fit it again")
    actual = {"settings": json_sha256(settings), "arrays": file_sha256(folder / ARRAYS)}
    for part, digest in actual.items():
        if not isinstance(checksums, dict) or checksums.get(part) != digest:
            raise InputError(f"the {part} of the model in {folder} were changed after saving; {SAVE_AGAIN}")
    try:
        arrays = load_file(folder / ARRAYS)
    except SafetensorError as error:
        raise InputError(f"the model in {folder} cannot be read ({error}); {SAVE_AGAIN}") from error
    return settings, arrays


def _to_state(settings: dict[str, Any], arrays: dict[str, Tensor], device: torch.device) -> FittedState:
    config = Config.from_dict(settings["config"]).single_process()
    n_modules = check_int(settings["n_modules"], name="n_modules", low=1)
    scale = NoiseScale(
        check_int(settings["n_smooth"], name="n_smooth", low=1), *(arrays[f"scale.{name}"] for name in SCALE_ARRAYS)
    )
    state = FittedState(
        config=config,
        seed=check_seed(settings["seed"]),
        layout=_to_layout(settings["layout"], arrays),
        autoencoder=_to_autoencoder(arrays, config).to(device),
        null_mean=_positive(settings, "null_mean"),
        library_factor=arrays["layout.library_factor"].numpy(),
        scale=scale,
        mixture=Parameters(*(arrays[f"mixture.{name}"] for name in Parameters._fields)),
        history=_to_history(settings["history"]),
        **{name: arrays[f"genes.{name}"].numpy() for name in GENE_ARRAYS},
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
    layout, k, mixture = state.layout, n_modules, state.mixture
    n_pixels, n_dims = state.autoencoder.encoder.linear.shape
    n_genes, n_null, m = len(state.labels), len(state.null_level), len(state.scale.dims)
    n_levels, n_amplitudes = len(state.level_bounds) + 1, len(AMPLITUDES)
    parameters = {
        "log_weight": (k,), "mean": (k, m), "mean_variance": (k, m), "spread": (), "signal": (m,),
        "log_amplitude": (n_levels, n_amplitudes), "nu": (n_levels,), "background": (n_levels,),
        "chance": (n_levels,), "chance_module": (k,), "chance_amplitude": (n_amplitudes,),
    }  # fmt: skip
    arrays: list[Any] = [
        layout.pixel, layout.section, state.library_factor, *mixture,
        state.scale.scale, state.scale.signal, state.level_bounds,
        state.embedding, state.labels, state.probabilities, state.levels, state.null_embedding,
        state.null_level,
    ]  # fmt: skip
    expected: list[Any] = [
        (n_pixels, 2), (n_pixels,), (n_pixels,), *(parameters[name] for name in Parameters._fields),
        (m,), (m,), (n_levels - 1,),
        (n_genes, n_dims), (n_genes,), (n_genes,), (n_genes,), (n_null, n_dims), (n_null,),
    ]  # fmt: skip
    shapes = [tuple(array.shape) for array in arrays]
    if shapes != expected:
        raise InputError(f"the parts of the saved model do not match in size; {SAVE_AGAIN}")
    dims, n_smooth = state.scale.dims, state.scale.n_smooth
    if not n_smooth <= n_dims or not m or dims.min() < 0 or dims.max() >= n_dims:
        raise InputError(f"the saved model has dimensions outside its embedding; {SAVE_AGAIN}")
    if len(layout.grids) > n_pixels or (layout.pixel < 0).any():
        raise InputError(f"the saved model has more grids than pixels, or pixels outside the grids; {SAVE_AGAIN}")
    if layout.section.min() < 0 or layout.section.max() >= len(layout.grids):
        raise InputError(f"the saved model refers to a section without a grid; {SAVE_AGAIN}")
