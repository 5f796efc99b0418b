"""Saved models: round trip, other formats, and invalid folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import spacex as sx
from spacex._infra.serialization import file_sha256
from spacex.imaging.gene_images import GeneImages


def test_a_loaded_model_equals_the_saved_one(model: sx.SpaCEX, images: GeneImages, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    back = sx.SpaCEX.load(tmp_path / "model")
    assert back.transform(images).tobytes() == model.transform(images).tobytes()
    assert back.predict_proba(images).tobytes() == model.predict_proba(images).tobytes()
    assert back.config == model.config
    assert (back.seed, back.n_modules_) == (model.seed, model.n_modules_)
    assert json.dumps(back.history_.to_dict()) == json.dumps(model.history_.to_dict())
    for name in ("labels_", "probabilities_", "levels_", "embedding_"):
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))
    for name in ("null_embedding", "null_level", "level_bounds", "null_mean"):
        np.testing.assert_array_equal(getattr(back.state_, name), getattr(model.state_, name))
    back.save(tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


@pytest.fixture(scope="module")
def saved(model: sx.SpaCEX, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder)
    return (folder / "config.json").read_text(), (folder / "model.safetensors").read_bytes()


def without(settings: str, key: str) -> str:
    return json.dumps({k: v for k, v in json.loads(settings).items() if k != key})


def changed(settings: str, **values: Any) -> str:
    return json.dumps({**json.loads(settings), **values})


@pytest.mark.parametrize("version", [4, 5, 6, 8])
def test_models_of_other_formats_raise(saved: tuple[str, bytes], tmp_path: Path, version: int) -> None:
    settings = json.loads(changed(saved[0], format=version))
    if version == 4:  # had no checksums
        del settings["sha256"]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "model.safetensors").write_bytes(saved[1])
    with pytest.raises(sx.InputError, match=rf"has format {version}, this version reads 7; fit it again"):
        sx.SpaCEX.load(tmp_path)


INVALID = {
    "no settings": lambda s, a: (None, a),
    "no arrays": lambda s, a: (s, None),
    "empty settings": lambda s, a: ("", a),
    "truncated settings": lambda s, a: (s[: len(s) // 2], a),
    "a list": lambda s, a: ("[]", a),
    "a number": lambda s, a: ("3", a),
    "not text": lambda s, a: (b"\xff\xfe\x00\x80", a),
    "no format": lambda s, a: (without(s, "format"), a),
    "newer format": lambda s, a: (changed(s, format=99), a),
    "empty arrays": lambda s, a: (s, b""),
    "truncated arrays": lambda s, a: (s, a[: len(a) // 2]),
    "garbage arrays": lambda s, a: (s, bytes(range(256)) * 20),
    "a pickle": lambda s, a: (s, b"\x80\x04\x95\x10" + bytes(7) + b"\x8c\x05posix\x94\x8c\x06system\x94\x93."),
    "unknown setting": lambda s, a: (changed(s, config={"epoch": 3}), a),
    "setting out of range": lambda s, a: (changed(s, config={"epochs": -3}), a),
    **{
        f"no {key}": lambda s, a, key=key: (without(s, key), a)
        for key in ("config", "seed", "n_modules", "n_smooth", "layout")
    },
    "null_mean is text": lambda s, a: (changed(s, null_mean="one"), a),
    "layout is a number": lambda s, a: (changed(s, layout=3), a),
    "other d_model": lambda s, a: (changed(s, config={**json.loads(s)["config"], "d_model": 32}), a),
}  # fmt: skip


def test_other_config_files_are_not_overwritten(model: sx.SpaCEX, tmp_path: Path) -> None:
    for text in ('{"model_type": "bert"}', "not JSON", "3"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(sx.InputError, match="that is not a model; pass another folder"):
            model.save(tmp_path)
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("config.json", text)]
    (tmp_path / "config.json").unlink()
    for _again in range(2):
        model.save(tmp_path)


@pytest.mark.parametrize("kind", INVALID)
def test_an_invalid_model_folder_raises(saved: tuple[str, bytes], tmp_path: Path, kind: str) -> None:
    settings, arrays = INVALID[kind](*saved)
    if settings is not None:
        (tmp_path / "config.json").write_bytes(settings if isinstance(settings, bytes) else settings.encode())
    if arrays is not None:
        (tmp_path / "model.safetensors").write_bytes(arrays)
    with pytest.raises(sx.InputError, match=r"save|Config|fit it again") as caught:
        sx.SpaCEX.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "missing",
    ["model.encoder.linear", "mixture.mean", "scale.dims", "layout.pixel", "genes.labels", "genes.null_level"],
)
def test_a_missing_array_raises(saved: tuple[str, bytes], tmp_path: Path, missing: str) -> None:
    (tmp_path / "config.json").write_text(saved[0])
    (tmp_path / "model.safetensors").write_bytes(saved[1])
    arrays = load_file(tmp_path / "model.safetensors")
    assert missing in arrays
    save_file({key: value for key, value in arrays.items() if key != missing}, tmp_path / "model.safetensors")
    with pytest.raises(sx.InputError, match="save it again"):
        sx.SpaCEX.load(tmp_path)


CHANGED_ARRAYS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mixture.mean": lambda v: v[:, :-1],
    "mixture.nu": lambda v: torch.cat([v, v]),
    "scale.dims": lambda v: v + 10_000,
    "scale.signal": lambda v: v[:-1],
    "genes.levels": lambda v: v[:-1],
    "genes.null_embedding": lambda v: v[:, :-1],
    "genes.level_bounds": lambda v: torch.zeros(3, dtype=torch.float64),
}


@pytest.mark.parametrize("name", CHANGED_ARRAYS)
def test_arrays_that_do_not_match_raise(saved: tuple[str, bytes], tmp_path: Path, name: str) -> None:
    """The checksums are those of the changed arrays."""
    (tmp_path / "model.safetensors").write_bytes(saved[1])
    arrays = load_file(tmp_path / "model.safetensors")
    save_file({**arrays, name: CHANGED_ARRAYS[name](arrays[name]).contiguous()}, tmp_path / "model.safetensors")
    settings = json.loads(saved[0])
    settings["sha256"]["arrays"] = file_sha256(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(sx.InputError, match="save it again"):
        sx.SpaCEX.load(tmp_path)


def test_a_folder_without_a_model_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "absent", tmp_path, tmp_path / "file"):
        with pytest.raises(sx.InputError, match=r"contains no config.json; pass a folder that SpaCEX.save"):
            sx.SpaCEX.load(folder)
