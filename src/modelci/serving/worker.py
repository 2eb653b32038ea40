"""One process that answers: it loads a model, listens, switches models, and ends in good order."""

import asyncio
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelci.errors import ModelCIError
from modelci.serving import control
from modelci.serving.admin import AdminApp
from modelci.serving.app import ServingApp
from modelci.serving.control import Done, Link
from modelci.serving.engine import Engine
from modelci.serving.http import DrainingServer, PrivateServer
from modelci.serving.metrics import STARTS, SWITCHES, Metrics
from modelci.serving.model import ServedModel, load
from modelci.serving.requestlog import RequestLog
from modelci.serving.settings import Settings
from modelci.serving.source import Source, open_release, tell_switch

_logger = logging.getLogger(__name__)

_THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)
_GIL_SECONDS = 0.0005  # how long the log's thread may keep a request waiting
_PROCESS_SECONDS = 5.0

Switch = Callable[[Path | None], Coroutine[Any, Any, Done]]
"""Switches to a release's folder (None: to what is to be served now), and says what came of it."""


def pin_threads(count: int) -> None:
    """Let numerical libraries use so many threads; it counts for those that are loaded later.

    One row is answered slower by many threads than by one, and workers would fight for the cores.
    """
    for name in _THREADS:
        os.putenv(name, str(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where to listen: for requests, and for whom may switch models."""

    requests: socket.socket
    admin: socket.socket | None = None


def serve(
    reopen: Callable[[], Source],
    settings: Settings,
    places: Places,
    *,
    on_ready: Callable[[Source], None],
) -> None:
    """Be the only process: answer until told to end. Raises ModelCIError before it listens.

    ``reopen`` says what there is to serve, at the beginning and whenever it shall look again.
    """
    with _uncollected():
        model = load(reopen(), onnx=settings.onnx)
    with _process(model, settings, Metrics()) as app:
        on_ready(model.source)
        _run(_run_alone(app, LocalSwitch(app, reopen), places))


def work(*, control_fd: int, requests_fd: int, metrics_fd: int, admin_fd: int | None) -> int:
    """Be one of several processes, as the supervisor at the other end of ``control_fd`` says."""
    sock = socket.socket(fileno=control_fd)
    start = control.read_first(sock)
    logging.basicConfig(level=start.level, format=f"worker {start.slot}: %(message)s")
    pin_threads(start.settings.threads)
    try:
        with _uncollected():
            model = load(start.source, onnx=start.settings.onnx)
    except ModelCIError as error:
        sock.sendall(control.encode(control.failed(error)))
        return error.exit_code
    places = Places(
        requests=socket.socket(fileno=requests_fd),
        admin=None if admin_fd is None else socket.socket(fileno=admin_fd),
    )
    metrics = Metrics(metrics_fd, slot=start.slot, slots=start.slots)
    with _process(model, start.settings, metrics) as app:
        _run(_run_supervised(app, sock, places))
    return 0


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no cycles while libraries and the model are loaded: nearly all of that stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _process(model: ServedModel, settings: Settings, metrics: Metrics) -> Iterator[ServingApp]:
    """Give the application, with its threads, in a process that is tuned for it."""
    metrics.add(STARTS)
    engine = Engine(metrics, seconds=settings.timeout_seconds)
    log = RequestLog(settings.log, metrics) if settings.log else None
    app = ServingApp(model, settings=settings, metrics=metrics, engine=engine, log=log)
    sys.setswitchinterval(_GIL_SECONDS)
    # What has been imported and loaded stays: to look through it for cycles again and again would
    # keep requests waiting for some hundredths of a second.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield app
    finally:
        engine.close()
        if log is not None:
            log.close()


def _run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        runner.run(main)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _run_alone(app: ServingApp, switch: "LocalSwitch", places: Places) -> None:
    tasks = Tasks()

    def look_again() -> None:
        tasks.start(_switch_and_tell(switch))

    server = DrainingServer(app, app.settings, on_hangup=look_again)
    await _answer(app, server, places, switch)
    await tasks.end()


async def _switch_and_tell(switch: Switch) -> None:
    done = await switch(None)
    if done.error is not None:
        _logger.error("The model was not switched: %s", done.error)


async def _run_supervised(app: ServingApp, sock: socket.socket, places: Places) -> None:
    link = await Link.over(sock)
    link.send(Done(health=app.live.model.health))
    if not isinstance(await link.receive(control.Order), control.Listen):
        return
    tasks = Tasks()
    server = DrainingServer(app, app.settings, heeds_terminal=False)
    member = Member(app, link, server)
    tasks.start(member.attend())
    await _answer(app, server, places, member.switch)
    await tasks.end()
    link.close()


async def _answer(app: ServingApp, server: DrainingServer, places: Places, switch: Switch) -> None:
    """Answer requests until the server is told to end."""
    tasks = Tasks()
    tasks.start(_note_process(app))
    desk = PrivateServer(AdminApp(app, switch))
    if places.admin is not None:
        await desk.begin(places.admin)  # first: who finds us ready may want to switch
    await server.serve(sockets=[places.requests])
    if places.admin is not None:
        await desk.end(places.admin)
    await tasks.end()


async def _note_process(app: ServingApp) -> None:
    while True:
        app.metrics.note_process()
        await asyncio.sleep(_PROCESS_SECONDS)


class Tasks:
    """What goes on beside the server, for as long as it does."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, job: Coroutine[Any, Any, None]) -> None:
        """Start something; it is held until it ends."""
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Stop all of it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


class LocalSwitch:
    """Switches the model of this process, one at a time."""

    def __init__(self, app: ServingApp, reopen: Callable[[], Source]) -> None:
        self._app = app
        self._reopen = reopen
        self._turn = asyncio.Lock()

    async def __call__(self, folder: Path | None) -> Done:
        """Load beside the model that answers, hold it to its golden requests, then swap."""
        async with self._turn:
            try:
                model = await asyncio.to_thread(self._load, folder)
            except ModelCIError as error:
                self._app.metrics.add(SWITCHES, "refused")
                return control.failed(error)
            self._app.switch(model)
            self._app.metrics.add(SWITCHES, "done")
            tell_switch(model.source)
            return Done(health=model.health)

    def _load(self, folder: Path | None) -> ServedModel:
        source = self._reopen() if folder is None else open_release(folder)
        return load(source, onnx=self._app.settings.onnx)


class Member:
    """A worker's side of the talk with its supervisor."""

    def __init__(self, app: ServingApp, link: Link, server: DrainingServer) -> None:
        self._app = app
        self._link = link
        self._server = server
        self._prepared: ServedModel | None = None
        self._turn = asyncio.Lock()
        self._asked: asyncio.Future[Done] | None = None

    async def attend(self) -> None:
        """Do as the supervisor says; end when it is gone."""
        while (order := await self._link.receive(control.Order)) is not None:
            match order:
                case control.Prepare():
                    self._link.send(await self._prepare(order.source))
                case control.Commit():
                    self._commit()
                    self._link.send(Done())
                case control.Discard():
                    self._prepared = None
                    self._link.send(Done())
                case control.Asked() if self._asked is not None:
                    self._asked.set_result(order.outcome)
                case _:
                    pass
        self._server.end()

    async def switch(self, folder: Path | None) -> Done:
        """Ask the supervisor to switch all workers."""
        async with self._turn:
            self._asked = asyncio.get_running_loop().create_future()
            self._link.send(control.Ask(folder=None if folder is None else str(folder)))
            try:
                return await self._asked
            finally:
                self._asked = None

    async def _prepare(self, source: Source) -> Done:
        try:
            self._prepared = await asyncio.to_thread(load, source, onnx=self._app.settings.onnx)
        except ModelCIError as error:
            return control.failed(error)
        return Done(health=self._prepared.health)

    def _commit(self) -> None:
        if self._prepared is not None:
            self._app.switch(self._prepared)
            self._prepared = None
