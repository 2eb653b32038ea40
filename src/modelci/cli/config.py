"""``modelci config``."""

from typing import TYPE_CHECKING

import click

from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.config.model import GateConfig


@click.group()
def command() -> None:
    """Show the configuration, or its JSON Schema.

    \b
    Examples:
      modelci config show
      modelci config schema > modelci.schema.json
    """  # noqa: D301


def _given(gate: "GateConfig") -> dict[str, object]:
    """Return what was written of a gate, without the dozen things that were not."""
    from dataclasses import fields

    values = ((field, getattr(gate, field.name)) for field in fields(gate))
    return {field.name: value for field, value in values if value != field.default}


@command.command()
@click.pass_obj
def show(app: App) -> None:
    """Print every setting with its value and where it comes from.

    \b
    Examples:
      modelci config show
      MODELCI_RUN_PULL=true modelci config show | grep run
    """  # noqa: D301
    import msgspec

    from modelci.config.load import DEFAULT, leaves

    loaded = app.configuration
    config = loaded.config
    for key, value in leaves(config):
        plain = [_given(gate) for gate in config.gates] if key == "gates" else value
        shown = msgspec.json.encode(plain).decode()
        click.echo(f"{key} = {shown}  # {loaded.origins.get(key, DEFAULT)}")


@command.command()
def schema() -> None:
    """Print the JSON Schema of modelci.yaml, for editors.

    \b
    Examples:
      modelci config schema > modelci.schema.json
    """  # noqa: D301
    import json

    from modelci.documents.schemas import schemas

    click.echo(json.dumps(schemas()["modelci.yaml"], indent=2))
