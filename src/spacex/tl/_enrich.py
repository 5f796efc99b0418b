"""`enrich`: gene sets that a module, or the neighbourhood of a gene, holds more of than chance would give it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import hypergeom

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_names, check_path
from spacex.gene_names import GeneNames, fold
from spacex.stats import benjamini_hochberg, l2_normalize

logger = logging.getLogger("spacex")

GeneSets = str | os.PathLike[str] | Mapping[str, Iterable[str]]
COLUMNS = ("module", "term", "overlap", "size", "pvalue", "qvalue", "genes")


def enrich(
    adata: AnnData,
    gene_sets: GeneSets,
    *,
    min_size: int = 2,
    around: str | Sequence[str] | None = None,
    n_neighbors: int = 50,
) -> pd.DataFrame:
    r"""Over-representation of gene sets in every module, or among the nearest genes of some.

    The p-value is that of the hypergeometric distribution: of N embedded genes, K belong to a set and n to a module;
    the chance to find k or more of the set in the module is P(X >= k) (the one-sided exact test of Fisher 1935).
    The background is the embedded genes, with and without a module, not the genome. Q-values are those of Benjamini
    and Hochberg over all modules and sets, also over pairs without a gene in common, which are not listed.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called.
    gene_sets
        Path of a GMT file (a line a set: name, description and genes, separated by tabs), or a dict from name to genes.
        Genes by name or symbol, as written or else without regard to case; all genes of a symbol are taken.
    min_size
        Sets with fewer embedded genes are left out.
    around
        A gene or several, by name or symbol: instead of modules, test the genes nearest to each of them, without the
        gene itself.
    n_neighbors
        Size of such a neighbourhood.

    Returns
    -------
    A table, the smallest p-value first: ``module`` (with `around` the gene), ``term``, ``overlap`` (genes in both),
    ``size`` (embedded genes of the set), ``pvalue``, ``qvalue``, ``genes`` (those in both, joined by commas); also
    ``symbols``, where a column of ``var`` holds symbols that differ from the names.

    Raises
    ------
    InputError
        If there are no modules, the file is absent or malformed, no gene of the sets is embedded, or a gene of `around`
        is unknown, ambiguous or was not embedded.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=2, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=2, progress=False)
    >>> planted = {str(name): list(genes) for name, genes in adata.var.groupby("module").groups.items()}
    >>> list(sx.tl.enrich(adata, planted).columns)
    ['module', 'term', 'overlap', 'size', 'pvalue', 'qvalue', 'genes']

    What the neighbours of a gene do:

    >>> found = sx.tl.enrich(adata, planted, around="gene0001", n_neighbors=20)
    """
    _adata.check_adata(adata)
    check_int(min_size, name="min_size", low=1)
    sets = read_gene_sets(gene_sets)
    check_int(n_neighbors, name="n_neighbors", low=1)
    z = _adata.read_embedding(adata)
    embedded = np.isfinite(z).all(axis=1)
    known = _adata.read_gene_names(adata)
    genes = known.take(embedded)
    names, inside = _modules(adata, embedded) if around is None else _around(adata, z, embedded, around, n_neighbors)
    member = _membership(known, embedded, sets)
    sizes = member.sum(axis=0)
    tested = sizes >= min_size
    if not tested.any():
        raise InputError(
            f"gene_sets: none of {len(sets)} set(s) has {min_size} or more of the {len(genes)} embedded genes; "
            f"pass sets of symbols like {genes.symbols[0]}, or a smaller min_size="
        )
    return _test(
        genes, names, inside, member[:, tested], [term for term, kept in zip(sets, tested, strict=True) if kept]
    )


def _modules(adata: AnnData, embedded: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names of the modules and which embedded genes (G, M) are in each."""
    module = _adata.read_modules(adata).astype(str).to_numpy()[embedded]
    names = sorted(set(module) - {_adata.keys.UNASSIGNED}, key=lambda name: (len(name), name))
    return names, module[:, None] == np.array(names, dtype=object)[None, :]


