"""`sx.read`: forms of the path, unknown inputs, and the registry of readers."""

from pathlib import Path

import pytest
from tests.io.layouts import COUNTS, message_of, to_anndata

import spacex as sx
from spacex.io import _readers, _registry


def test_path_may_be_text_and_start_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    to_anndata().write_h5ad(tmp_path / "section.H5AD")
    for path in ("~/section.H5AD", str(tmp_path / "section.H5AD"), tmp_path / "section.H5AD"):
        assert sx.read(path).shape == COUNTS.shape


def test_missing_path_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent/outs' cannot be found; check its spelling"):
        sx.read(tmp_path / "absent" / "outs")


def test_unknown_file_lists_the_formats(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    message = message_of(tmp_path / "notes.txt")
    for name in (".h5ad", ".zarr", "Space Ranger", "Visium HD", "Xenium"):
        assert name in message


def test_unknown_folder_lists_its_files(tmp_path):
    for i in range(12):
        (tmp_path / f"file{i:02}").touch()
    message = message_of(tmp_path)
    for text in ("file00, file01", "and 4 more", "Space Ranger"):
        assert text in message


def test_unknown_sample_raises(tmp_path):
    assert "sample='S3' names no file" in message_of(tmp_path, sample="S3")


def test_every_reader_is_registered_documented_and_tested():
    modules = {path.stem for path in Path(_readers.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == set(_registry.READER_NAMES)
    tests = {path.stem.removeprefix("test_") for path in (Path(__file__).parent / "readers").glob("test_*.py")}
    assert modules == tests
    for reader in _registry.READERS:
        assert all([callable(reader.sniff), callable(reader.read), reader.LAYOUT, reader.FILES])
        assert all(f"\n{part}: " in reader.__doc__ for part in ("Files", "Read", "Ignored")), reader.__name__
