"""The log of the library on stderr, and silence of what others say."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer

from spacex._infra.errors import truncate
from spacex.cli._spelling import in_options


def log_status(text: str) -> None:
    """Print one line to stderr."""
    typer.echo(f"spacex: {truncate(text)}", err=True)


class Formatter(logging.Formatter):
    """Lines of the library, with the arguments that they name as options of the command."""

    def __init__(self, options: Mapping[str, str]):
        super().__init__("spacex: %(message)s")
        self.options = options

    def format(self, record: logging.LogRecord) -> str:
        return in_options(super().format(record), self.options)


@contextmanager
def quiet(options: Mapping[str, str]) -> Iterator[None]:
    """Send the library's log to stderr, and leave out what dependencies say about their own future.

    And what HDF5 says again and again, with tracebacks, while it lets go of a file that could not be written.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(options))
    logger = logging.getLogger("spacex")
    level, logger.level = logger.level, logging.INFO
    logger.addHandler(handler)
    hooks = sys.unraisablehook, sys.excepthook
    sys.unraisablehook, sys.excepthook = (lambda *_: None), (lambda *_: None)
    try:
        with warnings.catch_warnings():
            for category in (FutureWarning, DeprecationWarning, UserWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        sys.unraisablehook, sys.excepthook = hooks
        logger.removeHandler(handler)
        logger.setLevel(level)
