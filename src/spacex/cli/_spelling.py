"""Options in messages: as the command line spells them, where a message has them as Python does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

VALUE = r"""'[^']*'|"[^"]*"|[\w.+-]*\w"""
"""A value after the name of an argument and ``=``: quoted text, a number or a word; nothing where none is given."""


CALL = r"\w+(?:\.\w+)*\([^()]*\)"
"""A call, such as ``sx.tl.embed(adata, layer='raw')``, which stays as it is."""


def options_of(command: Any) -> dict[str, str]:
    """Option of a command by the name of the argument in Python: ``library_key`` for ``--library-key``."""
    options = [parameter for parameter in getattr(command, "params", ()) if parameter.param_type_name == "option"]
    return {option.name: max(option.opts, key=len) for option in options if option.name is not None}


def in_options(message: str, options: Mapping[str, str]) -> str:
    """A message in which arguments of these names are options: ``layer='raw'`` is ``--layer raw``."""
    if not options:
        return message
    names = "|".join(sorted(map(re.escape, options), key=len, reverse=True))

    def spelled(match: re.Match[str]) -> str:
        if match["name"] is None:
            return match[0]
        option, value = options[match["name"]], match["value"] or ""
        if value == "None":
            return f"no {option}"
        text = value[1:-1] if value[:1] in ("'", '"') else value
        return option if value in ("", "True") else f"{option} {shlex.quote(text)}"

    pattern = rf"{CALL}|(?<![\w.\[\-])(?:Config\.)?(?P<name>{names})=(?!=)(?P<value>{VALUE})?"
    return re.sub(pattern, spelled, message)
