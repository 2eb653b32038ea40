"""HAProxy as the switch: a generated configuration, and its runtime socket.

An artifact is a backend with a number of slots, servers on unix sockets; a slot's socket is a link
to that of the release which has it. Whom requests go to is a matter of weights, which the runtime
socket changes in a fraction of a millisecond. HAProxy writes a line for each prediction into a
pipe, from which we know latencies. It makes no copies of requests, so there is no shadow.
"""

import asyncio
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from modelci.adapters.targets.layout import replace_file
from modelci.adapters.targets.switching.routes import (
    INDEX,
    Route,
    Routes,
    by_length,
    index_of,
    path_prefix,
)
from modelci.adapters.targets.switching.settings import ServerSettings
from modelci.adapters.targets.switching.traffic import Traffic
from modelci.domain.deployment import Observation
from modelci.errors import DeploymentError

SLOTS = 8
"""Releases that an artifact can have up at a time: running, previous, tried, and ending ones."""

_MOST_WEIGHT = 256
_HEAD = "# artifacts: "
_PIPE_BYTES = 1024 * 1024
_SECONDS = 5.0
_JSON = 'content-type "application/json"'
_ERRORS = {
    400: "The request is no HTTP/1.1.",
    408: "The request did not come in time.",
    413: "The body is too large.",
    500: "The switch has failed.",
    502: "The model answered what is no HTTP.",
    503: "The model does not answer.",
    504: "The model did not answer in time.",
}


class HAProxySwitch:
    """The ``Switch`` that HAProxy is; ``program`` is its path."""

    kind = "haproxy"

    def __init__(self, settings: ServerSettings, *, run: Path, number: int, program: str) -> None:
        self._settings = settings
        self._run = run
        self._program = program
        self._name = f"haproxy-{number}"
        self.control = f"{self._name}.sock"
        self._slots = Slots(run)
        self._traffic: dict[str, Traffic] = {}
        self._faults: dict[str, int] = {}
        self._pipe: int | None = None
        self._half = b""

    # What the supervisor calls

    @property
    def inherits(self) -> Sequence[int]:
        return (self._open_pipe(),)

    def command(self, listener: int, routes: Routes) -> Sequence[str]:
        for route in routes.routes:
            for release in route.releases:
                self._slots.take(route.artifact, release, routes.sockets)
        text = write_config(
            self._settings,
            routes,
            self._slots,
            name=self._name,
            listener=listener,
            log=self._open_pipe(),
        )
        replace_file(self._run / f"{self._name}.cfg", text.encode(), mode=0o600, sync=False)
        return [self._program, "-db", "-f", f"{self._name}.cfg"]

    async def is_ready(self) -> bool:
        try:
            await self._tell("show version")
        except DeploymentError:
            return False
        self._open_pipe()
        return True

    def can_route(self, routes: Routes) -> bool:
        return self._configured() == [route.artifact for route in routes.routes]

    async def route(self, routes: Routes) -> None:
        """Raise the new weights before the old ones fall: somebody answers at any moment."""
        raising: list[str] = []
        lowering: list[str] = []
        for route in routes.routes:
            weights = weights_of(route)
            backend = backend_of(route.artifact)
            for release, weight in weights.items():
                slot, is_new = self._slots.take(route.artifact, release, routes.sockets)
                server = f"{backend}/{slot}"
                if is_new:
                    raising += [
                        f"set server {server} state ready",
                        f"set server {server} health up",
                    ]
                raising.append(f"set server {server} weight {weight}")
            for slot, release in self._slots.of(route.artifact).items():
                if release not in weights:
                    lowering.append(f"set server {backend}/{slot} weight 0")
                if release not in routes.sockets:
                    lowering.append(f"set server {backend}/{slot} state maint")
                    self._slots.free(route.artifact, slot)
        if not raising + lowering:
            return
        said = await self._tell("; ".join(raising + lowering))
        # What a change of weight says is empty; anything else is a refusal.
        wrong = [line for line in said.splitlines() if line.strip()]
        if wrong:
            raise DeploymentError(f"HAProxy did not switch: {wrong[0]}")
        tried = {route.trial.release for route in routes.routes if route.trial is not None}
        if tried - self._faults.keys():  # what went wrong before does not count
            await self._count_faults()

    async def observe(self, release: str, seconds: float) -> Observation | None:
        await self._count_faults()
        self._read_pipe()
        traffic = self._traffic.get(release)
        if traffic is None:  # up, and not asked yet
            traffic = self._traffic[release] = Traffic()
        return traffic.observe(seconds)

    def close(self) -> None:
        if self._pipe is not None:
            with suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = None

    # The runtime socket

    async def _tell(self, commands: str) -> str:
        try:
            async with asyncio.timeout(_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self.control)
                try:
                    writer.write(commands.encode() + b"\n")
                    return (await reader.read()).decode(errors="replace")
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise DeploymentError(f"HAProxy does not answer: {error}.") from error

    async def _count_faults(self) -> None:
        """Count connections that failed, or were tried again elsewhere: no client saw those."""
        said = await self._tell("show stat json")
        for row in json.loads(said):
            fields = {one["field"]["name"]: one["value"]["value"] for one in row}
            release = self._release_of(str(fields.get("pxname")), str(fields.get("svname")))
            if release is None:
                continue
            count = sum(int(fields.get(name) or 0) for name in ("wretr", "econ", "eresp"))
            before = self._faults.get(release, count)
            self._faults[release] = count
            if count > before:
                self._traffic.setdefault(release, Traffic()).disagreed(count - before)

    def _configured(self) -> list[str]:
        try:
            with (self._run / f"{self._name}.cfg").open(encoding="utf-8") as file:
                return [str(one) for one in json.loads(file.readline().removeprefix(_HEAD))]
        except (OSError, ValueError):
            return []

    # The pipe

    def _open_pipe(self) -> int:
        """Return the pipe that HAProxy writes to. Open for both, it outlives each end's program."""
        if self._pipe is None:
            path = self._run / f"{self._name}.log"
            with suppress(FileExistsError):
                os.mkfifo(path, 0o600)
            self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            with suppress(OSError, AttributeError):
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            asyncio.get_running_loop().add_reader(self._pipe, self._read_pipe)
        return self._pipe

    def _read_pipe(self) -> None:
        if self._pipe is None:
            return
        with suppress(BlockingIOError):
            while data := os.read(self._pipe, _PIPE_BYTES):
                *lines, self._half = (self._half + data).split(b"\n")
                for line in lines:
                    self._note(line)

    def _note(self, line: bytes) -> None:
        """Count a request: backend, slot, status, and microseconds from its head to its end."""
        with suppress(ValueError):
            backend, slot, status, began, ended = line.decode().split()
            release = self._release_of(backend, slot)
            if release is not None:
                seconds = max(0, int(ended) - int(began)) / 1e6
                traffic = self._traffic.setdefault(release, Traffic())
                traffic.answered(seconds, failed=not 100 <= int(status) < 500)

    def _release_of(self, backend: str, slot: str) -> str | None:
        return self._slots.by_backend(backend).get(slot)


