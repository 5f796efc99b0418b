"""SIGINT and SIGTERM end a command within seconds, also while a library blocks the main thread."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from spacex._infra.atomic_write import remove_drafts

GRACE_SECONDS = 1.0
"""Time for the stack to unwind after a signal; then partial files are removed and the process exits."""

MESSAGES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
EXIT_INTERRUPTED = 128 + signal.SIGINT

PARENT_VARIABLE = "SPACEX_PARENT"
"""Environment variable with the process id of the parent: the process terminates when its parent exits."""


class StopRequest:
    """Signal handler that remembers the first signal.

    The exception that it raises may be lost: HDF5, for example, replaces it by another error.
    """

    def __init__(self) -> None:
        self.signal_number = 0

    @property
    def exit_code(self) -> int:
        """Exit code for the signal, or 0 if no signal arrived."""
        return 128 + self.signal_number if self.signal_number else 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Unwind the stack, so that context managers remove partial files."""
        if self.signal_number:  # a second signal would interrupt the removal of files
            return
        self.signal_number = number
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(self.exit_code)


@contextmanager
def handle_signals() -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM, and exit if the block has not ended `GRACE_SECONDS` after a signal.

    Python runs its signal handlers only between two bytecode instructions of the main thread. The number of the
    signal is written to a pipe immediately, so a second thread reads it there. The exit of the parent process named
    in `PARENT_VARIABLE` is handled as SIGTERM.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    finished = threading.Event()
    previous_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # Leave ignored signals, and handlers not installed by Python, untouched.
    previous_handlers = {
        number: handler for number in MESSAGES if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in previous_handlers:
        signal.signal(number, request)
    parent = os.environ.pop(PARENT_VARIABLE, "")
    arguments = (reader, finished, int(parent) if parent.isdigit() else None)
    watcher = threading.Thread(target=_watch, args=arguments, daemon=True)
    watcher.start()
    try:
        yield request
    finally:
        finished.set()
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_wakeup)
        os.write(writer, b"\0")
        watcher.join()
        os.close(reader)
        os.close(writer)


def _watch(reader: int, finished: threading.Event, parent: int | None) -> None:
    """Exit the process if `finished` is not set in time after a signal."""
    while not finished.is_set():
        readable, _, _ = select.select([reader], [], [], None if parent is None else GRACE_SECONDS)
        if parent is not None and os.getppid() != parent:
            parent = None
            os.kill(os.getpid(), signal.SIGTERM)
        if not readable:
            continue
        numbers = [number for number in os.read(reader, 64) if number in MESSAGES]
        if numbers and not finished.wait(GRACE_SECONDS):
            remove_drafts()
            os.write(2, f"spacex: {MESSAGES[signal.Signals(numbers[0])]}\n".encode())
            os._exit(128 + numbers[0])
