"""Status lines and the log of the library on stderr."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer

from spacex._infra.errors import truncate
from spacex.cli._option_names import to_option_names


def log_status(text: str) -> None:
    """Print one line to stderr."""
    typer.echo(f"spacex: {truncate(text)}", err=True)


class OptionFormatter(logging.Formatter):
    """Format a log record as a status line in which arguments are spelled as options of the command."""

    def __init__(self, options: Mapping[str, str]):
        super().__init__("spacex: %(message)s")
        self.options = options

    def format(self, record: logging.LogRecord) -> str:
        return to_option_names(super().format(record), self.options)


@contextmanager
def library_log(options: Mapping[str, str]) -> Iterator[None]:
    """Send the log of the library to stderr and silence the warnings of its dependencies.

    The hooks for uncaught exceptions are disabled because HDF5 prints a traceback for every object that it closes
    after a failed write.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OptionFormatter(options))
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