class Slots:
    """Which release has which slot of an artifact; the links to their sockets remember it."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._known: dict[str, dict[str, str]] = {}
        self._freed: list[tuple[str, str]] = []

    def of(self, artifact: str) -> Mapping[str, str]:
        """Return the releases by slot."""
        return dict(self.by_backend(backend_of(artifact)))

    def by_backend(self, backend: str) -> dict[str, str]:
        """Return the releases by slot, of the artifact that has this backend."""
        if backend not in self._known:
            links = {slot: self._run / socket_of(backend, slot) for slot in slots()}
            self._known[backend] = {
                slot: link.readlink().name.removesuffix(".sock")
                for slot, link in links.items()
                if link.is_symlink()
            }
        return self._known[backend]

    def take(self, artifact: str, release: str, sockets: Mapping[str, str]) -> tuple[str, bool]:
        """Return a release's slot, and whether it is one that it did not have before."""
        backend = backend_of(artifact)
        known = self.by_backend(backend)
        for slot, holder in known.items():
            if holder == release:
                return slot, False
        # The one that was given up last may have connections that are not closed yet.
        order = [slot for one, slot in self._freed if one == backend]
        free = sorted(set(slots()) - known.keys(), key=lambda slot: (slot in order, slot))
        if not free:
            raise DeploymentError(
                f"More than {SLOTS} releases of {artifact} are up.", hint="Wait until some end."
            )
        slot = min(free, key=lambda one: order.index(one) if one in order else -1)
        link, part = self._run / socket_of(backend, slot), self._run / ".slot.part"
        part.unlink(missing_ok=True)
        part.symlink_to(sockets[release])
        part.replace(link)
        known[slot] = release
        return slot, True

    def free(self, artifact: str, slot: str) -> None:
        """Take a slot from its release."""
        backend = backend_of(artifact)
        self.by_backend(backend).pop(slot, None)
        (self._run / socket_of(backend, slot)).unlink(missing_ok=True)
        self._freed = [one for one in self._freed if one != (backend, slot)] + [(backend, slot)]


def backend_of(artifact: str) -> str:
    """Return the name of an artifact's backend; its own may hold what HAProxy does not take."""
    return f"artifact-{hashlib.sha256(artifact.encode()).hexdigest()[:12]}"


def slots() -> tuple[str, ...]:
    """Return the names of slots."""
    return tuple(f"slot{number}" for number in range(SLOTS))


def socket_of(backend: str, slot: str) -> str:
    """Return the path of a slot's socket."""
    return f"{backend}-{slot}.sock"


def weights_of(route: Route) -> dict[str, int]:
    """Return the weights of a route's releases, whose shares they are as exactly as 0 to 256 can.

    A share that is too small for that gets the smallest that there is.
    """
    if route.trial is None or route.trial.shadow:
        return {route.running: _MOST_WEIGHT}
    share = Fraction(route.trial.share).limit_denominator(_MOST_WEIGHT)
    tried, rest = share.numerator, share.denominator - share.numerator
    if not tried or not rest:
        tried, rest = (tried or 1, _MOST_WEIGHT) if rest else (_MOST_WEIGHT, 1)
    return {route.running: rest, route.trial.release: tried}


