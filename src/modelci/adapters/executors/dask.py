"""Runs stages on a Dask cluster; the only module that knows Dask.

A stage is one Dask task. The driver waits for it in a thread; what the stage prints comes back as
events. A worker that is lost while it runs a stage costs nothing but time: Dask starts the task on
another, ``distributed.scheduler.allowed-failures`` times at most.
"""

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from modelci import __version__
from modelci.adapters.ci import stage_environment
from modelci.adapters.dvc.commands import Halt, HaltedError
from modelci.adapters.dvc.worker import Site, run_task
from modelci.config.model import ExecutorConfig
from modelci.domain.elsewhere import Source, StageOutcome, StageTask
from modelci.domain.schedule import Needs
from modelci.errors import ConfigError, PipelineError
from modelci.ports import Progress

try:
    import distributed
except ImportError as error:
    raise ConfigError(
        "The Dask executor needs the package distributed.",
        hint="pip install 'modelci[dask]', here and on the workers.",
    ) from error

_CONNECT_SECONDS = 15.0
_LOOK_SECONDS = 0.1
# A worker ends a stage's processes within 7.5 s.
_HALT_SECONDS = 10.0
_LAST_WORDS_SECONDS = 2.0


def connect(settings: ExecutorConfig, *, progress: Progress) -> "DaskExecutor":
    """Connect to the scheduler at ``address``, or start the ``cluster`` and stop it at the end."""
    client, cluster = _connect(settings)
    return DaskExecutor(client, cluster, settings=settings, progress=progress)


@contextmanager
def connected(settings: ExecutorConfig) -> Iterator[Any]:
    """Return a client of the same, for as long as it is needed."""
    client, cluster = _connect(settings)
    try:
        yield client
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


def _connect(settings: ExecutorConfig) -> tuple[Any, Any | None]:
    cluster = None if settings.address else _start(settings)
    try:
        client: Any = distributed.Client(  # type: ignore[no-untyped-call]
            settings.address or cluster,
            timeout=min(_CONNECT_SECONDS, settings.wait_seconds),
            set_as_default=False,
        )
        _wait(client, settings)
    except (OSError, TimeoutError) as error:
        if cluster is not None:
            cluster.close()
        raise PipelineError(
            f"No Dask workers could be had from {settings.address or settings.cluster}: {error}.",
            hint="Check executor.address, that the scheduler runs, and that its workers start.",
        ) from error
    except (TypeError, ValueError) as error:  # an address that Dask refuses, or no certificates
        if cluster is not None:
            cluster.close()
        raise ConfigError(
            f"Dask cannot use {settings.address or settings.cluster}: {error}.",
            hint="executor.address is tcp://HOST:PORT. For tls:// Dask's own settings name the "
            "certificates (distributed.comm.tls).",
        ) from error
    return client, cluster


def _start(settings: ExecutorConfig) -> Any:
    name = settings.cluster
    module, _, attribute = name.rpartition(".")
    try:
        make = getattr(import_module(module or "distributed"), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"executor.cluster: there is no {name!r}: {error}.",
            hint="Name a class by its import path, such as dask_jobqueue.SLURMCluster.",
        ) from error
    try:
        cluster = make(**settings.arguments)
        if settings.workers is not None:
            cluster.scale(settings.workers)
    except Exception as error:  # whatever the cluster's class raises
        raise PipelineError(
            f"{name} could not be started: {type(error).__name__}: {error}.",
            hint="Its arguments are executor.arguments in modelci.yaml.",
        ) from error
    return cluster


def _wait(client: Any, settings: ExecutorConfig) -> None:
    """Wait for the first worker: those that come later will be used too."""
    client.wait_for_workers(1, timeout=settings.wait_seconds)


