"""One policy of gene names: which gene a name, a symbol or an identifier means, and how a gene is labeled."""

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
"""Columns of a table of genes that hold symbols, the most explicit first; case and underscores do not matter."""

ID_COLUMNS = ("gene_id", "gene_ids", "feature_id", "ensembl", "ensembl_id", "ensembl_gene_id")
"""Columns that hold other names of the genes; numbers in them may be positions and are not used."""

MISSING = frozenset({"", "nan", "none", "na", "<na>", "n/a", "null"})
UNKNOWN, AMBIGUOUS = -1, -2
MAX_NAMED = 8

Kind = Literal["names", "symbols", "aliases"]


def is_ensembl(name: str) -> bool:
    """Whether a name is an Ensembl id, such as ENSG00000197971 or, with its version, ENSG00000197971.14."""
    if name[:3] not in ("ENS", "ens"):
        return False
    head, _, version = name.partition(".")
    return head[-4:].isdigit() and (not version or version.isdigit())


def fold(name: str) -> str:
    """A name without its case, and an Ensembl id also without its version."""
    upper = name.upper()
    return upper.partition(".")[0] if "." in upper and is_ensembl(upper) else upper


class Index:
    """Numbers of the genes that have a name in any of some columns (G,), as written or `folded`.

    An empty text is no name, except where `empty`.
    """

    def __init__(self, columns: Iterable[np.ndarray], *, folded: bool = False, empty: bool = False):
        self.first: dict[str, int] = {}
        self.repeated: dict[str, set[int]] = {}
        for column in columns:
            texts = column.tolist()
            if folded:
                texts = [text if "." not in text else fold(text) for text in map(str.upper, texts)]
            if not self.first:
                self.first = dict(zip(texts, range(len(texts)), strict=True))
                if len(self.first) == len(texts) and (empty or "" not in self.first):
                    continue  # all differ, in a tenth of the time
                self.first = {}
            for gene, text in enumerate(texts):
                if text or empty:
                    other = self.first.setdefault(text, gene)
                    if other != gene:
                        self.repeated.setdefault(text, {other}).add(gene)

    def genes(self, key: str) -> list[int]:
        """Numbers of the genes of a key, in their order."""
        if key in self.repeated:
            return sorted(self.repeated[key])
        return [self.first[key]] if key in self.first else []


