"""`read_gene_sets`: gene sets from GMT files and mappings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from spacex._infra.errors import InputError
from spacex._infra.validation import check_path

GeneSets = str | os.PathLike[str] | Mapping[str, Iterable[str]]


def read_gene_sets(gene_sets: GeneSets) -> dict[str, list[str]]:
    """Read gene sets from a GMT file or a mapping.

    Parameters
    ----------
    gene_sets
        Path of a GMT file, or a mapping from the name of a set to its genes.

    Returns
    -------
    A dict from the name of a set to its genes.

    Raises
    ------
    InputError
        If the file is missing or malformed, or if there are no gene sets.

    Examples
    --------
    >>> import spacex as sx
    >>> sx.tl.read_gene_sets({"myelin": ["MBP", "PLP1"]})
    {'myelin': ['MBP', 'PLP1']}
    """
    if isinstance(gene_sets, (str, os.PathLike)):
        return _read_gmt(check_path(gene_sets, name="gene_sets", hint="the path of a GMT file"))
    if not isinstance(gene_sets, Mapping):
        raise InputError(
            f"gene_sets is a {type(gene_sets).__name__}; pass the path of a GMT file or a dict from name to genes"
        )
    for term, symbols in gene_sets.items():
        if isinstance(symbols, (str, bytes)) or not isinstance(symbols, Iterable):
            raise InputError(f"gene_sets[{term!r}] is {symbols!r}; pass a list of genes")
    sets = {str(term): [str(symbol) for symbol in symbols] for term, symbols in gene_sets.items()}
    if not any(sets.values()):
        raise InputError("gene_sets holds no genes; pass a dict from name to genes")
    return sets


def _read_gmt(path: Path) -> dict[str, list[str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"gene_sets='{path}' cannot be found; check its spelling and the working directory") from None
    except UnicodeDecodeError:
        raise InputError(f"gene_sets='{path}' is not text; pass a GMT file, not compressed") from None
    except OSError as error:
        raise InputError(f"gene_sets='{path}' cannot be read: {error.strerror}; pass a GMT file") from None
    sets: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        term, *rest = line.rstrip("\r\n").split("\t")
        # Enrichr appends weights after a comma: "MBP,1.0".
        symbols = [field.split(",")[0].strip() for field in rest[1:] if field.strip()]
        if not term.strip() or not symbols:
            raise InputError(
                f"gene_sets='{path}' line {number} is not GMT: pass name, description and genes, separated by tabs"
            )
        if term in sets:
            raise InputError(f"gene_sets='{path}' line {number} repeats the set {term!r}; give every set a unique name")
        sets[term] = symbols
    if not sets:
        raise InputError(
            f"gene_sets='{path}' is empty; pass a GMT file: name, description and genes, separated by tabs"
        )
    return sets
