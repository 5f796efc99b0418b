"""Entries of the scoreboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from anndata import AnnData

from spacex._config import Config

from .linear import LINEAR
from .ours import ABLATIONS, spacex
from .outcome import Outcome
from .settings import SETTINGS
from .sources import code_digest, digest

Embed = Callable[[AnnData, int], Outcome]
Kind = Literal["SpaCEX", "ablation", "linear", "peer", "setting"]
ON_REQUEST: tuple[Kind, ...] = ("setting",)
"""Kinds that run only on request."""

OURS = "SpaCEX"
SEEDLESS = ("Hotspot", "Hotspot, tutorial")
"""Deterministic peers."""


@dataclass(frozen=True)
class Entry:
    """A function from a section and a seed to an `Outcome`.

    Attributes
    ----------
    modules
        Modules whose source, with all imports, determines whether a stored result is valid.
    settings
        Arguments of the function, which also determine it.
    seeded
        Whether the result depends on the seed.
    """

    name: str
    kind: Kind
    run: Embed
    modules: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    seeded: bool = True

    @property
    def digest(self) -> str:
        """Changes with the code and the settings."""
        return digest([code_digest(*self.modules), self.settings])

    @property
    def description(self) -> str:
        """The first line of the function's docstring; for an ablation or another setting, its values."""
        function = self.run.func if isinstance(self.run, partial) else self.run
        line = (function.__doc__ or "").strip().split("\n")[0]
        if self.kind not in ("ablation", "setting"):
            return line
        default = Config().to_dict()
        return "SpaCEX with " + ", ".join(f"{k}={v}" for k, v in self.settings.items() if v != default[k])


def entries() -> dict[str, Entry]:
    """All entries by name, SpaCEX first."""
    code = (spacex.__module__, "spacex.tl._embed", "spacex.pp")
    all_entries = [Entry(OURS, "SpaCEX", spacex, code)]
    variants: tuple[tuple[Kind, dict[str, Config]], ...] = (("ablation", ABLATIONS), ("setting", SETTINGS))
    for kind, configs in variants:
        for name, config in configs.items():
            all_entries.append(Entry(name, kind, partial(spacex, config=config), code, config.to_dict()))
    for name, run in LINEAR.items():
        all_entries.append(Entry(name, "linear", run, (run.__module__,), {"name": name}, seeded=False))
    for name, run in peers().items():
        module = getattr(run, "__module__", "")
        home = module if module.startswith(f"{__package__}.") else f"{__package__}.peers"
        all_entries.append(Entry(name, "peer", run, (home,), {"name": name}, seeded=name not in SEEDLESS))
    return {entry.name: entry for entry in all_entries}


def peers() -> dict[str, Embed]:
    """The peers; if they cannot be imported, one entry that fails with the reason."""
    try:
        from .peers import PEERS
    except ImportError as error:
        return {"peers": partial(_fail, error)}
    return PEERS


def _fail(error: ImportError, adata: AnnData, seed: int) -> Outcome:
    raise error