def _around(
    adata: AnnData, z: np.ndarray, embedded: np.ndarray, around: str | Sequence[str], n_neighbors: int
) -> tuple[list[str], np.ndarray]:
    """The genes asked about and which embedded genes (G, M) are nearest to each by cosine."""
    names = list(dict.fromkeys(check_names(around, name="around")))
    if not names:
        raise InputError("around is empty; pass one gene or several, or leave it out for modules")
    wanted = _adata.embedded_gene_indices(adata, names, name="around")
    direction = l2_normalize(z[embedded])
    place = np.cumsum(embedded)[wanted] - 1
    similarity = direction[place] @ direction.T
    similarity[np.arange(len(place)), place] = -np.inf
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : min(n_neighbors, len(direction) - 1)]
    inside = np.zeros((len(direction), len(names)), dtype=bool)
    inside[nearest, np.arange(len(names))[:, None]] = True
    return names, inside


def _test(genes: GeneNames, names: list[str], inside: np.ndarray, member: np.ndarray, terms: list[str]) -> pd.DataFrame:
    """The table, from which genes (G, M) are in every group of a name, and which (G, T) in every set."""
    overlap = inside.T.astype(np.float64) @ member.astype(np.float64)
    sizes, drawn = member.sum(axis=0), inside.sum(axis=0)
    pvalue = hypergeom.sf(overlap - 1, len(genes), sizes[None, :], drawn[:, None])
    qvalue = benjamini_hochberg(np.clip(pvalue, 0, 1))
    rows, columns = np.nonzero(overlap)
    order = np.lexsort((columns, rows, -overlap[rows, columns], pvalue[rows, columns]))
    rows, columns = rows[order], columns[order]
    shared = [np.flatnonzero(inside[:, m] & member[:, t]) for m, t in zip(rows, columns, strict=True)]
    values = (
        np.array(names, dtype=object)[rows],
        np.array(terms, dtype=object)[columns],
        overlap[rows, columns].astype(int),
        sizes[columns],
        pvalue[rows, columns],
        qvalue[rows, columns],
        np.array([",".join(genes.names[numbers]) for numbers in shared], dtype=object),
    )
    table = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    if genes.has_symbols:
        table["symbols"] = [",".join(genes.symbols[numbers]) for numbers in shared]
    return table


def _membership(genes: GeneNames, embedded: np.ndarray, sets: Mapping[str, list[str]]) -> np.ndarray:
    """Whether (G, T) each embedded gene belongs to each set; a log of how many symbols are one, an error for none."""
    unique = dict.fromkeys(symbol for symbols in sets.values() for symbol in symbols)
    numbers = {symbol: genes.of_symbol(symbol) for symbol in unique}
    member = np.zeros((len(genes), len(sets)), dtype=bool)
    for t, symbols in enumerate(sets.values()):
        member[[gene for symbol in symbols for gene in numbers[symbol]], t] = True
    n_symbols = len({fold(symbol) for symbol in numbers})
    n_mapped = len({fold(symbol) for symbol, mapped in numbers.items() if embedded[mapped].any()})
    if not n_mapped:
        raise InputError(
            f"gene_sets: none of their {n_symbols} symbols (such as {sorted(numbers)[0]}) is an embedded gene "
            f"(such as {genes.symbols[embedded][0]}); pass sets of the same species and kind of name"
        )
    share = n_mapped / n_symbols
    logger.info("gene sets: %d of their %d symbols (%.0f %%) are embedded genes", n_mapped, n_symbols, 100 * share)
    if share < 0.1:
        logger.warning(
            "only %.0f %% of the symbols in the gene sets are embedded genes: is it the right species?",
            100 * share,
        )
    return member[embedded]


# -- reading ---------------------------------------------------------------------------------------------


def read_gene_sets(gene_sets: GeneSets) -> dict[str, list[str]]:
    """Gene sets by name, from a GMT file or a mapping.

    Parameters
    ----------
    gene_sets
        Path of a GMT file, or a mapping from name to genes.

    Returns
    -------
    A dict from the name of a set to its genes.

    Raises
    ------
    InputError
        If the file is absent or malformed, or there is no set.

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
        # Enrichr writes weights behind a comma: "MBP,1.0".
        symbols = [field.split(",")[0].strip() for field in rest[1:] if field.strip()]
        if not term.strip() or not symbols:
            raise InputError(
                f"gene_sets='{path}' line {number} is not GMT: name, description and genes, separated by tabs"
            )
        if term in sets:
            raise InputError(f"gene_sets='{path}' line {number} repeats the set {term!r}; name every set once")
        sets[term] = symbols
    if not sets:
        raise InputError(
            f"gene_sets='{path}' is empty; pass a GMT file: name, description and genes, separated by tabs"
        )
    return sets
