"""The forges, by kind; a forge's module, and the libraries it wants, load when it is opened."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

from modelci.adapters.forge.settings import ForgeSettings
from modelci.ports import Forge

Factory = Callable[[ForgeSettings], Forge]


def _from(module: str) -> Factory:
    def connect(settings: ForgeSettings) -> Forge:
        with _sparing("httpx._main"):
            forge: Forge = import_module(module).connect(settings)
        return forge

    return connect


@contextmanager
def _sparing(module: str) -> Iterator[None]:
    """Let an import of that module fail meanwhile, unless it is loaded already.

    httpx does without its own command line, but loads it, rich and pygments where they are
    installed (DVC brings them): half of the time that httpx takes to load.
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # so Python says that it is not there
    try:
        yield
    finally:
        del sys.modules[module]


FORGES: dict[str, Factory] = {
    "gitea": _from("modelci.adapters.forge.gitea"),
    "github": _from("modelci.adapters.forge.github"),
    "gitlab": _from("modelci.adapters.forge.gitlab"),
    "local": _from("modelci.adapters.forge.local"),
}
"""A new forge is a module with ``connect(settings)``, and a line here."""

__all__ = ["FORGES", "Factory", "ForgeSettings"]
