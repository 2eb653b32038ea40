"""``modelci deployments``."""

import click

from modelci.domain.wording import meant
from modelci.errors import UsageError
from modelci.wiring import App


@click.command()
@click.argument("artifact", required=False)
@click.option("--to", "target", metavar="TARGET", help="Of this target alone (default: of all).")
@click.option("--json", "as_json", is_flag=True, help="Print the document, with all history.")
@click.option("--plain", is_flag=True, help="Print tab-separated lines, without titles.")
@click.option(
    "--check", is_flag=True, help="Exit with 1 where anything is behind, down or unknown."
)
@click.pass_context
def command(
    ctx: click.Context,
    artifact: str | None,
    target: str | None,
    as_json: bool,
    plain: bool,
    check: bool,
) -> None:
    """Show what runs where, since when and by whom, and where the registry says otherwise.

    The targets of modelci.yaml are asked, and the Git remote's tags: a target is behind where its
    stage holds another version. A line of --plain is target, kind, artifact, version, commit, tag,
    since, by, release, and current, behind or down.

    The exit code is 0 whatever runs; with --check it is 1 where something is behind or down, never
    ran, or could not be asked.

    \b
    Examples:
      modelci deployments
      modelci deployments credit --to prod
      modelci deployments --json
      modelci deployments --check
    """  # noqa: D301
    from functools import partial

    from modelci.cli.options import refuse_both, terminal_size
    from modelci.documents.codec import encode
    from modelci.errors import BLOCKED_EXIT_CODE
    from modelci.render.deployments import plain_deployments, render_deployments
    from modelci.workflows.deployments import Place, list_deployments

    app: App = ctx.obj
    refuse_both({"--json": as_json, "--plain": plain})
    config = app.configuration.config
    known = config.deploy.targets
    if target is not None and target not in known:
        raise UsageError(
            f"There is no target {target!r}.",
            hint=f"{meant(target, known)}There are {', '.join(known) or 'none'}.",
        )
    places = [
        Place(
            name=name, kind=one.kind, stages=one.stages, target=partial(app.deploying.target, name)
        )
        for name, one in known.items()
        if target in {None, name}
    ]
    found = list_deployments(
        places,
        app.git.with_remote(config.promote.remote),
        holder=config.registry.holder,
        artifact=artifact,
    )
    if as_json:
        click.echo(encode(found), nl=False)
    elif plain:
        click.echo(plain_deployments(found), nl=False)
    else:
        click.echo(render_deployments(found, **terminal_size()), nl=False)
    if check and not found.is_current:
        ctx.exit(BLOCKED_EXIT_CODE)
