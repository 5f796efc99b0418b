"""Files and folders that are not sections, with patterns of the expected messages."""

from __future__ import annotations

import gzip
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
from tests.invalid_input.calls import section
from tests.invalid_input.cases import FileKind as K


def content(name: str, data: bytes | str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return make


def absent(name: str) -> Callable[[Path], Path]:
    return lambda folder: folder / name


def cut(share: float) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        section().write_h5ad(folder / "cut.h5ad")
        whole = (folder / "cut.h5ad").read_bytes()
        (folder / "cut.h5ad").write_bytes(whole[: int(len(whole) * share)])
        return folder / "cut.h5ad"

    return make


def h5(name: str, fill: Callable[[h5py.File], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with h5py.File(folder / name, "w") as file:
            fill(file)
        return folder / name

    return make


def altered(change: Callable[[h5py.File], object], name: str = "altered.h5ad") -> Callable[[Path], Path]:
    """Write a section, and change its file."""

    def make(folder: Path) -> Path:
        section().write_h5ad(folder / name)
        with h5py.File(folder / name, "r+") as file:
            change(file)
        return folder / name

    return make


def remove(*keys: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        for key in keys:
            del file[key]

    return change


def encoding(key: str, version: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[key].attrs["encoding-version"] = version

    return change


def wrong_indices(file: h5py.File) -> None:
    file["X/indices"][:5] = 10**6


def shorter_data(file: h5py.File) -> None:
    data = file["X/data"][:-7]
    del file["X/data"]
    file["X/data"] = data


def claims_huge(file: h5py.File) -> None:
    """Declare a dense matrix of a petabyte without storing data."""
    del file["X"]
    matrix = file.create_dataset("X", shape=(10**7, 10**7), dtype="f8", chunks=(1000, 1000))
    matrix.attrs["encoding-type"], matrix.attrs["encoding-version"] = "array", "0.2.0"


def huge_shape(file: h5py.File) -> None:
    file["X"].attrs["shape"] = [2**60, 2**60]


def folder_of(*files: tuple[str, bytes | str]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "input").mkdir()
        for name, data in files:
            content(name, data)(folder / "input")
        return folder / "input"

    return make


def loop(folder: Path) -> Path:
    os.symlink(folder / "b.h5ad", folder / "a.h5ad")
    os.symlink(folder / "a.h5ad", folder / "b.h5ad")
    return folder / "a.h5ad"


def dangling(folder: Path) -> Path:
    os.symlink(folder / "gone.h5ad", folder / "a.h5ad")
    return folder / "a.h5ad"


def bomb(folder: Path) -> Path:
    """Write a gzipped table with one line of 200 MB of zeros in 200 kB."""
    with gzip.open(folder / "bomb.csv.gz", "wb", compresslevel=9) as file:
        for _ in range(200):
            file.write(b"0" * 2**20)
    return folder / "bomb.csv.gz"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.h5ad")
    return folder / "pipe.h5ad"


TABLE = "gene,s1,s2\nA,1,2\nB,3,4\n"
SPOTS = "barcode,x,y\ns1,0,1\ns2,1,0\n"
MTX = "%%MatrixMarket matrix coordinate integer general\n2 2 2\n1 1 5\n2 2 7\n"
NAMES = (("features.tsv", "g1\tA\ng2\tB\n"), ("barcodes.tsv", "s1\ns2\n"))
GEM = "geneID\tx\ty\tMIDCount\nA\t1\t1\t3\nB\t2\t2\t1\n"


def pair(counts: bytes | str = TABLE, spots: bytes | str = SPOTS) -> Callable[[Path], Path]:
    return folder_of(("counts.csv", counts), ("spots.csv", spots))


def market(mtx: str, *names: tuple[str, str]) -> Callable[[Path], Path]:
    return folder_of(("matrix.mtx", mtx), *(names or NAMES), ("spots.csv", SPOTS))


FILES: list[K] = [
    # of any format
    K("absent", absent("absent.h5ad"), r"cannot be found"),
    K("absent folder", absent("absent/"), r"cannot be found"),
    K("below a file", lambda folder: content("file", "")(folder) / "a.h5ad", r"cannot be found"),
    K("dangling link", dangling, r"cannot be found"),
    K("loop of links", loop, r"cannot be found"),
    K("a very long name", absent("x" * 300 + ".h5ad"), r"cannot be found|name too long"),
    K("a pipe", pipe, r"neither a file nor a folder"),
    K("a device", lambda folder: Path("/dev/null"), r"neither a file nor a folder"),
    K("another format", content("image.png", b"\x89PNG\r\n\x1a\n"), r"not in a supported format"),
    K("a text", content("notes.txt", "Dear all,\n"), r"no coordinates with it|one column"),
    K("a pickle", content("section.pkl", pickle.dumps({"X": 1})), r"not in a supported format"),
    K("no ending", content("section", b"abc"), r"not in a supported format"),
    # h5ad
    K("empty h5ad", content("a.h5ad", b""), r"is empty \(0 bytes\)"),
    K("text as h5ad", content("a.h5ad", "gene,s1\n"), r"not an HDF5 file"),
    K("HTML as h5ad", content("a.h5ad", "<!doctype html><title>404</title>"), r"not an HDF5 file"),
    K("zeros as h5ad", content("a.h5ad", bytes(5000)), r"not an HDF5 file"),
    K("signature alone", content("a.h5ad", b"\x89HDF\r\n\x1a\n"), r"not a readable HDF5|not an HDF5"),
    K("pickle as h5ad", content("a.h5ad", pickle.dumps([1])), r"not an HDF5 file"),
    K("cut in half", cut(0.5), r"not a readable"),
    K("cut at the end", cut(0.99), r"not a readable"),
    K("cut at the start", cut(0.01), r"not a readable|not an HDF5"),
    K("a folder named h5ad", lambda folder: folder_of()(folder).rename(folder / "a.h5ad"), r"is a folder that holds"),
    K("HDF5 without AnnData", h5("a.h5ad", lambda f: f.create_dataset("x", data=[1])), r"HDF5 but not AnnData"),
    K("HDF5 of nothing", h5("a.h5ad", lambda f: None), r"HDF5 but not AnnData"),
    K("without var", altered(remove("var")), r"HDF5 but not AnnData \(var missing"),
    K("without obs", altered(remove("obs")), r"HDF5 but not AnnData \(obs missing"),
    K("without the index of obs", altered(remove("obs/_index")), r"not a readable"),
    K("without indptr", altered(remove("X/indptr")), r"not a readable"),
    K("a version of the future", altered(encoding("X", "99.0.0")), r"not a readable"),
    K("indices outside", altered(wrong_indices), r"not a readable|indices|X"),
    K("fewer data than indices", altered(shorter_data), r"not a readable|X"),
    K("a petabyte", altered(claims_huge), r"/X claims 8e[+]05 GB but stores \d+ bytes"),
    K("a huge shape", altered(huge_shape), r"not a readable|shape|does not fit|too large"),
    K("an array in another file", altered(lambda f: f.create_dataset("uns/x", (4,), "u1", external=[
        ("/etc/passwd", 0, 4)])), r"/uns/x is stored in another file"),
    K("a link out of the file", altered(lambda f: (remove("X")(f), f.__setitem__("X", h5py.ExternalLink(
        "/etc/hostname", "x")))), r"X is a link to another file"),
    K("a soft link to itself", altered(lambda f: (remove("X")(f), f.__setitem__("X", h5py.SoftLink("/X")))),
      r"not a readable|link"),
    # zarr
    K("an empty zarr", lambda folder: folder_of()(folder).rename(folder / "a.zarr"), r"holds nothing"),
    K("zarr without tables", folder_of((".zgroup", '{"zarr_format": 2}')), r"neither an AnnData nor a SpatialData"),
    K("zarr of broken JSON", folder_of((".zgroup", "{"), ("obs/.zgroup", "{"), ("var/.zgroup", "{")),
      r"not a readable"),
    K("zarr of the future", folder_of(("zarr.json", '{"zarr_format": 9}'), ("obs/zarr.json", "{}"),
                                      ("var/zarr.json", "{}")), r"not a readable"),
    # tables
    K("an empty folder", folder_of(), r"holds nothing"),
    K("a folder of something", folder_of(("a.jpg", "x")), r"is a folder that holds a.jpg"),
    K("counts without coordinates", folder_of(("counts.csv", TABLE)), r"one of coordinates"),
    K("coordinates without counts", folder_of(("spots.csv", SPOTS)), r"one file of counts"),
    K("two counts", folder_of(("a.csv", TABLE), ("b.csv", TABLE), ("spots.csv", SPOTS)), r"one file of counts"),
    K("counts alone", content("counts.csv", TABLE), r"no coordinates with it"),
    K("an empty table", pair(counts=""), r"is empty"),
    K("a header alone", pair(counts="gene,s1,s2\n"), r"no rows"),
    K("a ragged table", pair(counts="gene,s1,s2\nA,1,2\nB,3,4,5,6\n"), r"not a readable count table"),
    K("a table that ends early", pair(counts="gene,s1,s2\nA,1,2\nB,3"), r"has no count in row 'B'"),
    K("words for counts", pair(counts="gene,s1,s2\nA,1,many\nB,3,4\n"), r"not a readable count table"),
    K("NaN for counts", pair(counts="gene,s1,s2\nA,1,nan\nB,3,4\n"), r"has no count in row 'A'"),
    K("bytes for counts", pair(counts=b"gene,s1,s2\n\xff\xfe\x00,1,2\n"), r"not a readable"),
    K("UTF-16", pair(counts=TABLE.encode("utf-16")), r"not a readable|do not fit|one file"),
    K("null bytes", pair(counts="gene,s1,s2\nA,1,2\n" + "\0" * 100), r"has no count|not a readable"),
    K("other spots", pair(spots="barcode,x,y\nq1,0,1\nq2,1,0\n"), r"neither rows nor columns are spot names"),
    K("words for places", pair(spots="barcode,x,y\ns1,here,1\ns2,1,0\n"), r"coordinate that is not a number"),
    K("NaN for places", pair(spots="barcode,x,y\ns1,,1\ns2,1,0\n"), r"holds 1 NaN"),
    K("a spot twice", pair(spots="barcode,x,y\ns1,0,1\ns1,1,0\n"), r"repeats 's1'"),
    K("a spot without a place", pair(spots="barcode,x,y\ns1,0,1\n"), r"no position for 1 of the 2"),
    K("gzip that is none", folder_of(("counts.csv.gz", b"\x1f\x8b" + TABLE.encode()), ("spots.csv", SPOTS)),
      r"not a readable"),
    K("gzip cut off", folder_of(("counts.csv.gz", gzip.compress(TABLE.encode() * 500)[:-40]), ("spots.csv", SPOTS)),
      r"not a readable"),
    K("a gzip bomb", bomb, r"line|no coordinates|large"),
    # MatrixMarket
    K("no matrix in it", market("no matrix\n"), r"not a readable MatrixMarket"),
    K("an empty mtx", market(""), r"not a readable MatrixMarket|empty"),
    K("fewer entries than said", market(MTX.replace("2 2 2", "2 2 9")), r"not a readable MatrixMarket"),
    K("indices beyond", market(MTX.replace("2 2 7", "9 9 7")), r"not a readable MatrixMarket"),
    K("index zero", market(MTX.replace("2 2 7", "0 0 7")), r"not a readable MatrixMarket"),
    K("claims 10^18 entries", market(MTX.replace("2 2 2\n", f"2 2 {10**18}\n")), r"not a readable|entries|large"),
    K("claims 10^12 rows", market(MTX.replace("2 2 2\n", f"{10**12} {10**12} 2\n")), r"but there are 2 features|large"),
    K("dense mtx of 10^18", market(f"%%MatrixMarket matrix array real general\n{10**9} {10**9}\n1\n"),
      r"not a readable|large|but there are"),
    K("complex mtx", market(MTX.replace("integer", "complex").replace("1 5", "1 5 1").replace("2 7", "2 7 1")),
      r"complex|not a readable"),
    K("negative counts of mtx", market(MTX.replace("2 2 7", "2 2 nan")), r"not a readable|NaN"),
    K("mtx without features", folder_of(("matrix.mtx", MTX), ("spots.csv", SPOTS)), r"lacks its companion"),
    K("mtx of other sides", market(MTX, ("features.tsv", "A\nB\nC\n"), NAMES[1]), r"but there are 3 features"),
    # Stereo-seq
    K("an empty gem", content("a.gem", ""), r"lacks the column|empty"),
    K("a gem of a header", content("a.gem", GEM.split("\n")[0] + "\n"), r"no molecules"),
    K("a gem without x", content("a.gem", GEM.replace("\tx", "\tz")), r"lacks the column\(s\) x"),
    K("words in a gem", content("a.gem", GEM.replace("2\t2", "here\t2")), r"not a readable GEM"),
    K("negative places in a gem", content("a.gem", GEM.replace("2\t2", "-2\t2")), r"must be 0 to"),
    K("places of 2^60 in a gem", content("a.gem", GEM.replace("2\t2", f"{2**60}\t2")), r"must be 0 to"),
    K("negative counts in a gem", content("a.gem", GEM.replace("1\t3", "1\t-3")), r"negative"),
    K("counts of 2^70 in a gem", content("a.gem", GEM.replace("1\t3", f"1\t{2**70}")), r"not a readable GEM"),
    K("a gem that is a picture", content("a.gem.gz", b"\x89PNG" * 20), r"not a readable"),
    K("a gef of nothing", h5("a.gef", lambda f: None), r"lacks geneExp/bin1"),
    K("a gef of other arrays", h5("a.gef", lambda f: f.create_dataset("geneExp/bin1/gene", data=[1, 2])),
      r"not a readable GEF"),
    K("cells of nothing", h5("a.cellbin.gef", lambda f: None), r"lacks cellBin/cell"),
    # vendors
    K("outs without positions", lambda folder: h5("filtered_feature_bc_matrix.h5", lambda f: None)(folder).parent,
      r"filtered_feature_bc_matrix.h5|lacks"),
    K("Visium HD without bins", folder_of(("binned_outputs/a.txt", "")), r"bin(='| )008um'? is not in"),
    K("Xenium without cells", folder_of(("cell_feature_matrix.h5", b"")), r"lacks cells.csv"),
    K("MERSCOPE without cells", folder_of(("cell_by_gene.csv", "cell,A\n1,2\n")), r"lacks cell_metadata.csv"),
    K("CosMx without counts", folder_of(("a_metadata_file.csv", "fov,cell_ID\n1,1\n")), r"lacks exprMat_file.csv"),
]  # fmt: skip
