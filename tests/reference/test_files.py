"""Reference files: exact round trip, quantization, damaged and foreign files."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import save_file

import spacex as sx
from spacex.reference.files import HEADER
from spacex.stats import l2_normalize


@pytest.fixture
def file(reference, tmp_path):
    path = tmp_path / "reference.safetensors"
    reference.save(path)
    return path


def contents(file):
    with safe_open(file, framework="numpy") as stored:
        return json.loads(stored.metadata()[HEADER]), {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118


def test_round_trip_is_exact(reference, file, tmp_path):
    loaded = sx.Reference.load(file)
    assert loaded.digest == reference.digest
    assert_array_equal(loaded.vectors, reference.vectors)
    assert loaded.sections.equals(reference.sections)
    assert repr(loaded) == repr(reference)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_a_loaded_reference_can_be_updated(reference, file, sections):
    added = {"new": sections["b"]}
    updated = sx.Reference.load(file).update(added, progress=False)
    assert updated.digest == reference.update(added, progress=False).digest


def test_quantization_error_is_bounded(reference, file, tmp_path):
    path = tmp_path / "small.safetensors"
    reference.save(path, quantize=True)
    loaded = sx.Reference.load(path)
    assert_array_equal(loaded.genes, reference.genes)
    for exact, rounded in zip(reference.state.groups, loaded.state.groups, strict=True):
        step = np.abs(exact.factor).max(axis=0) / 127
        assert (np.abs(rounded.factor - exact.factor) <= 0.501 * step).all()
        np.testing.assert_allclose(rounded.weight, exact.weight, rtol=1e-3)
        assert_array_equal(rounded.n_sections, exact.n_sections)
        first, second = (l2_normalize(group.vectors()) for group in (exact, rounded))
        assert np.abs(first @ first.T - second @ second.T).max() < 0.05
    header, arrays = contents(path)
    assert header["settings"]["quantized"]
    assert arrays["0.factor"].dtype == np.int8
    loaded.save(path, quantize=True)
    assert sx.Reference.load(path).sections.equals(reference.sections)


def test_existing_files_are_replaced(reference, file):
    file.write_text("old")
    reference.save(file)
    assert sx.Reference.load(file).digest == reference.digest
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("path", [3, "", "no_such_folder/x.safetensors"])
def test_invalid_paths_are_named(path, reference):
    for call in (reference.save, sx.Reference.load):
        with pytest.raises(sx.InputError, match="path="):
            call(path)


def truncated(file):
    file.write_bytes(file.read_bytes()[:-100])


def flipped(file):
    content = bytearray(file.read_bytes())
    content[-50] ^= 255
    file.write_bytes(content)


def text(file):
    file.write_text("no reference")


def foreign(file):
    save_file({"weight": np.zeros(3)}, file)


def no_json(file):
    save_file({"weight": np.zeros(3)}, file, metadata={HEADER: "{"})


def no_object(file):
    save_file({"weight": np.zeros(3)}, file, metadata={HEADER: "[1]"})


@pytest.mark.parametrize("damage", [truncated, flipped, text, foreign, no_json, no_object])
def test_damaged_files_raise_one_line(damage, file):
    damage(file)
    with pytest.raises(sx.InputError, match=file.name) as caught:
        sx.Reference.load(file)
    assert "\n" not in str(caught.value)


def set_entry(name, value):
    return lambda header, arrays: header.update({name: value})


def set_array(name, change):
    return lambda header, arrays: arrays.update({name: change(arrays[name])})


CHANGES = {
    "format": set_entry("format", 99),
    "unsorted genes": lambda header, arrays: header["genes"].reverse(),
    "genes of another type": lambda header, arrays: header["genes"].__setitem__(0, 3),
    "no sections": set_entry("sections", []),
    "unknown column": lambda header, arrays: header["sections"][0].update({"other": 1}),
    "number as name": lambda header, arrays: header["sections"][0].update({"name": 1}),
    "text as number": lambda header, arrays: header["sections"][0].update({"n_spots": "3"}),
    "no seed": lambda header, arrays: header.pop("seed"),
    "n_dims": set_entry("n_dims", 0),
    "versions": set_entry("versions", []),
    "missing array": lambda header, arrays: arrays.pop("0.factor"),
    "infinite factor": set_array("0.factor", lambda array: array * np.float32(np.inf)),
    "too many rows": set_array("0.factor", lambda array: np.vstack([array, array])),
    "vector as factor": set_array("0.factor", lambda array: array[:, 0].copy()),
    "weights of zero": set_array("0.weight", lambda array: array * 0),
    "negative number of sections": set_array("0.n_sections", lambda array: -array),
    "short numbers of sections": set_array("0.n_sections", lambda array: array[:-1].copy()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_invalid_contents_raise(change, file, monkeypatch):
    header, arrays = contents(file)
    CHANGES[change](header, arrays)
    save_file(arrays, file, metadata={HEADER: json.dumps(header)})
    with pytest.raises(sx.InputError, match=file.name):  # the checksum differs
        sx.Reference.load(file)
    monkeypatch.setattr("spacex.reference.files._checksum", lambda *_: header["sha256"])
    with pytest.raises(sx.InputError, match=file.name):
        sx.Reference.load(file)
