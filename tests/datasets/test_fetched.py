"""Public sections are downloaded once and verified; without a network the error says how to save them manually."""

import hashlib
import io
import json
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h5py
import numpy as np
import pandas as pd
import pooch
import pytest
from matplotlib.image import imsave
from scipy import sparse

import spacex as sx
from spacex import InputError
from spacex.datasets import _addresses, fetch_dlpfc, fetch_visium

BARCODES = ["AAAC-1", "CCCG-1", "GGGT-1"]
HEART = "V1_Human_Heart"


def matrix_file():
    """Counts as 10x Genomics writes them, (spots x genes) [[1, 0], [0, 2], [3, 4]]."""
    counts = sparse.csc_matrix(np.array([[1, 0, 3], [0, 2, 4]]))
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(BARCODES, dtype="S")
        group["data"], group["indices"], group["indptr"] = counts.data, counts.indices, counts.indptr
        group["shape"] = np.array(counts.shape)
        for name, values in (("id", ["E0", "E1"]), ("name", ["MBP", "SNAP25"]), ("genome", ["g", "g"])):
            group[f"features/{name}"] = np.array(values, dtype="S")
        group["features/feature_type"] = np.array(["Gene Expression"] * 2, dtype="S")
    return memory.getvalue()


def positions_file():
    return b"".join(f"{name},1,{i},{2 * i},{10 * i},{20 * i}\n".encode() for i, name in enumerate(BARCODES))


def image_file():
    memory = io.BytesIO()
    imsave(memory, np.zeros((2, 3, 3)), format="png")
    return memory.getvalue()


def archive_file():
    """Pack a ``spatial/`` folder; one member tries to get out of it."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as tar:
        for name, content in (
            ("spatial/tissue_positions_list.csv", positions_file()),
            ("spatial/scalefactors_json.json", json.dumps({"tissue_lowres_scalef": 0.1}).encode()),
            ("../../outside.txt", b"out"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return memory.getvalue()


class Server:
    """A local web server with its files, and the paths that were requested."""

    def __init__(self):
        self.files, self.requests = {}, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append(self.path)
                content = server.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                """Keep quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch):
    """Serve one DLPFC section and one of 10x Genomics, and point the addresses there."""
    server = Server()
    server.files = {
        "/h5/151676_filtered_feature_bc_matrix.h5": matrix_file(),
        "/images/151676_tissue_lowres_image.png": image_file(),
        "/10X/151676/tissue_positions_list.txt": positions_file(),
        "/10X/151676/scalefactors_json.json": b'{"tissue_lowres_scalef": 0.1}',
        "/10X/barcode_level_layer_map.tsv": b"AAAC-1\t151676\tL1\nGGGT-1\t151676\tWM\nCCCG-1\t151507\tL3\n",
        f"/10x/{HEART}/{HEART}_filtered_feature_bc_matrix.h5": matrix_file(),
        f"/10x/{HEART}/{HEART}_spatial.tar.gz": archive_file(),
    }
    sums = tuple(
        hashlib.sha256(server.files[f"/10x/{HEART}/{HEART}_{name}"]).hexdigest()
        for name in ("filtered_feature_bc_matrix.h5", "spatial.tar.gz")
    )
    monkeypatch.setattr(_addresses, "DLPFC_BUCKET", server.address)
    monkeypatch.setattr(_addresses, "DLPFC_REPOSITORY", f"{server.address}/10X")
    monkeypatch.setattr(_addresses, "VISIUM_MIRROR", f"{server.address}/10x")
    monkeypatch.setitem(_addresses.VISIUM, HEART, sums)
    yield server
    server.close()


