"""The whole message of an error: what users read is held word by word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spacex._infra.errors import InputError


def error_message(call: Callable[[], Any]) -> str:
    """The message of the `InputError` that a call ends in."""
    with pytest.raises(InputError) as error:
        call()
    return str(error.value)
