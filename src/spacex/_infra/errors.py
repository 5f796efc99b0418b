"""Errors that SpaCEX raises, and formatting of values in messages."""

from __future__ import annotations

import re
from typing import Any

MAX_WORD_LENGTH = 300
"""Maximum number of characters of a word in a message; gene and file names can be longer."""

MAX_VALUE_LENGTH = 200
"""Maximum number of characters of a value in a message; arrays and tables can be longer."""


class InputError(ValueError):
    """Invalid input. The message names the problem and the fix, on one line.

    Examples
    --------
    >>> import spacex as sx
    >>> try:
    ...     sx.Config(theta=0)
    ... except sx.InputError as error:
    ...     print(error)
    Config.theta=0 is not allowed; pass a number > 0
    """

    def __init__(self, message: object = ""):
        super().__init__(truncate(str(message)))


class DiskFullError(OSError):
    """A file could not be written because the disk is full or a quota is exhausted."""


class WorkerError(RuntimeError):
    """One of several parallel processes ended unexpectedly; the message names it and the fix.

    Raised by a fit with `Config.devices` or `Config.num_nodes` above one. The caller's objects are unchanged.

    Examples
    --------
    >>> import spacex as sx
    >>> issubclass(sx.WorkerError, RuntimeError)
    True
    """


def truncate(message: str) -> str:
    """Return the message on one line, with long words shortened."""
    return re.sub(
        rf"\S{{{MAX_WORD_LENGTH},}}", lambda word: f"{word[0][:60]}...{word[0][-20:]}", " ".join(message.split())
    )


def safe_repr(value: Any) -> str:
    """Return a short ``repr`` on one line; never raises."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an int with too many digits, or a broken __repr__
        text = f"<{type(value).__name__}>"
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 30]}...{text[-20:]}"
