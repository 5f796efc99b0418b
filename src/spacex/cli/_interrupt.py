"""Ctrl-C that is heard while a library computes: Python itself hears it only when the library comes back."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from spacex._whole import discard

PATIENCE = 1.0
"""Seconds that an interrupted command has to unwind by itself; then what it left half-written is removed for it."""


@contextmanager
def prompt_interrupt(code: int) -> Iterator[None]:
    """End the process with `code` when, interrupted by SIGINT, it has not come to an end within `PATIENCE`.

    The system writes the signal's number to a pipe at once, whatever the main thread does; a thread reads it there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, written = os.pipe()
    os.set_blocking(written, False)
    over = threading.Event()
    before = signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(heard, over, code), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.write(written, b"\0")
        watch.join()
        os.close(heard)
        os.close(written)


def _watch(heard: int, over: threading.Event, code: int) -> None:
    while not over.is_set():
        select.select([heard], [], [])
        if signal.SIGINT in os.read(heard, 64) and not over.wait(PATIENCE):
            discard()
            os.write(2, b"spacex: interrupted\n")
            os._exit(code)
