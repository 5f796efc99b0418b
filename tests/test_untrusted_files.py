"""Untrusted files cannot run code, claim false sizes, write outside of a folder, or add markup."""

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
    """Return the names in a module that could run code stored in a file."""
    names_used = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names_used += [alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom):
            names_used += [node.module] if (node.module or "").split(".")[0] in UNPICKLERS else []
        elif isinstance(node, ast.Call):
            function, keywords = node.func, {keyword.arg: keyword.value for keyword in node.keywords}
            if isinstance(function, ast.Name) and function.id in RUN_CODE:
                names_used.append(function.id)
            if isinstance(function, ast.Attribute):
                owner = function.value.id if isinstance(function.value, ast.Name) else ""
                if (owner, function.attr) in SHELLS or function.attr in ("read_pickle", "to_pickle", "extractall"):
                    names_used.append(f"{owner}.{function.attr}")
            for name in ("allow_pickle", "shell"):
                value = keywords.get(name)
                if value is not None and not (isinstance(value, ast.Constant) and value.value is False):
                    names_used.append(f"{name}=")
    return names_used


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(SOURCE)) for file in FILES])
def test_no_file_can_run_code(file: Path) -> None:
    assert forbidden(ast.parse(file.read_text())) == []


@pytest.mark.parametrize("code", [
    "import pickle", "from joblib import load", "eval('1')", "exec(x)", "torch.load(p)",
    "np.load(p, allow_pickle=True)", "np.load(p, allow_pickle=yes)", "subprocess.run(x, shell=True)",
    "pd.read_pickle(p)", "tar.extractall(p)",
])  # fmt: skip
def test_search_finds_forbidden_calls(code: str) -> None:
    assert forbidden(ast.parse(code))


