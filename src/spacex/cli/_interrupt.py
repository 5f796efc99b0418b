"""Requests to end, by Ctrl-C or by a scheduler, which are heard whatever a library does meanwhile."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from spacex._infra.atomic_write import remove_drafts

PATIENCE = 1.0
"""Seconds that a command has to unwind by itself; then what it left half-written is removed for it."""

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
INTERRUPTED = 128 + signal.SIGINT

PARENT = "SPACEX_PARENT"
"""Variable of the environment: the process without which this one is not to go on."""


class Stop:
    """The signal that asked this process to end, if one did.

    It is kept because the exception may not arrive: HDF5, above all, puts an error of its own in its place.
    """

    def __init__(self) -> None:
        self.number = 0

    @property
    def code(self) -> int:
        """Exit code, or 0 where nothing asked for an end."""
        return 128 + self.number if self.number else 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal: unwind the stack, so that whatever is half-written is removed."""
        if self.number:  # a second one would break off the removal; the first ends the process soon, in any case
            return
        self.number = number
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(self.code)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Hear SIGINT and SIGTERM, and end the process where it has not come to an end within `PATIENCE`.

    Python's own handlers run only when a library comes back. But the system writes the signal's number to a pipe at
    once, whatever the main thread does; a thread reads it there. The end of the process that `PARENT` names is taken
    for SIGTERM.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    heard, written = os.pipe()
    os.set_blocking(written, False)
    over = threading.Event()
    wakeup = signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    # What ignores a signal, such as a job in the background of a shell, goes on to ignore it; where
    # another program than Python hears it, as one that embeds Python may, it goes on to.
    before = {number: now for number in WORDS if (now := signal.getsignal(number)) not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, stop)
    parent = os.environ.pop(PARENT, "")
    watch = threading.Thread(target=_watch, args=(heard, over, int(parent) if parent.isdigit() else None), daemon=True)
    watch.start()
    try:
        yield stop
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.write(written, b"\0")
        watch.join()
        os.close(heard)
        os.close(written)


def _watch(heard: int, over: threading.Event, parent: int | None) -> None:
    while not over.is_set():
        said, _, _ = select.select([heard], [], [], None if parent is None else PATIENCE)
        if parent is not None and os.getppid() != parent:
            parent = None
            os.kill(os.getpid(), signal.SIGTERM)
        if not said:
            continue
        asked = [number for number in os.read(heard, 64) if number in WORDS]
        if asked and not over.wait(PATIENCE):
            remove_drafts()
            os.write(2, f"spacex: {WORDS[signal.Signals(asked[0])]}\n".encode())
            os._exit(128 + asked[0])
