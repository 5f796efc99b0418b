"""The errors that SpaCEX raises, and values as their messages show them."""

from __future__ import annotations

import re
from typing import Any

MAX_WORD_LENGTH = 300
MAX_VALUE_LENGTH = 200
"""Characters of a value in a message: a table or an array would fill the page."""


class InputError(ValueError):
    """The input cannot be used as it is; the message says what is wrong and what mends it, on one line.

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


def truncate(message: str) -> str:
    """A message on one line, in which no word is longer than can be read: names of genes and of files may be."""
    return re.sub(
        rf"\S{{{MAX_WORD_LENGTH},}}", lambda word: f"{word[0][:60]}...{word[0][-20:]}", " ".join(message.split())
    )


def safe_repr(value: Any) -> str:
    """A value as a message has it, whatever it is: no error may come of telling one."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an int of too many digits, or an object that cannot be shown
        text = f"<{type(value).__name__}>"
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 30]}...{text[-20:]}"


class WorkerError(RuntimeError):
    """One of several processes that work together is gone; the message says which and what to do.

    Raised by a fit with `Config.devices` or `Config.num_nodes` above one; what was given is as it was.

    Examples
    --------
    >>> import spacex as sx
    >>> issubclass(sx.WorkerError, RuntimeError)
    True
    """