def write_config(
    settings: ServerSettings, routes: Routes, held: Slots, *, name: str, listener: int, log: int
) -> str:
    """Return the configuration of a process that begins with these routes."""
    artifacts = [route.artifact for route in routes.routes]
    lines = [
        _HEAD + json.dumps(artifacts),
        "global",
        f"    stats socket unix@{name}.sock mode 600 level admin",
        f"    log fd@{log} len 1024 format raw local0",
        f"    hard-stop-after {_ms(settings.drain_seconds)}",
        *_defaults(settings),
        *_frontend(settings, artifacts, listener),
    ]
    for route in routes.routes:
        lines += _backend(route, held)
    return "\n".join(lines) + "\n"


def _defaults(settings: ServerSettings) -> list[str]:
    answering = _ms(settings.answer_seconds)
    errors = [
        f"    http-error status {code} {_JSON} string {_quote(json.dumps({'error': text}))}"
        + (" hdr retry-after 1" if code == 503 else "")
        for code, text in _ERRORS.items()
    ]
    return [
        "defaults",
        "    mode http",
        "    log global",
        '    log-format "%b %s %ST %[var(txn.began)] %[date(0,us)]"',
        "    option forwardfor",
        "    option idle-close-on-response",
        "    option redispatch 1",
        "    retries 3",
        "    retry-on conn-failure empty-response junk-response",
        "    http-reuse always",
        "    timeout connect 2s",
        "    timeout check 2s",
        "    timeout queue 5s",
        "    timeout client 60s",
        "    timeout http-request 30s",
        "    timeout http-keep-alive 75s",
        f"    timeout server {answering}",
        *errors,
    ]


def _frontend(settings: ServerSettings, artifacts: Sequence[str], listener: int) -> list[str]:
    lines = [
        "frontend clients",
        f"    bind fd@{listener}",
        "    http-request set-log-level silent unless METH_POST",
        "    http-request set-var(txn.began) date(0,us)",
        f"    http-request deny deny_status 413 if {{ req.body_size gt {settings.body_bytes} }}",
    ]
    if len(artifacts) == 1:
        return [*lines, f"    default_backend {backend_of(artifacts[0])}"]
    if not artifacts:
        return [*lines, "    http-request deny deny_status 503"]
    return [*lines, *_choice(artifacts)]


def _choice(artifacts: Sequence[str]) -> list[str]:
    """Return the lines of a frontend that has several backends to choose from."""
    backends = {artifact: backend_of(artifact) for artifact in artifacts}
    up = " ".join(f"{{ nbsrv({backend}) ge 1 }}" for backend in backends.values())
    said = f"200 {_JSON} string"
    is_live, is_ready = "{ path /v2/health/live }", f"{{ path /v2/health/ready }} {up}"
    lines = [
        f"    http-request return status {said} '{{\"live\":true}}' if {is_live}",
        f"    http-request return status {said} '{{\"ready\":true}}' if {is_ready}",
        "    http-request deny deny_status 503 if { path /v2/health/ready }",
    ]
    index = _quote(index_of(artifacts).decode())
    lines.append(f"    http-request return status {said} {index} if {{ path {INDEX} }}")
    for artifact in by_length(artifacts):
        backend, prefix = backends[artifact], path_prefix(artifact)
        lines += [
            f"    use_backend {backend} if {{ path,url_dec -m str {_quote(prefix)} }}",
            f"    use_backend {backend} if {{ path,url_dec -m beg {_quote(prefix + '/')} }}",
        ]
    names = ", ".join(artifacts)
    text = json.dumps(
        {"error": f"Several models answer here; name one in the path, as /v2/models/NAME: {names}."}
    )
    lines += [
        "    default_backend nobody",
        "backend nobody",
        f"    http-request return status 404 {_JSON} string {_quote(text)}",
    ]
    return lines


def _backend(route: Route, held: Slots) -> list[str]:
    backend, weights = backend_of(route.artifact), weights_of(route)
    holders = held.of(route.artifact)
    lines = [
        f"backend {backend}",
        "    balance roundrobin",
        "    option httpchk",
        "    http-check send meth GET uri /v2/health/ready ver HTTP/1.1 hdr host localhost",
        "    default-server check inter 1s fastinter 200ms downinter 200ms fall 2 rise 1",
    ]
    for slot in slots():
        release = holders.get(slot)
        weight = weights.get(release, 0) if release else 0
        line = f"    server {slot} unix@{socket_of(backend, slot)} weight {weight}"
        lines.append(line if release else f"{line} disabled")
    return lines


def _quote(text: str) -> str:
    """Quote a word so that HAProxy takes it as it is; DeploymentError for one of several lines."""
    if not text.isprintable():
        raise DeploymentError(f"{text!r} cannot be written into HAProxy's configuration.")
    return "'" + text.replace("'", "'\\''") + "'"


def _ms(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
