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
Each entry receives the counts and coordinates of a section and returns an embedding of the genes, modules, or both.
Each run is a separate process. Rows are sections; entries are means over seeds ± standard deviation, the best of a row
in bold. For real sections the seed determines only the random numbers of the entry and the split of the counts into
halves. *failed* marks a run with an error, listed at the end; – marks a metric that does not apply: an entry without
modules has no ARI of modules, an entry without an embedding has no neighbors.

A gene that is not embedded gets the score of random neighbors, and is a zero vector in EGAD, MRR and K-means, so that
an entry does not gain by leaving out difficult genes. All entries of a section are scored on the same genes. The
docstrings of `benchmarks/quality` define all metrics and give their sources.
"""


@dataclass(frozen=True)
class Page:
    """Content of the page."""

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
            "## Command and versions", f"```\n{self.command}\n```", machine(), versions(),
            "Seconds and memory compare entries on one machine, on which other processes may have run.",
            "## Entries", "\n".join(entries),
            "## Summary", *map(as_markdown, self.summary),
            "## All sections", *map(as_markdown, self.grids),
            "## Failures", "\n".join(failures),
        ]  # fmt: skip
        return "\n\n".join(part.strip() for part in parts) + "\n"


def machine() -> str:
    """Cores, threads and system."""
    threads = os.environ.get("OMP_NUM_THREADS", "default of the libraries")
    return f"{os.cpu_count()} cores, {platform.machine()}; threads per process: {threads}."


def versions() -> str:
    """Versions of Python, of the libraries behind the figures, and of the peers that are installed."""
    of_module = importlib.metadata.packages_distributions()
    modules = {name.split(".")[0] for name in peer_modules()}
    named = {*ALWAYS, *(dist for module in modules for dist in of_module.get(module, []))}
    texts = []
    for name in sorted(named):
        try:
            texts.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"Python {platform.python_version()}, " + ", ".join(texts) + "."


def peer_modules() -> set[str]:
    """Modules that the peers' files import."""
    files = closure(f"{__package__}.peers")
    return set().union(*(imported(path, name) for name, path in files.items())) if files else set()
