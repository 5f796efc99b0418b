"""Nothing is let in: no code from files, no sizes beyond what is stored, no paths out of a folder, no markup."""

from __future__ import annotations

import ast
import io
import json
import pickle
import resource
import struct
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from tests.invalid_input.calls import model, section

import spacex as sx
from spacex import report
from spacex.datasets._fetched import _unpack

SOURCE = Path(sx.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
RUN_CODE = {"eval", "exec", "compile", "__import__"}
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
SHELLS = {("os", "system"), ("os", "popen"), ("torch", "load"), ("torch", "save"), ("pd", "read_pickle")}


def forbidden(tree: ast.AST) -> list[str]:
    """What in a module could run code that a file holds."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").split(".")[0] in UNPICKLERS else []
        elif isinstance(node, ast.Call):
            function, keywords = node.func, {keyword.arg: keyword.value for keyword in node.keywords}
            if isinstance(function, ast.Name) and function.id in RUN_CODE:
                found.append(function.id)
            if isinstance(function, ast.Attribute):
                owner = function.value.id if isinstance(function.value, ast.Name) else ""
                if (owner, function.attr) in SHELLS or function.attr in ("read_pickle", "to_pickle", "extractall"):
                    found.append(f"{owner}.{function.attr}")
            for name in ("allow_pickle", "shell"):
                value = keywords.get(name)
                if value is not None and not (isinstance(value, ast.Constant) and value.value is False):
                    found.append(f"{name}=")
    return found


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(SOURCE)) for file in FILES])
def test_no_file_can_run_code(file: Path) -> None:
    assert forbidden(ast.parse(file.read_text())) == []


@pytest.mark.parametrize("code", [
    "import pickle", "from joblib import load", "eval('1')", "exec(x)", "torch.load(p)",
    "np.load(p, allow_pickle=True)", "np.load(p, allow_pickle=yes)", "subprocess.run(x, shell=True)",
    "pd.read_pickle(p)", "tar.extractall(p)",
])  # fmt: skip
def test_the_search_finds_them(code: str) -> None:
    assert forbidden(ast.parse(code))


class Exploit:
    """What a pickle runs when it is read."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("exploited"),)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def npz_of_objects(place: Path) -> None:
    np.savez(place, np.array([Exploit()], dtype=object))


def torch_file(place: Path) -> None:
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Exploit()))


def h5ad_of_pickles(place: Path) -> None:
    section().write_h5ad(place)
    with h5py.File(place, "r+") as file:
        file["uns/evil"] = np.void(pickle.dumps(Exploit()))
        file["uns/evil"].attrs["pickle"] = np.void(pickle.dumps(Exploit()))


@pytest.mark.parametrize("name", ["a.h5ad", "a.npz", "a.pkl", "a.csv", "a.mtx", "a.gem", "a.h5", "a.parquet"])
@pytest.mark.parametrize("make", [npz_of_objects, torch_file, lambda p: p.write_bytes(pickle.dumps(Exploit()))],
                         ids=["npz", "torch", "pickle"])  # fmt: skip
def test_a_pickle_is_no_section(here: Path, name: str, make) -> None:
    made = here / "made.npz"
    make(made)
    made.rename(here / name)
    with pytest.raises(sx.InputError):
        sx.read(here / name)
    assert not (here / "exploited").exists()


def test_a_pickle_inside_a_section_stays_bytes(here: Path) -> None:
    h5ad_of_pickles(here / "a.h5ad")
    assert sx.read(here / "a.h5ad").n_vars == section().n_vars
    assert not (here / "exploited").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pickle_is_no_model(here: Path, name: str) -> None:
    model().save(here / "m")
    (here / "m" / name).write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(sx.InputError):
        sx.SpaCEX.load(here / "m")
    assert not (here / "exploited").exists()


# -- sizes -----------------------------------------------------------------------------------------------


def sealed(folder: Path, arrays: bytes) -> Path:
    """A model whose seals fit, as one who means harm would make it."""
    from spacex._infra.serialization import file_sha256, json_sha256

    model().save(folder)
    (folder / "model.safetensors").write_bytes(arrays)
    settings = json.loads((folder / "config.json").read_text())
    settings.pop("sha256")
    seals = {"settings": json_sha256(settings), "arrays": file_sha256(folder / "model.safetensors")}
    (folder / "config.json").write_text(json.dumps({**settings, "sha256": seals}))
    return folder


def header(text: str, n_bytes: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if n_bytes is None else n_bytes) + text.encode()


HUGE = '{"a": {"dtype": "F32", "shape": [1000000, 1000000], "data_offsets": [0, 4000000000000]}}'


