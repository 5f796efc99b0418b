"""Public tissue sections, downloaded once and cached.

Files are verified by their published SHA-256. Without one, the checksum of the first download is written beside the
file (``NAME.sha256``, in the format of ``sha256sum``), and later downloads are compared with it; a corrupt first
download is not detected.
"""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from spacex._infra.atomic_write import atomic_file, atomic_path
from spacex._infra.errors import InputError
from spacex._infra.validation import check_choice, check_installed
from spacex.datasets._addresses import DLPFC_SECTIONS, VISIUM, Remote, dlpfc_files, dlpfc_layers, visium_files
from spacex.io import read

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger("spacex")

CACHE_VARIABLE = "SPACEX_DATA"


def fetch_dlpfc(section: str = "151676", *, folder: str | os.PathLike[str] | None = None) -> AnnData:
    """Fetch a section of the human dorsolateral prefrontal cortex with its manually annotated layers.

    Twelve Visium sections of three donors [1]_, a common benchmark of tissue domains. Needs the extra ``fetch``.

    Parameters
    ----------
    section
        ``"151507"`` to ``"151510"``, ``"151669"`` to ``"151672"`` or ``"151673"`` to ``"151676"``, one range per donor.
    folder
        Folder of the files. None: the environment variable ``SPACEX_DATA``, or the user's cache,
        ``pooch.os_cache("spacex")``.

    Returns
    -------
    AnnData
        Raw counts of all genes (151676: 3,460 spots), ``obsm["spatial"]`` (S, 2) in pixels of the full image,
        ``obs["layer"]`` (categorical, ``"L1"`` to ``"L6"`` and ``"WM"``, missing if not annotated), and
        everything that `spacex.read` reads from a Space Ranger folder.

    Raises
    ------
    InputError
        If the section is unknown, a file cannot be downloaded (the message says where to save it manually), or its
        checksum differs from that of the first download.

    Notes
    -----
    The authors publish no checksums; those of the first download are stored beside the files.

    References
    ----------
    .. [1] Maynard et al. (2021), Nature Neuroscience 24, 425-436, doi:10.1038/s41593-020-00787-0.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.fetch_dlpfc("151676")  # doctest: +SKIP
    >>> sx.datasets.fetch_dlpfc("1")
    Traceback (most recent call last):
    spacex._infra.errors.InputError: section='1' is not allowed; pass one of '151507', '151508', ...
    """
    check_choice(section, name="section", allowed=DLPFC_SECTIONS)
    cache = _cache_folder(folder) / "dlpfc"
    _fetch(dlpfc_files(section), cache / section)
    layers = _fetch([dlpfc_layers()], cache)[0]
    adata = read(cache / section)
    table = pd.read_csv(layers, sep="\t", header=None, names=["barcode", "section", "layer"], dtype=str)
    table = table[table["section"] == section].set_index("barcode")
    adata.obs["layer"] = table["layer"].reindex(adata.obs_names).astype("category")
    return adata


def fetch_visium(section: str = "V1_Adult_Mouse_Brain", *, folder: str | os.PathLike[str] | None = None) -> AnnData:
    """Fetch a public Visium section of 10x Genomics (CC BY 4.0). Needs the extra ``fetch``.

    Parameters
    ----------
    section
        Name of the section at 10x Genomics: mouse brain (``"V1_Adult_Mouse_Brain"``,
        ``"V1_Adult_Mouse_Brain_Coronal_Section_1"``, ``"V1_Mouse_Brain_Sagittal_Anterior"`` and ``"..._Section_2"``,
        ``"V1_Mouse_Brain_Sagittal_Posterior"``), ``"V1_Mouse_Kidney"``, ``"V1_Human_Heart"``,
        ``"V1_Human_Lymph_Node"``, ``"V1_Breast_Cancer_Block_A_Section_1"`` and ``"..._2"``.
    folder
        Folder of the files. None: the environment variable ``SPACEX_DATA``, or the user's cache,
        ``pooch.os_cache("spacex")``.

    Returns
    -------
    AnnData
        Raw counts and everything else that `spacex.read` reads from a Space Ranger folder, including images.

    Raises
    ------
    InputError
        If the section is unknown, a file cannot be downloaded (the message says where to save it manually), or its
        checksum is not the published one.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.fetch_visium("V1_Human_Lymph_Node")  # doctest: +SKIP
    >>> sx.datasets.fetch_visium("V1_Human_Toe")
    Traceback (most recent call last):
    spacex._infra.errors.InputError: section='V1_Human_Toe' is not allowed; pass one of 'V1_Adult_Mouse_Brain', ...
    """
    check_choice(section, name="section", allowed=tuple(VISIUM))
    cache = _cache_folder(folder) / "visium" / section
    _, archive = _fetch(visium_files(section), cache)
    if not list((cache / "spatial").glob("tissue_positions*")):
        _unpack(archive, cache / "spatial")
    return read(cache)


def _cache_folder(folder: str | os.PathLike[str] | None) -> Path:
    check_installed("pooch", extra="fetch", purpose="fetching public sections")
    import pooch

    return Path(folder or os.environ.get(CACHE_VARIABLE) or pooch.os_cache("spacex")).expanduser()


def _fetch(files: Iterable[Remote], folder: Path) -> list[Path]:
    """Return the paths of `files` below `folder`; missing or changed files are downloaded."""
    return [_fetch_file(file, folder / file.to) for file in files]


def _fetch_file(file: Remote, path: Path) -> Path:
    import pooch

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder='{path.parent}' cannot be created: {error}; pass another folder=") from error
    checksum_file = path.with_name(f"{path.name}.sha256")
    checksum = file.sha256 or (checksum_file.read_text().split()[0] if checksum_file.is_file() else None)
    pooch.get_logger().setLevel("WARNING")  # hides the advice to hard-code the checksum
    if not path.is_file():
        logger.info("fetching %s", file.url)
    try:
        pooch.retrieve(file.url, f"sha256:{checksum}" if checksum else None, fname=path.name, path=path.parent)
    except (OSError, ValueError) as error:
        is_mismatch = isinstance(error, ValueError) and "hash" in str(error)
        problem = "has a different checksum" if is_mismatch else f"cannot be downloaded ({type(error).__name__})"
        raise InputError(
            f"{file.url} {problem}; download it manually to '{path}' (SHA256 {checksum or 'not published'})"
        ) from error
    if checksum is None:
        with atomic_file(checksum_file) as output:
            output.write(f"{pooch.file_hash(str(path))}  {path.name}\n")
    return path


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the regular files of an archive into one folder, ignoring their paths in the archive."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            source = tar.extractfile(member) if member.isfile() else None
            if source is not None and Path(member.name).name not in ("", ".", ".."):
                with atomic_path(folder / Path(member.name).name) as draft, draft.open("wb") as file:
                    shutil.copyfileobj(source, file)
