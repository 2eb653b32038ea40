"""Choices that say which one was probably meant."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from modelci.domain.wording import meant

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:  # generic from click 8.2 on
    _Choice = click.Choice


class _Near(_Choice):
    """A choice that suggests the nearest of its words for one that is none."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the choice, or say what was meant."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            near = meant(str(value), map(str, self.choices)).rstrip()
            said = f"{error.message} {near}".rstrip()
            raise click.BadParameter(said, ctx=ctx, param=param) from error


def suggest_choices(command: click.Command) -> click.Command:
    """Let the choices of a command, and of those within it, suggest; done twice it is done once."""
    for param in _params(command):
        if type(param.type) is click.Choice:
            param.type = _Near(param.type.choices)
    return command


def _params(command: click.Command) -> Iterator[click.Parameter]:
    yield from command.params
    for one in getattr(command, "commands", {}).values():
        yield from _params(one)
