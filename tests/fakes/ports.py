"""Ports that stay free until somebody listens on them."""

import os
import socket
from itertools import count

# Below those that Linux gives to whoever connects: one of these is not taken meanwhile by a client.
# Each process begins elsewhere, so that workers do not meet.
_LOWEST, _COUNT = 12_000, 18_000
_NUMBERS = count(os.getpid() * 257)


def free_port() -> int:
    """Return a port of loopback on which nobody listens, another one each time."""
    while True:
        port = _LOWEST + next(_NUMBERS) % _COUNT
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
