"""Starts a server: one process, or a supervisor with several, at an address."""

import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from modelci.errors import ConfigError
from modelci.serving.settings import Settings
from modelci.serving.sockets import bind_tcp, bind_unix, is_loopback
from modelci.serving.source import Source

_logger = logging.getLogger(__name__)
_NEEDED = ("starlette", "uvicorn", "httptools")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen: ``uds`` is a socket in the file system, used instead of host and port.

    ``admin`` is another such socket, at which models are switched.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    uds: Path | None = None
    admin: Path | None = None


def launch(
    reopen: Callable[[], Source], settings: Settings, address: Address, *, workers: int = 1
) -> None:
    """Serve until told to end. Raises ModelCIError where that cannot begin.

    ``reopen`` says what there is to serve: at the beginning, and on SIGHUP.
    """
    require_packages()
    from modelci.serving.worker import Places, pin_threads, serve  # noqa: PLC0415 - needs them

    pin_threads(settings.threads)
    with ExitStack() as stack:
        if address.uds is not None:
            requests = stack.enter_context(bind_unix(address.uds))
        else:
            requests = stack.enter_context(bind_tcp(address.host, address.port))
        admin = None
        if address.admin is not None:
            admin = stack.enter_context(bind_unix(address.admin, mode=0o600))
        where = _name(address, requests.getsockname())
        _warn(address, settings)
        if workers == 1:
            places = Places(requests=requests, admin=admin)
            serve(reopen, settings, places, on_ready=lambda source: _tell(source, where, requests))
            return
        from modelci.serving.supervisor import Supervisor  # noqa: PLC0415

        Supervisor(
            reopen,
            settings,
            count=workers,
            requests=requests,
            admin=admin,
            on_ready=lambda source: _tell(source, f"{where} with {workers} workers", requests),
        ).run()


def require_packages() -> None:
    """Raise ConfigError that says how to install what a server needs."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"Serving needs packages that are not installed: {', '.join(missing)}.",
            hint="Run `pip install 'modelci[serve]'`.",
        )


def _name(address: Address, bound: object) -> str:
    if address.uds is not None:
        return str(address.uds)
    assert isinstance(bound, tuple)  # noqa: S101 - a TCP socket's
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"http://{host}:{bound[1]}"


def _tell(source: Source, where: str, requests: socket.socket) -> None:
    """Say that it answers; who reads that may ask at once, and waits for the event loop at most."""
    requests.listen(socket.SOMAXCONN)
    _logger.info(
        "%s %s answers at %s (release %s)", source.artifact, source.version, where, source.release
    )


def _warn(address: Address, settings: Settings) -> None:
    if address.uds is None and not is_loopback(address.host) and not settings.token_sha256:
        _logger.warning("Whoever reaches %s may ask: there is no token.", address.host)
