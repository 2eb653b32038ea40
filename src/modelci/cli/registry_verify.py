"""``modelci registry verify``."""

import click

from modelci.errors import BLOCKED_EXIT_CODE
from modelci.wiring import App


@click.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME|TAG]...")
@click.option("--remote", is_flag=True, help="Check the remote's tags, not this clone's.")
@click.option("--require-signed", is_flag=True, help="Fail on any tag that nobody signed who may.")
@click.option("--json", "as_json", is_flag=True, help="Print the verification document.")
@click.option("--plain", is_flag=True, help="Print tab-separated lines, without titles.")
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    remote: bool,
    require_signed: bool,
    as_json: bool,
    plain: bool,
) -> None:
    """Check who signed the registry's tags: default all, or those of artifacts, or these.

    A tag is good if Git verifies its signature, its object bears the ref's own name, the signer
    is allowed, and (registry.signers) may sign that artifact. SSH keys are looked for in
    registry.allowed_signers, as the default branch has it, else in Git's own list.

    A line of --plain is tag, artifact, standing (good, unsigned, unknown, bad, misnamed,
    not-allowed), kind (ssh, openpgp, x509), signer, key and reason.

    \b
    Exit codes: 1 if a tag is not good and registry.require_signed (or the flag) says it must be.

    \b
    Examples:
      modelci registry verify
      modelci registry verify credit --remote --require-signed
      modelci registry verify 'credit#prod#7' --json
    """  # noqa: D301
    from dataclasses import replace

    from modelci.cli.options import refuse_both
    from modelci.cli.output import print_document
    from modelci.workflows.signing import verify_registry

    refuse_both({"--json": as_json, "--plain": plain})
    app = ctx.find_object(App)
    assert app is not None  # noqa: S101 - the root group made it
    config = app.configuration.config
    settings = config.registry
    if require_signed:
        settings = replace(settings, require_signed=True)
    found = verify_registry(
        app.git,
        settings,
        names=names,
        remote=remote,
        default_branch=config.default_branch or app.context.default_branch,
    )
    if plain:
        from modelci.render.registry_views import plain_verification

        click.echo(plain_verification(found), nl=False)
    else:
        print_document(found, as_json=as_json)
    ctx.exit(0 if found.ok else BLOCKED_EXIT_CODE)
