"""Who may touch the repository: one of our threads at a time, and no other DVC process."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from dvc.lock import LockError

from modelci.adapters.dvc import seams


class Token:
    """Held for every line of DVC's code, which is not made for threads; given on in turn.

    Its holder holds the repository's lock too, so that other DVC processes (a stage may well start
    one) work while all of our threads only wait for commands, as with ``dvc repro``.
    """

    def __init__(self, repo: Any, waiting: Callable[[], None]) -> None:
        self._lock = repo.lock
        self._waiting = waiting
        self._mutex = threading.Lock()
        self._queue: deque[threading.Lock] = deque()
        self._is_held = True  # whoever makes it has locked the repository

    def __enter__(self) -> None:
        with self._mutex:
            turn = None
            if self._is_held:
                turn = threading.Lock()
                turn.acquire()
                self._queue.append(turn)
            self._is_held = True
        if turn is not None:
            turn.acquire()
        try:
            self._lock_repository()
        except BaseException:
            self._pass_on()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.unlock()
        self._pass_on()

    @contextmanager
    def let_go(self) -> Iterator[None]:
        """Inside, others may have it."""
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self.__enter__()

    def give_way(self) -> None:
        """Let those who wait go first."""
        if self._queue:
            with self.let_go():
                pass

    def _pass_on(self) -> None:
        with self._mutex:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._is_held = False

    def _lock_repository(self) -> None:
        """Lock it, however long another process keeps it: a stage's results wait to be saved."""
        while True:
            try:
                self._lock.lock()
            except LockError:
                self._waiting()
            else:
                return


class Claims:
    """Which paths our stages read and write: DVC's ``rwlock``, kept in memory.

    Others look at it only while they hold the repository's lock, so it need be in its file only
    while a command runs. DVC writes it some twenty times for each stage.
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[Counter[str], Counter[str]]] = {}

    @contextmanager
    def rwlock(  # noqa: PLR0917 - as DVC has it
        self,
        tmp_dir: str,
        fs: Any,  # noqa: ARG002
        cmd: str,
        read: Sequence[str],
        write: Sequence[str],
        hardlink: bool,  # noqa: FBT001
    ) -> Iterator[None]:
        """Claim paths for the stage that this thread works on. Raises DVC's LockError."""
        seams.check_claims(tmp_dir, cmd, [*read], [*write], hardlink=hardlink)
        mine = self._held.setdefault(threading.get_ident(), (Counter(), Counter()))
        for counter, paths in zip(mine, (read, write), strict=True):
            counter.update(paths)
        try:
            yield
        finally:
            for counter, paths in zip(mine, (read, write), strict=True):
                counter.subtract(paths)

    def of_this_thread(self) -> tuple[list[str], list[str]]:
        """Return what this thread's stage reads and writes."""
        read, write = self._held.get(threading.get_ident(), (Counter(), Counter()))
        return sorted(+read), sorted(+write)
