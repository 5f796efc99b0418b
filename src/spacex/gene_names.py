"""Look-up of genes by name, symbol or identifier, and labels of genes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from spacex._infra.errors import InputError
from spacex._infra.validation import check_name

SYMBOL_COLUMNS = (
    "gene_symbol", "gene_symbols", "symbol", "feature_name", "gene_name", "gene_names", "features", "gene_short_name",
    "external_gene_name",
)  # fmt: skip
"""Columns with gene symbols, by priority; case and underscores are ignored."""

ID_COLUMNS = ("gene_id", "gene_ids", "feature_id", "ensembl", "ensembl_id", "ensembl_gene_id")
"""Columns with other identifiers; numbers in them may be positions and are ignored."""

MISSING = frozenset({"", "nan", "none", "na", "<na>", "n/a", "null"})
UNKNOWN, AMBIGUOUS = -1, -2
MAX_LISTED_NAMES = 8

Kind = Literal["names", "symbols", "aliases"]


def is_ensembl_id(name: str) -> bool:
    """Whether a name is an Ensembl id, such as ENSG00000197971 or, with a version, ENSG00000197971.14."""
    if name[:3] not in ("ENS", "ens"):
        return False
    head, _, version = name.partition(".")
    return head[-4:].isdigit() and (not version or version.isdigit())


def normalize_name(name: str) -> str:
    """Name in upper case; an Ensembl id also without its version."""
    upper = name.upper()
    return upper.partition(".")[0] if "." in upper and is_ensembl_id(upper) else upper


def species_of_names(names: Iterable[str]) -> str:
    """Species that gene symbols tell: ``"human"``, ``"mouse"``, or "" if undecided.

    Human symbols are in capitals (open reading frames such as C1orf112 have a lower-case part), mouse symbols start
    with one capital (mitochondrial genes with ``mt-``). Ensembl ids count by their prefix. Species with the same
    conventions, such as rat, are not distinguished.

    Examples
    --------
    >>> from spacex.gene_names import species_of_names
    >>> species_of_names(["MBP", "PLP1", "C1orf112"]), species_of_names(["Mbp", "mt-Co1"]), species_of_names(["g1"])
    ('human', 'mouse', '')
    """
    counts = Counter(_species_of_name(name) for name in names)
    n_names = counts.total()
    return next((species for species in ("human", "mouse") if 2 * counts[species] > n_names), "")


def _species_of_name(name: str) -> str:
    if is_ensembl_id(name):
        return "mouse" if name.upper().startswith("ENSMUSG") else "human" if name.upper().startswith("ENSG") else ""
    if sum(letter.isalpha() for letter in name) < 2:
        return ""
    if name == name.upper() or re.match(r"C(\d+|X|Y)orf\d", name):
        return "human"
    return "mouse" if name[0].isupper() or re.match(r"mt-[A-Z]|\d+[A-Z]\d+Rik", name) else ""


class NameIndex:
    """Index from names to genes.

    Parameters
    ----------
    columns
        Names, (G,) each.
    folded
        Whether to apply `normalize_name`.
    empty
        Whether an empty text counts as a name.
    """

    def __init__(self, columns: Iterable[np.ndarray], *, folded: bool = False, empty: bool = False):
        self.first: dict[str, int] = {}
        self.repeated: dict[str, set[int]] = {}
        for column in columns:
            texts = column.tolist()
            if folded:
                texts = [text if "." not in text else normalize_name(text) for text in map(str.upper, texts)]
            if not self.first:
                self.first = dict(zip(texts, range(len(texts)), strict=True))
                if len(self.first) == len(texts) and (empty or "" not in self.first):
                    continue  # all names are unique; ten times as fast as the loop
                self.first = {}
            for gene, text in enumerate(texts):
                if text or empty:
                    other = self.first.setdefault(text, gene)
                    if other != gene:
                        self.repeated.setdefault(text, {other}).add(gene)

    def genes(self, key: str) -> list[int]:
        """Sorted indices of the genes with a name."""
        if key in self.repeated:
            return sorted(self.repeated[key])
        return [self.first[key]] if key in self.first else []


@dataclass(frozen=True, eq=False)
class GeneNames:
    """Names of the genes of a section, and look-up of genes.

    Genes are matched by exact name, then exact symbol, then exact alias, then by these three ignoring case and versions
    of Ensembl ids. The first rule that matches any gene decides; it may match several.

    Attributes
    ----------
    names
        (G,) names as text.
    symbols
        (G,) symbols, or names for genes without a symbol.
    aliases
        Identifiers and symbols from other columns, (G,) each, "" if missing.
    """

    names: np.ndarray
    symbols: np.ndarray
    aliases: tuple[np.ndarray, ...] = ()

    @classmethod
    def from_table(cls, genes: pd.DataFrame) -> GeneNames:
        """Take names from the index of a table of genes, and symbols and identifiers from its columns."""
        names = np.array([str(name) for name in genes.index], dtype=object)
        columns = _text_columns(genes)
        texts = [columns[key] for key in map(_plain, SYMBOL_COLUMNS) if key in columns]
        ids = [map_text(columns[key], blank_if_digits) for key in map(_plain, ID_COLUMNS) if key in columns]
        symbols = _symbols(texts, names)
        others = (text for text in (*texts, *ids) if ((text != "") & (text != names) & (text != symbols)).any())
        return cls(names, symbols, tuple(others))

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def has_symbols(self) -> bool:
        """Whether any symbol differs from the name of its gene."""
        return bool((self.symbols != self.names).any())

    @cached_property
    def labels(self) -> np.ndarray:
        """(G,) labels for plots: the symbol, followed by the name if the symbol is ambiguous."""
        labels = self.symbols.copy()
        by_name, by_symbol = self._index("names"), self._index("symbols")
        for gene, (symbol, name) in enumerate(zip(self.symbols, self.names, strict=True)):
            if symbol != name and (symbol in by_name.first or symbol in by_symbol.repeated):
                labels[gene] = f"{symbol} ({name})"
        return labels

    def take(self, genes: np.ndarray) -> GeneNames:
        """Names of some genes, by index or mask."""
        return GeneNames(self.names[genes], self.symbols[genes], tuple(alias[genes] for alias in self.aliases))

    def rename(self, new: Mapping[str, str]) -> GeneNames:
        """Rename genes, given by name or symbol. The new name replaces their symbol and aliases."""
        new_names = [new.get(name, new.get(symbol)) for name, symbol in zip(self.names, self.symbols, strict=True)]
        genes = [gene for gene, name in enumerate(new_names) if name is not None]
        names, symbols, *aliases = (values.copy() for values in (self.names, self.symbols, *self.aliases))
        names[genes] = symbols[genes] = [str(new_names[gene]) for gene in genes]
        for alias in aliases:
            alias[genes] = ""
        return GeneNames(names, symbols, tuple(aliases))

    def with_symbols(self, table: pd.DataFrame, **columns: np.ndarray) -> pd.DataFrame:
        """Add columns of symbols to a table, from gene indices (-1: none), if the section has symbols."""
        if not self.has_symbols:
            return table
        return table.assign(**{name: np.where(genes >= 0, self.symbols[genes], "") for name, genes in columns.items()})

    # -- look-up -------------------------------------------------------------------------------------------

    def matches(self, gene: object) -> list[int]:
        """Indices of the genes that a name matches: several if it is ambiguous, none if it is unknown."""
        kinds: tuple[Kind, ...] = ("names", "symbols", "aliases")
        texts = {False: str(gene), True: normalize_name(str(gene))}
        rules = (self._index(kind, folded=folded).genes(text) for folded, text in texts.items() for kind in kinds)
        return next(filter(None, rules), [])

    def genes_with_symbol(self, symbol: str) -> list[int]:
        """Indices of all genes with a symbol of a gene set."""
        genes = self.matches(symbol)
        exact = self._index("symbols").genes(symbol)
        same = exact if set(genes) <= set(exact) else self._index("symbols", folded=True).genes(normalize_name(symbol))
        return same if set(genes) <= set(same) else genes

    def index(self, gene: object) -> int:
        """Index of one gene; raises `InputError` with similar or matching names if it is unknown or ambiguous."""
        check_name(gene, name="gene")
        genes = self.matches(gene)
        if not genes:
            raise InputError(
                f"gene {gene!r} is not among the {len(self)} genes of this section{self.suggestion(str(gene))}"
            )
        if len(genes) > 1:
            self.check_unique(gene)
            raise InputError(
                f"gene {gene!r} is ambiguous: it may be any of {len(genes)} genes; pass the name of one: "
                f"{join_names(self.names[genes])}"
            )
        return genes[0]

    def indices(self, genes: Iterable[object]) -> np.ndarray:
        """Indices (n,) of genes; `UNKNOWN` or `AMBIGUOUS`, both negative, for names without a unique match."""
        codes, names = pd.factorize(np.array([str(gene) for gene in genes], dtype=object))
        matches = [self.matches(name) for name in names]
        index = [match[0] if len(match) == 1 else AMBIGUOUS if match else UNKNOWN for match in matches]
        return np.array(index, dtype=np.int64)[codes]

    def check_unique(self, gene: object) -> None:
        """Raise `InputError` if a name matches several genes with the same name."""
        duplicates = [(name, size) for name, size in Counter(self.names[self.matches(gene)]).items() if size > 1]
        for name, size in duplicates:
            raise InputError(f"gene {name!r} is the name of {size} genes; call adata.var_names_make_unique()")

    def suggestion(self, gene: str) -> str:
        """Part of a message that lists similar names and symbols; empty if there are none."""
        original = {normalize_name(name): name for name in (*self.names, *(self.symbols if self.has_symbols else ()))}
        similar = get_close_matches(normalize_name(gene), list(original), n=3)
        return f"; close to it: {', '.join(original[name] for name in similar)}" if similar else ""

    @cached_property
    def _indices(self) -> dict[tuple[Kind, bool], NameIndex]:
        return {}

    def _index(self, kind: Kind, *, folded: bool = False) -> NameIndex:
        """Index of one kind of names, built on first use."""
        kind = "names" if kind == "symbols" and not self.has_symbols else kind
        if (kind, folded) not in self._indices:
            columns = {"names": [self.names], "symbols": [self.symbols], "aliases": self.aliases}
            self._indices[kind, folded] = NameIndex(columns[kind], folded=folded, empty=kind == "names")
        return self._indices[kind, folded]


def join_names(names: Iterable[object]) -> str:
    """Join the first names by commas."""
    texts = [str(name) for name in names]
    return ", ".join([*texts[:MAX_LISTED_NAMES], *(["..."] if len(texts) > MAX_LISTED_NAMES else [])])


# -- reading -----------------------------------------------------------------------------------------------


def map_text(values: np.ndarray, change: Callable[[Any], str]) -> np.ndarray:
    """Apply a function that returns text to each value."""
    return np.array([change(value) for value in values], dtype=object)


def _plain(column: object) -> str:
    return re.sub(r"[^a-z]", "", str(column).lower())


def _text_columns(genes: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns of symbols and identifiers as text (G,), "" if missing, by normalized column name."""
    name_columns = {_plain(name) for name in (*SYMBOL_COLUMNS, *ID_COLUMNS)}
    columns: dict[str, np.ndarray] = {}
    for number, column in enumerate(map(_plain, genes.columns)):
        values = genes.iloc[:, number]
        if column in name_columns and column not in columns and not pd.api.types.is_numeric_dtype(values):
            columns[column] = map_text(values.astype(object).to_numpy(), _text)
    return columns


def _text(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    text = text.strip() if isinstance(text, str) else ""
    return "" if len(text) <= 4 and text.lower() in MISSING else text


def blank_if_digits(text: str) -> str:
    """Return the text, or "" if it consists of digits only."""
    return "" if text.isdigit() else text


def _as_symbol(text: str) -> str:
    """Return the symbol, or "" for an identifier or description. CELLxGENE appends ids to duplicate symbols."""
    if "_ENS" in text:
        head, _, tail = text.rpartition("_")
        text = head if is_ensembl_id(tail) else text
    return "" if " " in text or is_ensembl_id(text) else text


def _symbols(columns: Sequence[np.ndarray], names: np.ndarray) -> np.ndarray:
    """Symbols (G,) of the first column with at least half as many symbols as the fullest; names if missing."""
    symbols = [map_text(column, _as_symbol) for column in columns]
    sizes = [np.count_nonzero(column != "") for column in symbols]
    for column, size in zip(symbols, sizes, strict=True):
        if size and 2 * size >= max(sizes):
            return np.where(column != "", column, names)
    return names