class DaskExecutor:
    """Keeps the promises of ``ports.StageExecutor``."""

    def __init__(
        self, client: Any, cluster: Any | None, *, settings: ExecutorConfig, progress: Progress
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._workers = settings.workers or 0
        self.share_credentials = settings.share_credentials
        self._progress = progress
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._busy: dict[str, str] = {}
        # Loading DVC takes each worker a while: it may as well begin.
        self._loading = [
            client.submit(_load, workers=[one], pure=False) for one in client.nthreads()
        ]

    @property
    def slots(self) -> int:
        """How many stages can run at once: each worker process runs one at a time."""
        return max(len(self._client.nthreads()), self._workers, 1)

    def run(
        self,
        task: StageTask,
        source: Source,
        *,
        needs: Needs,
        output: Callable[[bytes], None],
        is_halted: Callable[[], bool],
    ) -> StageOutcome | None:
        """Run one stage on a worker; None once a halt has ended it."""
        key = f"modelci-{task.stage}-{self._run}-{next(self._numbers)}"
        hearing = _Hearing(output, lambda worker: self._begun(key, task.stage, worker))
        self._client.subscribe_topic(key, hearing)
        preferred = self._idle(task.prefer)
        future = self._client.submit(
            _work,
            task,
            source,
            key,
            __version__,
            key=key,
            pure=False,
            resources=self._resources(needs),
            workers=preferred,
            allow_other_workers=preferred is not None,
        )
        try:
            return self._wait_for(future, task.stage, hearing, is_halted)
        finally:
            self._client.unsubscribe_topic(key)
            self._busy.pop(key, None)

    def close(self) -> None:
        """Leave the cluster; stop it if we started it."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _wait_for(
        self, future: Any, stage: str, hearing: "_Hearing", is_halted: Callable[[], bool]
    ) -> StageOutcome | None:
        # Not by `result(timeout=...)`: that is racy in distributed 2026.8.
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        while not is_halted():
            if not done.wait(_LOOK_SECONDS):
                continue
            try:
                outcome: StageOutcome = future.result()
            except distributed.KilledWorker as error:
                raise PipelineError(
                    f"The worker was lost each time that it ran {stage}: {error}.",
                    hint="See the workers' logs; the stage may need more memory than they have.",
                ) from error
            except Exception as error:  # what Dask could not send or load
                raise PipelineError(
                    f"The workers could not run {stage}: {type(error).__name__}: {error}.",
                    hint="Install the same version of 'modelci[dask]' on the workers.",
                ) from error
            hearing.ended.wait(_LAST_WORDS_SECONDS)
            return outcome
        future.cancel()
        if hearing.begun.is_set():
            hearing.ended.wait(_HALT_SECONDS)
        return None

    def _begun(self, key: str, stage: str, worker: str) -> None:
        if key in self._busy:
            self._progress.warn(f"{self._busy[key]} was lost: {stage} runs again, on {worker}.")
        self._busy[key] = worker

    def _resources(self, needs: Needs) -> dict[str, float] | None:
        """Return what the stage needs of what the workers say they have."""
        wanted = {
            "cpus": needs.cpus,
            "memory": needs.memory,
            "gpu": needs.gpus,
            **({f"exclusive:{needs.exclusive}": 1} if needs.exclusive else {}),
        }
        known = {name for one in _workers(self._client) for name in one.get("resources", {})}
        return {name: amount for name, amount in wanted.items() if amount and name in known} or None

    def _idle(self, preferred: tuple[str, ...]) -> list[str] | None:
        """Return a worker that has inputs of the stage and nothing to do, if there is one."""
        here = self._client.nthreads()
        taken = set(self._busy.values())
        return [one for one in preferred if one in here and one not in taken][:1] or None


def _workers(client: Any) -> list[Mapping[str, Any]]:
    return list(client.scheduler_info(n_workers=-1)["workers"].values())


class _Hearing:
    """What a worker tells of one task: that it begins, what the stage prints, that it ends."""

    def __init__(self, output: Callable[[bytes], None], on_begin: Callable[[str], None]) -> None:
        self._output = output
        self._on_begin = on_begin
        self.begun = threading.Event()
        self.ended = threading.Event()

    def __call__(self, event: tuple[float, Any]) -> None:
        kind, content = event[1]
        if kind == "output":
            self._output(content)
        elif kind == "begin":
            self.ended.clear()
            self.begun.set()
            self._on_begin(content)
        else:
            self.ended.set()


# -- on the worker -----------------------------------------------------------------------------


def _load() -> None:
    """Do nothing: whoever calls this has loaded all that is needed."""


def _work(task: StageTask, source: Source, key: str, version: str) -> StageOutcome | None:
    """Run a stage in this worker process."""
    worker = distributed.get_worker()
    name = worker.address
    if version != __version__:
        problem = f"it has modelci {__version__}, and the driver {version}."
        return StageOutcome(worker=name, problem=problem)
    tell = _Telling(worker, key)
    halt = Halt()
    with tell, _halted_when(lambda: _is_unwanted(worker, key), halt, tell.flush):
        try:
            return run_task(
                task,
                source,
                Site(
                    name=name,
                    # Beside the folder that Dask removes with the worker.
                    folder=Path(worker.local_directory).parent / "modelci",
                    environment=stage_environment(),
                    output=tell.write,
                    halt=halt,
                ),
            )
        except HaltedError:
            return None


def _is_unwanted(worker: Any, key: str) -> bool:
    """Whether the task was cancelled, or nobody is left who waits for it."""
    state = worker.state.tasks.get(key)
    return state is None or state.state == "cancelled" or worker.status.name == "closed"


class _Telling:
    """Sends events to the driver: what is printed in pieces, ten a second at most."""

    def __init__(self, worker: Any, topic: str) -> None:
        self._worker = worker
        self._topic = topic
        self._waiting = bytearray()
        self._mutex = threading.Lock()

    def __enter__(self) -> Self:
        self._send("begin", self._worker.address)
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._send("end", None)

    def write(self, data: bytes) -> None:
        """Take what is printed."""
        with self._mutex:
            self._waiting += data

    def flush(self) -> None:
        """Send what has been printed since."""
        with self._mutex:
            data, self._waiting = bytes(self._waiting), bytearray()
        if data:
            self._send("output", data)

    def _send(self, kind: str, content: object) -> None:
        self._worker.log_event(self._topic, (kind, content))


@contextmanager
def _halted_when(
    is_over: Callable[[], bool], halt: Halt, each_time: Callable[[], None]
) -> Iterator[None]:
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_SECONDS):
            each_time()
            if not halt.is_asked and is_over():
                halt.ask()

    watcher = threading.Thread(target=watch, name="modelci-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
