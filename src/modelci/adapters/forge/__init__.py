"""The forges, by kind; a forge's module, and the libraries it wants, load when it is opened."""

from collections.abc import Callable
from importlib import import_module

from modelci.adapters.forge.settings import ForgeSettings
from modelci.ports import Forge

Factory = Callable[[ForgeSettings], Forge]


def _from(module: str) -> Factory:
    def connect(settings: ForgeSettings) -> Forge:
        forge: Forge = import_module(module).connect(settings)
        return forge

    return connect


FORGES: dict[str, Factory] = {
    "gitea": _from("modelci.adapters.forge.gitea"),
    "github": _from("modelci.adapters.forge.github"),
    "gitlab": _from("modelci.adapters.forge.gitlab"),
    "local": _from("modelci.adapters.forge.local"),
}
"""A new forge is a module with ``connect(settings)``, and a line here."""

__all__ = ["FORGES", "Factory", "ForgeSettings"]