@pytest.mark.parametrize("arrays", [
    header(HUGE), header("{}", 2**62), header("{}", 2**32), header("[1]"), b"", b"\0" * 8, header("{" * 50_000),
    header('{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}') + b"\0" * 4, header("{}"),
    header('{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}') + b"\0" * 4,
], ids=str)  # fmt: skip
def test_arrays_that_lie_about_their_size(here: Path, arrays: bytes) -> None:
    folder = sealed(here / "m", arrays)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30, before[1]))
    try:
        with pytest.raises(sx.InputError, match=r"cannot be read|not written by save"):
            sx.SpaCEX.load(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(("name", "value"), [
    ("n_modules", 10**9), ("n_modules", -1), ("null_mean", -1), ("null_shape", "x"), ("seed", 2**99), ("seed", "x"),
    ("layout", []), ("layout", [{"shape": [10**9, 10**9], "kind": "hex", "aspect": 1, "pitch": 1}]), ("layout", 3),
    ("layout", [{"shape": [2048, 2048], "kind": "hex", "aspect": 1, "pitch": 1}] * 10**5),
    ("layout", [{"shape": [3, 3], "kind": "x", "aspect": 1, "pitch": 1}] * 10**5), ("history", 3), ("config", 3),
    ("config", {"d_model": 10**9, "n_heads": 1, "n_layers": 10**6, "epochs": 1}), ("config", {"epochs": "x"}),
])  # fmt: skip
def test_settings_that_no_model_has(here: Path, name: str, value: object) -> None:
    from spacex._infra.serialization import file_sha256, json_sha256

    model().save(here / "m")
    settings = {**json.loads((here / "m" / "config.json").read_text()), name: value}
    settings.pop("sha256")
    seals = {"settings": json_sha256(settings), "arrays": file_sha256(here / "m" / "model.safetensors")}
    (here / "m" / "config.json").write_text(json.dumps({**settings, "sha256": seals}))
    with pytest.raises(sx.InputError):
        sx.SpaCEX.load(here / "m")


# -- paths -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../escaped.csv", "/tmp/escaped.csv", "spatial/../../../escaped.csv", "..", "."])
def test_members_of_an_archive_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    archive, folder = tmp_path / "a.tar.gz", tmp_path / "deep" / "spatial"
    folder.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        for member, data in ((name, b"1"), ("spatial/tissue_positions.csv", b"2")):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("spatial/link.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    _unpack(archive, folder)
    assert {path.name for path in folder.iterdir()} <= {"tissue_positions.csv", "escaped.csv"}
    assert not Path("/tmp/escaped.csv").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz", "deep"}


def test_a_table_of_a_store_is_one_of_its_folders(tmp_path: Path) -> None:
    """What a store names is looked up among its folders, never joined to a path."""
    (tmp_path / "a.zarr" / "tables").mkdir(parents=True)
    (tmp_path / "a.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(sx.InputError, match="neither an AnnData nor"):
        sx.read(tmp_path / "a.zarr", bin="../../..")


# -- markup ----------------------------------------------------------------------------------------------

HOSTILE = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "{{ 7*7 }}",
    "javascript:alert(1)", "\"><svg/onload=alert(1)>", "'-alert(1)-'", "<!--", "]]>", "\u2028alert(1)", "${alert(1)}",
    "</title><script>alert(1)</script>", "&lt;b&gt;", "</style><script>alert(1)</script>", "<base href=//evil.example>",
)  # fmt: skip


def test_every_name_on_the_page_is_text() -> None:
    from tests.report.test_report import Reader

    adata = section().copy()
    names = list(adata.var_names)
    strong = np.argsort(-np.nan_to_num(np.linalg.norm(adata.varm["X_spacex"], axis=1)))[: len(HOSTILE)]
    for gene, name in zip(strong, HOSTILE, strict=True):
        names[gene] = name
    adata.var_names = names
    for column, frame in (("spacex_module", adata.var), ("spacex_domain", adata.obs)):
        known = [name for name in frame[column].cat.categories if name != "unassigned"]
        frame[column] = frame[column].cat.rename_categories(dict(zip(known, HOSTILE, strict=False)))
    renamed = {f"s{i}": HOSTILE[i] for i in range(4)}
    adata.obs["slice"] = pd.Categorical([renamed[str(name)] for name in adata.obs["slice"]])
    gridded = [renamed[str(name)] for name in adata.uns["spacex"]["grid"]["section"]]
    adata.uns["spacex"]["grid"]["section"] = np.array(gridded, dtype=object)
    adata.uns["spacex"]["run"] = {"input": HOSTILE[7], "seconds": {HOSTILE[0]: 1.0}}
    adata.uns["spacex"]["versions"] = {HOSTILE[1]: HOSTILE[2]}
    modules = [name for name in adata.var["spacex_module"].cat.categories if name != "unassigned"]
    found = pd.DataFrame({
        "module": [modules[i % len(modules)] for i in range(len(HOSTILE))], "term": HOSTILE, "overlap": 3, "size": 5,
        "pvalue": 1e-9, "qvalue": 1e-9, "genes": ["a,b"] * len(HOSTILE),
    })  # fmt: skip
    page = report.build(adata, enrichment=found, title=HOSTILE[11])
    clean = report.build(section(), title="plain")
    read, plain = Reader(page), Reader(clean)
    assert {tag for tag, _ in read.tags} <= {tag for tag, _ in plain.tags} | {
        "details",
        "summary",
        "caption",
        "ol",
        "ul",
        "li",
    }
    assert len(read.attributes("script")) == len(plain.attributes("script"))
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    policies, plain_policies = (
        [m["content"] for m in html.attributes("meta") if m.get("http-equiv") == "Content-Security-Policy"]
        for html in (read, plain)
    )
    assert policies == plain_policies
    assert "default-src 'none'" in policies[0]
    assert "unsafe" not in policies[0].split("style-src")[0]
    assert "49" not in [word.strip() for word in read.texts if word.strip() == "49"]
    said = "".join(read.texts)
    assert sum(name in said for name in HOSTILE) > len(HOSTILE) // 2  # they are shown, as text
