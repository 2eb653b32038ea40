"""Sockets that are bound and not heard yet: who connects before a model is ready is turned away."""

import contextlib
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelci.errors import ConfigError


def bind_tcp(host: str, port: int) -> socket.socket:
    """Return a socket on an address, or raise ConfigError where somebody else has it."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "no such port"
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {why}.",
            hint="End what listens there, or name another --host or --port.",
        ) from error
    sock.set_inheritable(True)
    return sock


@contextmanager
def bind_unix(path: Path, *, mode: int = 0o660) -> Iterator[socket.socket]:
    """Give a socket in the file system; what a dead server left there is removed, as it is at last.

    Raises ConfigError where a server answers there, or something else lies there.
    """
    _make_way(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(mode)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"{path} cannot be made: {error.strerror or error}.",
            hint="Name a path of at most 100 bytes in a folder that there is.",
        ) from error
    sock.set_inheritable(True)
    made = path.stat()
    try:
        yield sock
    finally:
        sock.close()
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), made):  # nobody has taken its place
                path.unlink()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _make_way(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error.strerror}.") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigError(f"{path} is there, and is no socket.", hint="Name another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ConfigError(f"A server answers at {path}.", hint="End it, or name another path.")