def message_of(fetch, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        fetch(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_dlpfc(tmp_path, server):
    adata = fetch_dlpfc(folder=tmp_path)
    np.testing.assert_array_equal(adata.X.toarray(), [[1, 0], [0, 2], [3, 4]])
    assert adata.var_names.tolist() == ["MBP", "SNAP25"]
    np.testing.assert_array_equal(adata.obsm["spatial"], [[0, 0], [20, 10], [40, 20]])
    assert adata.obs["layer"].tolist() == ["L1", np.nan, "WM"]  # CCCG-1 has a layer in another section only
    assert adata.obs["layer"].cat.categories.tolist() == ["L1", "WM"]
    assert adata.uns["spatial"]["151676"]["images"]["lowres"].shape[:2] == (2, 3)
    assert adata.uns["spatial"]["151676"]["scalefactors"] == {"tissue_lowres_scalef": 0.1}


def test_visium(tmp_path, server):
    adata = fetch_visium(HEART, folder=tmp_path)
    np.testing.assert_array_equal(adata.X.toarray(), [[1, 0], [0, 2], [3, 4]])
    assert adata.obs["array_col"].tolist() == [0, 2, 4]
    assert list(tmp_path.rglob("outside.txt")) == [tmp_path / "visium" / HEART / "spatial" / "outside.txt"]


@pytest.mark.parametrize(("fetch", "section"), [(fetch_dlpfc, "151676"), (fetch_visium, HEART)])
def test_the_second_time_needs_no_network(tmp_path, server, fetch, section):
    first = fetch(section, folder=tmp_path)
    n_requests = len(server.requests)
    assert n_requests == len(set(server.requests)) > 0
    server.close()
    again = fetch(section, folder=tmp_path)
    assert len(server.requests) == n_requests
    assert (first.X != again.X).nnz == 0
    pd.testing.assert_frame_equal(first.obs, again.obs)


def test_the_cache_of_the_user(tmp_path, server, monkeypatch):
    monkeypatch.delenv("SPACEX_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    fetch_dlpfc()
    assert (tmp_path / "spacex" / "dlpfc" / "151676" / "filtered_feature_bc_matrix.h5").is_file()


def test_the_folder_of_the_environment(tmp_path, server, monkeypatch):
    monkeypatch.setenv("SPACEX_DATA", str(tmp_path / "shared"))
    fetch_dlpfc()
    assert (tmp_path / "shared" / "dlpfc" / "151676" / "filtered_feature_bc_matrix.h5").is_file()
    fetch_dlpfc(folder=tmp_path / "mine")  # the argument comes first
    assert (tmp_path / "mine" / "dlpfc" / "151676" / "filtered_feature_bc_matrix.h5").is_file()


def test_a_wrong_checksum_is_refused(tmp_path, server):
    name = f"/10x/{HEART}/{HEART}_filtered_feature_bc_matrix.h5"
    server.files[name] = server.files[name] + b"more"
    message = message_of(fetch_visium, HEART, folder=tmp_path)
    assert "a different checksum" in message
    assert server.address + name in message
    assert _addresses.VISIUM[HEART][0] in message
    assert not (tmp_path / "visium" / HEART / "filtered_feature_bc_matrix.h5").exists()


def test_the_first_download_is_trusted_and_later_ones_compared(tmp_path, server):
    fetch_dlpfc(folder=tmp_path)
    counts = tmp_path / "dlpfc" / "151676" / "filtered_feature_bc_matrix.h5"
    noted = counts.with_name(f"{counts.name}.sha256").read_text()
    whole = server.files["/h5/151676_filtered_feature_bc_matrix.h5"]
    assert noted == f"{hashlib.sha256(whole).hexdigest()}  {counts.name}\n"

    counts.write_bytes(b"damaged")  # a file with a wrong checksum is downloaded again
    assert fetch_dlpfc(folder=tmp_path).n_obs == 3
    assert counts.read_bytes() == whole

    counts.unlink()  # and another file than the first is refused
    server.files["/h5/151676_filtered_feature_bc_matrix.h5"] = whole + b"more"
    assert "a different checksum" in message_of(fetch_dlpfc, folder=tmp_path)
    assert not counts.exists()


def test_offline(tmp_path, server):
    server.close()
    message = message_of(fetch_dlpfc, folder=tmp_path)
    path = tmp_path / "dlpfc" / "151676" / "filtered_feature_bc_matrix.h5"
    assert f"{server.address}/h5/151676_filtered_feature_bc_matrix.h5 cannot be downloaded" in message
    assert f"download it manually to '{path}'" in message
    assert "not published" in message
    assert _addresses.VISIUM[HEART][0] in message_of(fetch_visium, HEART, folder=tmp_path)


def test_files_put_there_by_hand(tmp_path, server):
    server.close()
    home = tmp_path / "visium" / HEART
    home.mkdir(parents=True)
    for name in ("filtered_feature_bc_matrix.h5", "spatial.tar.gz"):
        (home / name).write_bytes(server.files[f"/10x/{HEART}/{HEART}_{name}"])
    assert fetch_visium(HEART, folder=str(tmp_path)).n_obs == 3


def test_a_file_that_is_gone_from_the_server(tmp_path, server):
    del server.files["/10X/barcode_level_layer_map.tsv"]
    message = message_of(fetch_dlpfc, folder=tmp_path)
    assert "barcode_level_layer_map.tsv cannot be downloaded (HTTPError)" in message


def test_a_folder_that_is_a_file(tmp_path, server):
    (tmp_path / "here").touch()
    assert "pass another folder=" in message_of(fetch_dlpfc, folder=tmp_path / "here")


def test_unknown_sections(tmp_path):
    assert "section='7' is not allowed; pass one of '151507'" in message_of(fetch_dlpfc, "7", folder=tmp_path)
    assert "section=None" in message_of(fetch_visium, None, folder=tmp_path)


def test_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert 'pip install "spacex-st[fetch]"' in message_of(fetch_dlpfc, folder=tmp_path)


def test_published_checksums_are_checksums():
    sums = [value for pair in _addresses.VISIUM.values() for value in pair]
    assert len(set(sums)) == len(sums)
    assert all(len(value) == 64 and int(value, 16) for value in sums)
    files = [*_addresses.dlpfc_files("151676"), _addresses.dlpfc_layers(), *_addresses.visium_files(HEART)]
    assert all(file.url.startswith("https://") for file in files)
    assert set(sx.datasets.__all__) == {"fetch_dlpfc", "fetch_visium", "reference", "simulate_section", "toy"}
