"""The scoreboard as a Markdown page."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass

from .grids import Grid, as_markdown
from .sources import closure, imported

ALWAYS = ("spacex-st", "anndata", "numpy", "scipy", "scikit-learn", "torch")

HOW = """\
Each entry sees the counts and coordinates of a section and hands over a vector per gene, modules, or both. Every run is
a process of its own. Rows are sections; figures are means over seeds ± the standard deviation between them, the best
of a row in bold. Real sections are the same for every seed: what differs is the seed of the entry, and of the split of
the counts into halves. *failed* is a run that ended in an error, listed at the end; – is a metric that an entry cannot
have: one without modules has no ARI of modules, one without an embedding has no neighbors.

A gene that an entry does not embed scores what random neighbors would, a zero vector in EGAD, MRR and K-means: leaving
hard genes out does not pay. All entries of a section are asked about the same genes. The definition and the source of
every metric are in the docstrings of `benchmarks/quality`.
"""


@dataclass(frozen=True)
class Page:
    """What the page is made of."""

    command: str
    entries: dict[str, str]
    descriptions: dict[str, str]
    summary: list[Grid]
    grids: list[Grid]
    failures: list[str]

    def render(self) -> str:
        """The page's Markdown."""
        entries = [f"- **{name}** ({kind}): {self.descriptions[name]}" for name, kind in self.entries.items()]
        failures = [f"- {line}" for line in self.failures] or ["None."]
        parts = [
            "# Scoreboard", HOW,
            "## How it was made", f"```\n{self.command}\n```", machine(), versions(),
            "Seconds and memory compare entries on one machine; processes of other work may have run beside them.",
            "## Entries", "\n".join(entries),
            "## Summary", *map(as_markdown, self.summary),
            "## All sections", *map(as_markdown, self.grids),
            "## Failures", "\n".join(failures),
        ]  # fmt: skip
        return "\n\n".join(part.strip() for part in parts) + "\n"


def machine() -> str:
    """Cores, threads and system."""
    threads = os.environ.get("OMP_NUM_THREADS", "as many as the libraries take")
    return f"{os.cpu_count()} cores, {platform.machine()}; threads a process: {threads}."


def versions() -> str:
    """Versions of Python, of the libraries behind the figures, and of the peers that are installed."""
    of_module = importlib.metadata.packages_distributions()
    modules = {name.split(".")[0] for name in peer_modules()}
    named = {*ALWAYS, *(dist for module in modules for dist in of_module.get(module, []))}
    found = []
    for name in sorted(named):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"Python {platform.python_version()}, " + ", ".join(found) + "."


def peer_modules() -> set[str]:
    """Modules that the peers' files import."""
    files = closure(f"{__package__}.peers")
    return set().union(*(imported(path, name) for name, path in files.items())) if files else set()