class Exploit:
    """Object whose pickle runs code when it is loaded."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("exploited"),)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def npz_of_objects(path: Path) -> None:
    np.savez(path, np.array([Exploit()], dtype=object))


def torch_file(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Exploit()))


def h5ad_of_pickles(path: Path) -> None:
    section().write_h5ad(path)
    with h5py.File(path, "r+") as file:
        file["uns/evil"] = np.void(pickle.dumps(Exploit()))
        file["uns/evil"].attrs["pickle"] = np.void(pickle.dumps(Exploit()))


@pytest.mark.parametrize("name", ["a.h5ad", "a.npz", "a.pkl", "a.csv", "a.mtx", "a.gem", "a.h5", "a.parquet"])
@pytest.mark.parametrize("make", [npz_of_objects, torch_file, lambda p: p.write_bytes(pickle.dumps(Exploit()))],
                         ids=["npz", "torch", "pickle"])  # fmt: skip
def test_pickles_are_not_sections(folder: Path, name: str, make) -> None:
    source = folder / "made.npz"
    make(source)
    source.rename(folder / name)
    with pytest.raises(sx.InputError):
        sx.read(folder / name)
    assert not (folder / "exploited").exists()


def test_pickle_in_a_section_is_not_loaded(folder: Path) -> None:
    h5ad_of_pickles(folder / "a.h5ad")
    assert sx.read(folder / "a.h5ad").n_vars == section().n_vars
    assert not (folder / "exploited").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_pickles_are_not_models(folder: Path, name: str) -> None:
    model().save(folder / "m")
    (folder / "m" / name).write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(sx.InputError):
        sx.SpaCEX.load(folder / "m")
    assert not (folder / "exploited").exists()


# -- sizes -----------------------------------------------------------------------------------------------


def with_valid_checksums(folder: Path, arrays: bytes) -> Path:
    """Save a model with other arrays and matching checksums, as an attacker could."""
    from spacex._infra.serialization import file_sha256, json_sha256

    model().save(folder)
    (folder / "model.safetensors").write_bytes(arrays)
    settings = json.loads((folder / "config.json").read_text())
    settings.pop("sha256")
    checksums = {"settings": json_sha256(settings), "arrays": file_sha256(folder / "model.safetensors")}
    (folder / "config.json").write_text(json.dumps({**settings, "sha256": checksums}))
    return folder


def header(text: str, n_bytes: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if n_bytes is None else n_bytes) + text.encode()


HUGE = '{"a": {"dtype": "F32", "shape": [1000000, 1000000], "data_offsets": [0, 4000000000000]}}'


@pytest.mark.parametrize("arrays", [
    header(HUGE), header("{}", 2**62), header("{}", 2**32), header("[1]"), b"", b"\0" * 8, header("{" * 50_000),
    header('{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}') + b"\0" * 4, header("{}"),
    header('{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}') + b"\0" * 4,
], ids=str)  # fmt: skip
def test_false_array_sizes_raise(folder: Path, arrays: bytes) -> None:
    model_folder = with_valid_checksums(folder / "m", arrays)
    used_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used_bytes + 2**30, before[1]))
    try:
        with pytest.raises(sx.InputError, match=r"cannot be read|not written by save"):
            sx.SpaCEX.load(model_folder)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(("name", "value"), [
    ("n_modules", 10**9), ("n_modules", -1), ("null_mean", -1), ("n_smooth", "x"), ("n_smooth", 10**9),
    ("n_smooth", 0), ("seed", 2**99), ("seed", "x"),
    ("layout", []), ("layout", [{"shape": [10**9, 10**9], "kind": "hex", "aspect": 1, "pitch": 1}]), ("layout", 3),
    ("layout", [{"shape": [2048, 2048], "kind": "hex", "aspect": 1, "pitch": 1}] * 10**5),
    ("layout", [{"shape": [3, 3], "kind": "x", "aspect": 1, "pitch": 1}] * 10**5), ("history", 3), ("config", 3),
    ("config", {"d_model": 10**9, "n_heads": 1, "n_layers": 10**6, "epochs": 1}), ("config", {"epochs": "x"}),
])  # fmt: skip
def test_invalid_settings_raise(folder: Path, name: str, value: object) -> None:
    from spacex._infra.serialization import file_sha256, json_sha256

    model().save(folder / "m")
    settings = {**json.loads((folder / "m" / "config.json").read_text()), name: value}
    settings.pop("sha256")
    checksums = {"settings": json_sha256(settings), "arrays": file_sha256(folder / "m" / "model.safetensors")}
    (folder / "m" / "config.json").write_text(json.dumps({**settings, "sha256": checksums}))
    with pytest.raises(sx.InputError):
        sx.SpaCEX.load(folder / "m")


# -- paths -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../escaped.csv", "/tmp/escaped.csv", "spatial/../../../escaped.csv", "..", "."])
def test_archive_members_stay_in_the_folder(tmp_path: Path, name: str) -> None:
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


def test_table_names_are_not_joined_to_paths(tmp_path: Path) -> None:
    """Names of tables are looked up among the folders of the store."""
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


def test_names_in_the_report_are_escaped() -> None:
    from tests.report.test_report import Reader

    adata = section().copy()
    names = list(adata.var_names)
    strong = np.argsort(-np.nan_to_num(np.linalg.norm(adata.varm["X_spacex"], axis=1)))[: len(HOSTILE)]
    for gene, name in zip(strong, HOSTILE, strict=True):
        names[gene] = name
    adata.var_names = names
    for column, frame in (("spacex_module", adata.var), ("spacex_domain", adata.obs)):
        names_before = [name for name in frame[column].cat.categories if name != "unassigned"]
        frame[column] = frame[column].cat.rename_categories(dict(zip(names_before, HOSTILE, strict=False)))
    renamed = {f"s{i}": HOSTILE[i] for i in range(4)}
    adata.obs["slice"] = pd.Categorical([renamed[str(name)] for name in adata.obs["slice"]])
    gridded = [renamed[str(name)] for name in adata.uns["spacex"]["grid"]["section"]]
    adata.uns["spacex"]["grid"]["section"] = np.array(gridded, dtype=object)
    adata.uns["spacex"]["run"] = {"input": HOSTILE[7], "seconds": {HOSTILE[0]: 1.0}}
    adata.uns["spacex"]["versions"] = {HOSTILE[1]: HOSTILE[2]}
    modules = [name for name in adata.var["spacex_module"].cat.categories if name != "unassigned"]
    enrichment = pd.DataFrame({
        "module": [modules[i % len(modules)] for i in range(len(HOSTILE))], "term": HOSTILE, "overlap": 3, "size": 5,
        "pvalue": 1e-9, "qvalue": 1e-9, "genes": ["a,b"] * len(HOSTILE),
    })  # fmt: skip
    page = report.build(adata, enrichment=enrichment, title=HOSTILE[11])
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
    text = "".join(read.texts)
    assert sum(name in text for name in HOSTILE) > len(HOSTILE) // 2  # shown as text
