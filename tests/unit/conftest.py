"""Unit tests are about values: a test that opens a socket belongs in another room."""

import pytest


@pytest.fixture(autouse=True)
def no_sockets(socket_disabled: None) -> None:
    """Fail on the first socket that is opened."""
