"""Wall time of the stages of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from spacex.cli._log import log_status


@dataclass
class StageTimer:
    """Measure the stages of a run and log each one when it ends.

    Attributes
    ----------
    seconds
        Wall time of every completed stage.
    silent
        Do not log the stages.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    silent: bool = False

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        if not self.silent:
            log_status(f"{name}: {self.seconds[name]:.1f} s")