@dataclass(frozen=True, eq=False)
class GeneNames:
    """The names of the genes of a section, and the look-up of genes by them.

    A gene is looked up by its exact name, then exact symbol, then exact alias, then by these three without regard to
    case and to versions of Ensembl ids. The first rule that fits any gene decides; it may fit several.

    Attributes
    ----------
    names
        (G,) names, as text.
    symbols
        (G,) symbols; the name where a gene has none.
    aliases
        Further names, (G,) each, "" where a gene has none: identifiers, and symbols of other columns.
    """

    names: np.ndarray
    symbols: np.ndarray
    aliases: tuple[np.ndarray, ...] = ()

    @classmethod
    def from_table(cls, genes: pd.DataFrame) -> GeneNames:
        """The names in the index of a table of genes, and the symbols and identifiers in its columns."""
        names = np.array([str(name) for name in genes.index], dtype=object)
        columns = _text_columns(genes)
        texts = [columns[key] for key in map(_plain, SYMBOL_COLUMNS) if key in columns]
        ids = [each(columns[key], not_a_number) for key in map(_plain, ID_COLUMNS) if key in columns]
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
        """(G,) what plots call the genes: the symbol, and the name behind it where the symbol means other genes too."""
        labels = self.symbols.copy()
        by_name, by_symbol = self._index("names"), self._index("symbols")
        for gene, (symbol, name) in enumerate(zip(self.symbols, self.names, strict=True)):
            if symbol != name and (symbol in by_name.first or symbol in by_symbol.repeated):
                labels[gene] = f"{symbol} ({name})"
        return labels

    def take(self, genes: np.ndarray) -> GeneNames:
        """The names of some genes, by number or mask."""
        return GeneNames(self.names[genes], self.symbols[genes], tuple(alias[genes] for alias in self.aliases))

    def renamed(self, new: Mapping[str, str]) -> GeneNames:
        """The names after some genes, given by name or symbol, got a new name, which is then the only one they have."""
        given = [new.get(name, new.get(symbol)) for name, symbol in zip(self.names, self.symbols, strict=True)]
        genes = [gene for gene, name in enumerate(given) if name is not None]
        names, symbols, *aliases = (values.copy() for values in (self.names, self.symbols, *self.aliases))
        names[genes] = symbols[genes] = [str(given[gene]) for gene in genes]
        for alias in aliases:
            alias[genes] = ""
        return GeneNames(names, symbols, tuple(aliases))

    def with_symbols(self, table: pd.DataFrame, **columns: np.ndarray) -> pd.DataFrame:
        """The table with symbols in further columns, by numbers of genes (-1: none), where the section has symbols."""
        if not self.has_symbols:
            return table
        return table.assign(**{name: np.where(genes >= 0, self.symbols[genes], "") for name, genes in columns.items()})

    # -- look-up -------------------------------------------------------------------------------------------

    def matches(self, gene: object) -> list[int]:
        """Numbers of the genes that a name means; several where it is ambiguous, none where it is unknown."""
        kinds: tuple[Kind, ...] = ("names", "symbols", "aliases")
        texts = {False: str(gene), True: fold(str(gene))}
        rules = (self._index(kind, folded=folded).genes(text) for folded, text in texts.items() for kind in kinds)
        return next(filter(None, rules), [])

    def of_symbol(self, symbol: str) -> list[int]:
        """Numbers of the genes that a symbol of a gene set means: all of that symbol."""
        genes = self.matches(symbol)
        exact = self._index("symbols").genes(symbol)
        same = exact if set(genes) <= set(exact) else self._index("symbols", folded=True).genes(fold(symbol))
        return same if set(genes) <= set(same) else genes

    def index(self, gene: object) -> int:
        """Number of one gene; `InputError` with near names where its name is unknown, and with the choice where not."""
        check_name(gene, name="gene")
        genes = self.matches(gene)
        if not genes:
            raise InputError(f"gene {gene!r} is not among the {len(self)} genes of this section{self.hint(str(gene))}")
        if len(genes) > 1:
            self.check_distinct(gene)
            raise InputError(
                f"gene {gene!r} is ambiguous: it may be any of {len(genes)} genes; pass the name of one: "
                f"{join_names(self.names[genes])}"
            )
        return genes[0]

    def find(self, genes: Iterable[object]) -> np.ndarray:
        """Numbers (n,) of many genes, below zero where a name is unknown or ambiguous: `UNKNOWN`, `AMBIGUOUS`."""
        codes, names = pd.factorize(np.array([str(gene) for gene in genes], dtype=object))
        numbers = [self.matches(name) for name in names]
        number = [one[0] if len(one) == 1 else AMBIGUOUS if one else UNKNOWN for one in numbers]
        return np.array(number, dtype=np.int64)[codes]

    def check_distinct(self, gene: object) -> None:
        """Raise `InputError` where a name means genes that cannot be told apart, as they have one name."""
        repeated = [(name, size) for name, size in Counter(self.names[self.matches(gene)]).items() if size > 1]
        for name, size in repeated:
            raise InputError(f"gene {name!r} is the name of {size} genes; call adata.var_names_make_unique()")

    def hint(self, gene: str) -> str:
        """Words that list the nearest names and symbols; empty where there is none."""
        back = {fold(name): name for name in (*self.names, *(self.symbols if self.has_symbols else ()))}
        near = get_close_matches(fold(gene), list(back), n=3)
        return f"; close to it: {', '.join(back[name] for name in near)}" if near else ""

    @cached_property
    def _indices(self) -> dict[tuple[Kind, bool], Index]:
        return {}

    def _index(self, kind: Kind, *, folded: bool = False) -> Index:
        """The index of a kind of name, made when it is first asked for."""
        kind = "names" if kind == "symbols" and not self.has_symbols else kind
        if (kind, folded) not in self._indices:
            columns = {"names": [self.names], "symbols": [self.symbols], "aliases": self.aliases}
            self._indices[kind, folded] = Index(columns[kind], folded=folded, empty=kind == "names")
        return self._indices[kind, folded]


def join_names(names: Iterable[object]) -> str:
    """The first of some names, joined by commas."""
    texts = [str(name) for name in names]
    return ", ".join([*texts[:MAX_NAMED], *(["..."] if len(texts) > MAX_NAMED else [])])


# -- reading -----------------------------------------------------------------------------------------------


def each(values: np.ndarray, change: Callable[[Any], str]) -> np.ndarray:
    """What `change` makes of each value, as text."""
    return np.array([change(value) for value in values], dtype=object)


def _plain(column: object) -> str:
    return re.sub(r"[^a-z]", "", str(column).lower())


def _text_columns(genes: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns of names as text (G,), "" where it is missing, by their plain names."""
    known = {_plain(name) for name in (*SYMBOL_COLUMNS, *ID_COLUMNS)}
    columns: dict[str, np.ndarray] = {}
    for number, column in enumerate(map(_plain, genes.columns)):
        values = genes.iloc[:, number]
        if column in known and column not in columns and not pd.api.types.is_numeric_dtype(values):
            columns[column] = each(values.astype(object).to_numpy(), _text)
    return columns


def _text(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    text = text.strip() if isinstance(text, str) else ""
    return "" if len(text) <= 4 and text.lower() in MISSING else text


def not_a_number(text: str) -> str:
    """The text; "" for digits alone."""
    return "" if text.isdigit() else text


def _as_symbol(text: str) -> str:
    """A symbol; "" for an identifier or a description in words. CELLxGENE appends the id to symbols that repeat."""
    if "_ENS" in text:
        head, _, tail = text.rpartition("_")
        text = head if is_ensembl(tail) else text
    return "" if " " in text or is_ensembl(text) else text


def _symbols(columns: Sequence[np.ndarray], names: np.ndarray) -> np.ndarray:
    """Symbols (G,) of the first column that has at least half as many as the fullest; the name where there is none."""
    symbols = [each(column, _as_symbol) for column in columns]
    sizes = [np.count_nonzero(column != "") for column in symbols]
    for column, size in zip(symbols, sizes, strict=True):
        if size and 2 * size >= max(sizes):
            return np.where(column != "", column, names)
    return names
