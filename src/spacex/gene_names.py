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

from ._check import InputError, check_key

SYMBOL_COLUMNS = (
    "gene_symbol", "gene_symbols", "symbol", "feature_name", "gene_name", "gene_names", "features", "hgnc_symbol",
    "mgi_symbol", "gene_short_name", "external_gene_name",
)  # fmt: skip
"""Columns of a table of genes that hold symbols, the most explicit first; case and underscores do not matter."""

ID_COLUMNS = ("gene_id", "gene_ids", "feature_id", "ensembl", "ensembl_id", "ensembl_gene_id")
"""Columns that hold other names of the genes; numbers in them may be positions and are not used."""

MISSING = frozenset({"", "nan", "none", "na", "<na>", "n/a", "null"})
UNKNOWN, AMBIGUOUS = -1, -2
MAX_NAMED = 8

Key = Callable[[str], str]
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
    if upper[:3] == "ENS" and "." in upper:
        head, _, version = upper.partition(".")
        return head if version.isdigit() and head[-4:].isdigit() else upper
    return upper


class Index:
    """Numbers of the genes that have a name in any of some columns (G,), by what `key` makes of the name.

    An empty text is no name, except where `empty`.
    """

    def __init__(self, columns: Iterable[np.ndarray], key: Key = str, *, empty: bool = False):
        self.first: dict[str, int] = {}
        self.repeated: dict[str, set[int]] = {}
        for column in columns:
            for gene, name in enumerate(column):
                if name or empty:
                    text = key(name)
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
        ids = [_each(columns[key], _not_a_number) for key in map(_plain, ID_COLUMNS) if key in columns]
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
        by_name, by_symbol = self._index("names", str), self._index("symbols", str)
        for gene in np.flatnonzero(self.symbols != self.names):
            symbol = self.symbols[gene]
            if symbol in by_name.first or symbol in by_symbol.repeated:
                labels[gene] = f"{symbol} ({self.names[gene]})"
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
        keys: tuple[Key, ...] = (str, fold)
        indices = ((self._index(kind, key), key(str(gene))) for key in keys for kind in kinds)
        return next((genes for index, text in indices if (genes := index.genes(text))), [])

    def of_symbol(self, symbol: str) -> list[int]:
        """Numbers of the genes that a symbol of a gene set means: all of that symbol."""
        genes = self.matches(symbol)
        for key in (str, fold):
            same = self._index("symbols", key).genes(key(symbol))
            if genes and set(genes) <= set(same):
                return same
        return genes

    def index(self, gene: object) -> int:
        """Number of one gene; `InputError` with near names where its name is unknown, and with the choice where not."""
        check_key(gene, name="gene")
        genes = self.matches(gene)
        if not genes:
            raise InputError(f"gene {gene!r} is not among the {len(self)} genes of this section{self.hint(str(gene))}")
        if len(genes) > 1:
            self.check_distinct(gene)
            raise InputError(
                f"gene {gene!r} is ambiguous: it may be any of {len(genes)} genes; pass the name of one: "
                f"{listed(self.names[genes])}"
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
    def _indices(self) -> dict[tuple[Kind, Key], Index]:
        return {}

    def _index(self, kind: Kind, key: Key) -> Index:
        """The index of a kind of name, made when it is first asked for."""
        kind = "names" if kind == "symbols" and not self.has_symbols else kind
        if (kind, key) not in self._indices:
            columns = {"names": [self.names], "symbols": [self.symbols], "aliases": self.aliases}
            self._indices[kind, key] = Index(columns[kind], key, empty=kind == "names")
        return self._indices[kind, key]


def listed(names: Iterable[object]) -> str:
    """The first of some names, joined by commas."""
    texts = [str(name) for name in names]
    return ", ".join([*texts[:MAX_NAMED], *(["..."] if len(texts) > MAX_NAMED else [])])


# -- two sections ------------------------------------------------------------------------------------------


def match_genes(first: GeneNames, second: GeneNames) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) of the genes that two sections share, in either, in the order of the first.

    Genes are paired by name, then by Ensembl id, by symbol, by any name, and by any but for case. In each round only
    genes are paired that mean one another and no other gene that is left.
    """
    first, second = _comparable(first, second)
    partner = np.full(len(first), -1)
    rounds: list[tuple[Callable[[GeneNames], list[np.ndarray]], Key]] = [
        (lambda genes: [genes.names], str),
        (lambda genes: [_each(names, _ensembl_only) for names in (genes.names, *genes.aliases)], fold),
        (lambda genes: [genes.symbols], str),
        (_all_names, str),
        (_all_names, fold),
    ]
    for columns, key in rounds:
        ours, theirs = np.flatnonzero(partner < 0), np.setdiff1d(np.arange(len(second)), partner)
        a, b = (Index(columns(part), key) for part in (first.take(ours), second.take(theirs)))
        repeated = {*a.repeated, *b.repeated}
        pairs = {(gene, b.first[name]) for name, gene in a.first.items() if name in b.first and name not in repeated}
        n_ours, n_theirs = Counter(gene for gene, _ in pairs), Counter(other for _, other in pairs)
        for gene, other in pairs:
            if n_ours[gene] == n_theirs[other] == 1:
                partner[ours[gene]] = theirs[other]
    matched = np.flatnonzero(partner >= 0)
    return matched, partner[matched]


def shares_name(first: GeneNames, second: GeneNames) -> np.ndarray:
    """Whether each gene (G,) of the first has any name, in any case, that a gene of the second has."""
    first, second = _comparable(first, second)
    others = Index(_all_names(second), fold).first
    mask = np.zeros(len(first), dtype=bool)
    for column in _all_names(first):
        mask |= [bool(name) and fold(name) in others for name in column]
    return mask


def _comparable(*sections: GeneNames) -> tuple[GeneNames, ...]:
    """The names without numbers where all have symbols: these may be positions, which mean nothing elsewhere."""
    if not all(genes.has_symbols for genes in sections):
        return sections
    texts = [_each(genes.names, _not_a_number) for genes in sections]
    return tuple(
        GeneNames(names, np.where(genes.symbols == genes.names, names, genes.symbols), genes.aliases)
        for names, genes in zip(texts, sections, strict=True)
    )


def _all_names(genes: GeneNames) -> list[np.ndarray]:
    return [genes.names, *([genes.symbols] if genes.has_symbols else []), *genes.aliases]


# -- reading -----------------------------------------------------------------------------------------------


def _each(values: np.ndarray, change: Callable[[Any], str]) -> np.ndarray:
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
            columns[column] = _each(values.astype(object).to_numpy(), _text)
    return columns


def _text(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    text = text.strip() if isinstance(text, str) else ""
    return "" if len(text) <= 4 and text.lower() in MISSING else text


def _not_a_number(text: str) -> str:
    return "" if text.isdigit() else text


def _ensembl_only(text: str) -> str:
    return text if is_ensembl(text) else ""


def _as_symbol(text: str) -> str:
    """A symbol; "" for an identifier or a description in words. CELLxGENE appends the id to symbols that repeat."""
    if "_ENS" in text:
        head, _, tail = text.rpartition("_")
        text = head if is_ensembl(tail) else text
    return "" if " " in text or is_ensembl(text) else text


def _symbols(columns: Sequence[np.ndarray], names: np.ndarray) -> np.ndarray:
    """Symbols (G,) of the first column that has at least half as many as the fullest; the name where there is none."""
    symbols = [_each(column, _as_symbol) for column in columns]
    sizes = [np.count_nonzero(column != "") for column in symbols]
    for column, size in zip(symbols, sizes, strict=True):
        if size and 2 * size >= max(sizes):
            return np.where(column != "", column, names)
    return names
