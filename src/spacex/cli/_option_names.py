"""Translation of Python arguments in messages to command-line options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

VALUE = r"""'[^']*'|"[^"]*"|[\w.+-]*\w"""
"""Pattern of the value in ``name=value``: quoted text, a number or a word."""

CALL = r"\w+(?:\.\w+)*\([^()]*\)"
"""Pattern of a call, such as ``sx.tl.embed(adata, layer='raw')``. Calls are not translated."""


def option_names(command: Any) -> dict[str, str]:
    """Return the options of a command by argument name: ``{"library_key": "--library-key"}``."""
    options = [parameter for parameter in getattr(command, "params", ()) if parameter.param_type_name == "option"]
    return {option.name: max(option.opts, key=len) for option in options if option.name is not None}


def to_option_names(message: str, options: Mapping[str, str]) -> str:
    """Replace arguments in a message by options: ``layer='raw'`` becomes ``--layer raw``."""
    if not options:
        return message
    names = "|".join(sorted(map(re.escape, options), key=len, reverse=True))

    def to_option(match: re.Match[str]) -> str:
        if match["name"] is None:
            return match[0]
        option, value = options[match["name"]], match["value"] or ""
        if value == "None":
            return f"no {option}"
        text = value[1:-1] if value[:1] in ("'", '"') else value
        return option if value in ("", "True") else f"{option} {shlex.quote(text)}"

    pattern = rf"{CALL}|(?<![\w.\[\-])(?:Config\.)?(?P<name>{names})=(?!=)(?P<value>{VALUE})?"
    return re.sub(pattern, to_option, message)
