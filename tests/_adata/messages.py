"""Error messages of calls that raise `InputError`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spacex._infra.errors import InputError


def error_message(call: Callable[[], Any]) -> str:
    """Return the message of the `InputError` that a call raises."""
    with pytest.raises(InputError) as error:
        call()
    return str(error.value)
