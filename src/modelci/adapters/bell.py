"""A bell that a waiting process hears: rung by news, or by whoever wants it to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Bell:
    """Wakes a wait in another thread, or in this one from a signal's handler."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._stopped = threading.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether it is time to stop."""
        return self._stopped.is_set()

    def ring(self) -> None:
        """Say that there is news: who waits looks now, who does not at its next wait."""
        self._rung.set()

    def stop(self) -> None:
        """Say that it is time to stop."""
        self._stopped.set()
        self._rung.set()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the bell is rung."""
        if not self.is_stopped:
            self._rung.wait(seconds)
            self._rung.clear()

    def pause(self, seconds: float) -> None:
        """Wait so long, whatever is new, or until it is time to stop."""
        self._stopped.wait(seconds)

    def checkpoint(self) -> None:
        """Raise KeyboardInterrupt where it is time to stop."""
        if self.is_stopped:
            raise KeyboardInterrupt

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Let the signals that end a process ask to stop first; a second one ends it at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self.is_stopped:
                signal.default_int_handler(number, frame)
            self.stop()

        previous = {number: signal.signal(number, ask) for number in _STOPPING}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
