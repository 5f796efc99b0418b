"""Public tissue sections, fetched once and kept.

A file whose checksum is published is compared with it. Of the others the checksum of the first download is written
beside the file (``NAME.sha256``, as ``sha256sum`` writes it) and later ones are compared with that: what changes is
noticed, what was wrong from the start is not.
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
    """Fetch a section of the human dorsolateral prefrontal cortex with its manually drawn layers.

    Twelve Visium sections of three donors [1]_, the usual yardstick of tissue domains. Needs the extra ``fetch``.

    Parameters
    ----------
    section
        ``"151507"`` to ``"151510"``, ``"151669"`` to ``"151672"`` or ``"151673"`` to ``"151676"``: a donor each.
    folder
        Where the files are kept. None: the environment variable ``SPACEX_DATA``, or the cache of the user,
        ``pooch.os_cache("spacex")``.

    Returns
    -------
    AnnData
        Raw counts of all genes (151676: 3,460 spots), ``obsm["spatial"]`` (S, 2) in pixels of the full image,
        ``obs["layer"]`` (categorical, ``"L1"`` to ``"L6"`` and ``"WM"``, missing where the authors gave none), and
        what `spacex.read` finds in a Space Ranger folder.

    Raises
    ------
    InputError
        There is no such section, a file cannot be fetched (the message says where to put it by hand), or it is not
        the one that was fetched before.

    Notes
    -----
    The authors publish no checksums: those of the first download are kept beside the files, and later ones compared.

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
    home = _home(folder) / "dlpfc"
    _fetch(dlpfc_files(section), home / section)
    layers = _fetch([dlpfc_layers()], home)[0]
    adata = read(home / section)
    table = pd.read_csv(layers, sep="\t", header=None, names=["barcode", "section", "layer"], dtype=str)
    table = table[table["section"] == section].set_index("barcode")
    adata.obs["layer"] = table["layer"].reindex(adata.obs_names).astype("category")
    return adata


def fetch_visium(section: str = "V1_Adult_Mouse_Brain", *, folder: str | os.PathLike[str] | None = None) -> AnnData:
    """Fetch one of the public Visium sections of 10x Genomics (CC BY 4.0). Needs the extra ``fetch``.

    Parameters
    ----------
    section
        Name that 10x Genomics gave it: mouse brain (``"V1_Adult_Mouse_Brain"``,
        ``"V1_Adult_Mouse_Brain_Coronal_Section_1"``, ``"V1_Mouse_Brain_Sagittal_Anterior"`` and ``"..._Section_2"``,
        ``"V1_Mouse_Brain_Sagittal_Posterior"``), ``"V1_Mouse_Kidney"``, ``"V1_Human_Heart"``,
        ``"V1_Human_Lymph_Node"``, ``"V1_Breast_Cancer_Block_A_Section_1"`` and ``"..._2"``.
    folder
        Where the files are kept. None: the environment variable ``SPACEX_DATA``, or the cache of the user,
        ``pooch.os_cache("spacex")``.

    Returns
    -------
    AnnData
        Raw counts and what else `spacex.read` finds in a Space Ranger folder, images included.

    Raises
    ------
    InputError
        There is no such section, a file cannot be fetched (the message says where to put it by hand), or its
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
    home = _home(folder) / "visium" / section
    _, archive = _fetch(visium_files(section), home)
    if not list((home / "spatial").glob("tissue_positions*")):
        _unpack(archive, home / "spatial")
    return read(home)


def _home(folder: str | os.PathLike[str] | None) -> Path:
    check_installed("pooch", extra="fetch", purpose="fetching public sections")
    import pooch

    return Path(folder or os.environ.get(CACHE_VARIABLE) or pooch.os_cache("spacex")).expanduser()


def _fetch(files: Iterable[Remote], folder: Path) -> list[Path]:
    """Return the places of `files` below `folder`; only what is not there yet, or was changed, is fetched."""
    return [_fetch_file(file, folder / file.to) for file in files]


def _fetch_file(file: Remote, place: Path) -> Path:
    import pooch

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder='{place.parent}' cannot be made: {error}; pass another folder=") from error
    noted = place.with_name(f"{place.name}.sha256")
    known = file.sha256 or (noted.read_text().split()[0] if noted.is_file() else None)
    pooch.get_logger().setLevel("WARNING")  # it would tell the user to write the checksum into the program
    if not place.is_file():
        logger.info("fetching %s", file.url)
    try:
        pooch.retrieve(file.url, f"sha256:{known}" if known else None, fname=place.name, path=place.parent)
    except (OSError, ValueError) as error:
        wrong = isinstance(error, ValueError) and "hash" in str(error)
        happened = "sends a file with another checksum" if wrong else f"cannot be fetched ({type(error).__name__})"
        raise InputError(
            f"{file.url} {happened}; download it by hand to '{place}' "
            f"(SHA256 {known or 'not published: that of the first download is kept'})"
        ) from error
    if known is None:
        with atomic_file(noted) as file_of_hash:
            file_of_hash.write(f"{pooch.file_hash(str(place))}  {place.name}\n")
    return place


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the plain files of an archive into one folder, wherever the archive wants them."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            source = tar.extractfile(member) if member.isfile() else None
            if source is not None and Path(member.name).name not in ("", ".", ".."):
                with atomic_path(folder / Path(member.name).name) as draft, draft.open("wb") as file:
                    shutil.copyfileobj(source, file)
