"""Several workers on one socket: starts them, starts them again, switches them all, ends them.

It loads no model and answers no request, so that it outlives what goes wrong in those who do.
Models are switched in two steps: every worker loads and tests the new one, and only if all of them
could do they all take it, each between two requests.
"""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from modelci.errors import DeploymentError, ModelCIError
from modelci.serving import control
from modelci.serving.control import Done, Link
from modelci.serving.metrics import SWITCHES, Metrics, shared_memory
from modelci.serving.settings import Settings
from modelci.serving.source import Source, open_release, tell_switch

_logger = logging.getLogger(__name__)

_LOAD_SECONDS = 600.0
_COMMIT_SECONDS = 30.0
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 10.0
_STEADY_SECONDS = 30.0  # a worker that lived so long did not die of its start
_SPARE_SECONDS = 5.0
_PATIENCE = 5  # starts that fail in a row while no worker answers


class Worker:
    """A process, and what was asked of it."""

    def __init__(self, process: subprocess.Popen[bytes], link: Link, source: Source) -> None:
        self.process = process
        self.source = source
        self._link = link
        self._waiting: asyncio.Future[Done] | None = None

    async def first(self) -> Done:
        """Return what came of its start."""
        reply = await asyncio.wait_for(self._link.receive(control.Reply), _LOAD_SECONDS)
        return reply if isinstance(reply, Done) else Done(error="it ended while it started")

    def send(self, message: control.Order) -> None:
        """Tell it something."""
        self._link.send(message)

    async def order(self, message: control.Order, seconds: float) -> Done:
        """Tell it to do something, and return what came of it."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._link.send(message)
        try:
            return await asyncio.wait_for(self._waiting, seconds)
        except TimeoutError:
            return Done(error=f"a worker did not answer within {seconds:g} seconds")
        finally:
            self._waiting = None

    async def attend(self, on_ask: Callable[[control.Ask], None]) -> None:
        """Hear what it says until it ends."""
        while (reply := await self._link.receive(control.Reply)) is not None:
            if isinstance(reply, control.Ask):
                on_ask(reply)
            elif self._waiting is not None and not self._waiting.done():
                self._waiting.set_result(reply)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Done(error="a worker ended meanwhile"))

    async def end(self, seconds: float) -> None:
        """End it: kindly, and after some time by force."""
        self._link.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self.process.wait, seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)


class Supervisor:
    """Keeps ``count`` workers on ``requests``; ``reopen`` says what there is to serve."""

    def __init__(
        self,
        reopen: Callable[[], Source],
        settings: Settings,
        *,
        count: int,
        requests: socket.socket,
        admin: socket.socket | None = None,
        on_ready: Callable[[Source], None],
    ) -> None:
        self._reopen = reopen
        self._settings = settings
        self._count = count
        self._sockets = (requests, admin)
        self._memory = shared_memory(count + 1)
        self._metrics = Metrics(self._memory, slot=count, slots=count + 1)
        self._on_ready = on_ready
        self._source: Source | None = None
        self._ready: dict[int, Worker] = {}
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._was_ready = False
        self._failed_starts = 0
        self._failure: ModelCIError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._ending = asyncio.Event()

    def run(self) -> None:
        """Serve until told to end. Raises ModelCIError where no worker could be started."""
        self._source = self._reopen()
        asyncio.run(self._run())
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._start(self._switch_and_tell()))
        keepers = [loop.create_task(self._keep(slot)) for slot in range(self._count)]
        await self._ending.wait()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    def _end(self) -> None:
        if self._ending.is_set():  # who asks twice does not want to wait
            for process in self._processes:
                process.kill()
        self._ending.set()

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, slot: int) -> None:
        """Have a worker in a slot, and another when it ends."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            worker = await self._spawn(slot)
            try:
                await self._have(slot, worker)
            finally:
                self._ready.pop(slot, None)
                await worker.end(self._end_seconds)
                self._processes.discard(worker.process)
            if time.monotonic() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    async def _spawn(self, slot: int) -> Worker:
        ours, theirs = socket.socketpair()
        requests, admin = self._sockets
        descriptors = {
            "control_fd": theirs.fileno(),
            "requests_fd": requests.fileno(),
            "metrics_fd": self._memory,
            "admin_fd": None if admin is None else admin.fileno(),
        }
        # A worker finds modules where we found them, as multiprocessing has it.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from modelci.serving.worker import work; sys.exit(work(**{descriptors!r}))"
        )
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[one for one in descriptors.values() if one is not None],
            )
        self._processes.add(process)
        assert self._source is not None  # noqa: S101 - `run` has set it
        worker = Worker(process, await Link.over(ours), self._source)
        start = control.Start(
            source=self._source,
            settings=self._settings,
            slot=slot,
            slots=self._count + 1,
            level=logging.root.level,
        )
        worker.send(start)
        return worker

    async def _have(self, slot: int, worker: Worker) -> None:
        """Let a worker answer, from its start to its end."""
        done = await worker.first()
        if done.error is not None:
            self._note_failure(slot, done)
            return
        async with self._turn:
            if worker.source != self._source:  # a switch was quicker
                return
            worker.send(control.Listen())
            self._ready[slot] = worker
        self._failed_starts = 0
        if not self._was_ready:
            self._was_ready = True
            self._on_ready(worker.source)
        await worker.attend(lambda ask: self._start(self._answer(worker, ask)))
        code = await asyncio.to_thread(worker.process.wait)
        _logger.warning("worker %d ended (%s) and is started again", slot, _describe(code))

    def _note_failure(self, slot: int, done: Done) -> None:
        """Give up where no worker comes up; else try again, and say why."""
        self._failed_starts += 1
        error = _error_of(done)
        if not self._was_ready or (not self._ready and self._failed_starts >= _PATIENCE):
            self._failure = self._failure or error
            self._ending.set()
        else:
            _logger.error("worker %d could not start: %s", slot, error)

    async def _answer(self, worker: Worker, ask: control.Ask) -> None:
        outcome = await self.switch(None if ask.folder is None else Path(ask.folder))
        worker.send(control.Asked(outcome=outcome))

    async def _switch_and_tell(self) -> None:
        done = await self.switch(None)
        if done.error is not None:
            _logger.error("The model was not switched: %s", done.error)

    async def switch(self, folder: Path | None) -> Done:
        """Let all workers load a release beside what they have, and then all take it, or none."""
        async with self._turn:
            done = await self._switch_in_turn(folder)
        self._metrics.add(SWITCHES, "done" if done.error is None else "refused")
        return done

    async def _switch_in_turn(self, folder: Path | None) -> Done:
        reopen = self._reopen if folder is None else partial(open_release, folder)
        try:
            source = await asyncio.to_thread(reopen)
        except ModelCIError as error:
            return control.failed(error)
        workers = list(self._ready.values())
        if not workers:
            return Done(error="no worker is ready; they are being started again")
        outcomes = await _order_all(workers, control.Prepare(source=source), _LOAD_SECONDS)
        refused = next((one for one in outcomes if one.error is not None), None)
        if refused is not None:
            await _order_all(workers, control.Discard(), _COMMIT_SECONDS)
            return refused
        # From here on a worker that ends is started again with the new one.
        self._source = source
        for worker in workers:
            worker.source = source
        await _order_all(workers, control.Commit(), _COMMIT_SECONDS)
        tell_switch(source)
        return outcomes[0]

    @property
    def _end_seconds(self) -> float:
        return self._settings.drain_seconds + self._settings.timeout_seconds + _SPARE_SECONDS


async def _order_all(
    workers: Sequence[Worker], message: control.Order, seconds: float
) -> list[Done]:
    return await asyncio.gather(*(worker.order(message, seconds) for worker in workers))


def _error_of(done: Done) -> ModelCIError:
    """Return the error that a worker told of, of its family."""
    families = {family.exit_code: family for family in ModelCIError.__subclasses__()}
    return families.get(done.exit_code, DeploymentError)(f"{done.error}", hint=done.hint)


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
