"""``modelci config``."""

import click

from modelci.wiring import App


@click.group()
def command() -> None:
    """Show the configuration, or its JSON Schema."""


@command.command()
@click.pass_obj
def show(app: App) -> None:
    """Print every setting with its value and where it comes from."""
    import msgspec

    from modelci.config.load import DEFAULT, leaves

    loaded = app.configuration
    for key, value in leaves(loaded.config):
        shown = msgspec.json.encode(value).decode()
        click.echo(f"{key} = {shown}  # {loaded.origins.get(key, DEFAULT)}")


@command.command()
def schema() -> None:
    """Print the JSON Schema of modelci.yaml, for editors."""
    import json

    from modelci.documents.schemas import schemas

    click.echo(json.dumps(schemas()["modelci.yaml"], indent=2))
