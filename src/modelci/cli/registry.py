"""``modelci registry``."""

import click

from modelci.wiring import App


@click.command()
@click.argument("name", required=False)
@click.option("--remote", is_flag=True, help="Read the remote's tags, not this clone's.")
@click.option("--json", "as_json", is_flag=True, help="Print the registry document.")
@click.pass_obj
def command(app: App, name: str | None, remote: bool, as_json: bool) -> None:
    """List models, their versions and what holds each stage, from Git tags alone.

    \b
    Examples:
      modelci registry
      modelci registry credit --remote
      modelci registry --json
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.documents.registry import registry_document
    from modelci.workflows.registry import list_registry

    states = list_registry(app.git, name=name, remote=remote)
    print_document(registry_document(states), as_json=as_json)
    if not states and not remote and app.git.remote():
        click.echo("This clone has no registry tags; --remote reads the remote's.", err=True)
