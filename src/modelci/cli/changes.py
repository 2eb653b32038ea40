"""What ``rollback``, ``release-hold``, ``deregister``, ``deprecate`` and ``unassign`` share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from modelci.cli.options import setting
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.tags import Action, TagName
    from modelci.domain.versions import Version

F = TypeVar("F", bound=Callable[..., object])


def change_options(command: F) -> F:
    """Add the options that every change to the registry has."""
    for option in (
        click.option(
            "--sign/--no-sign",
            default=None,
            help="Sign the tag, or not (default: registry.sign, else Git's tag.gpgSign). "
            f"{setting('registry.sign')}",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the change document."),
        click.option("--dry-run", is_flag=True, help="Print the plan, tag nothing."),
        click.option(
            "--by", metavar="WHO", help="Who decided it (default: the CI's actor, or Git's user)."
        ),
        click.option("--reason", required=True, help="Why; it stays in the tag's message."),
    ):
        command = option(command)
    return command


def parse_version(text: str) -> "Version":
    """Read ``v1.2.3`` or ``1.2.3``."""
    from modelci.domain.versions import Version

    version = Version.parse(text.removeprefix("v"))
    if version is None:
        raise click.UsageError(f"{text!r} is no version such as v1.2.3.")
    return version


def parse_target(text: str, action: "Action", *, like: str) -> "TagName":
    """Read what a tag of that ``action`` would be called, ``NAME@v1.2.3`` or ``NAME#stage``."""
    from modelci.domain.tags import TagName

    found = TagName.parse(text.replace(":", "=", 1))
    if found is None or found.action is not action or found.counter is not None:
        raise click.UsageError(f"{text!r} is not of the form {like}.")
    return found


def parse_stage(name: str, stage: str | None) -> tuple[str, str]:
    """Read NAME#STAGE, or NAME and the stage of --stage: an artifact and its stage."""
    from modelci.domain.tags import Action

    if "#" not in name:
        if stage is None:
            raise click.UsageError(f"Which stage? Write '{name}#STAGE', or --stage STAGE.")
        return name, stage
    found = parse_target(name, Action.ASSIGN, like="credit#prod")
    assert found.stage is not None  # noqa: S101 - as its action says
    if stage not in {None, found.stage}:
        raise click.UsageError(f"{name!r} and --stage {stage} name two stages: give one.")
    return found.artifact, found.stage


def carry_out(
    app: App,
    action: str,
    artifact: str,
    *,
    reason: str,
    by: str | None,
    sign: bool | None,
    dry_run: bool,
    as_json: bool,
    stage: str | None = None,
    to: "Version | None" = None,
    force: bool = False,
    allowed: str | None = None,
) -> None:
    """Make the change and print it."""
    from time import time

    from modelci.cli.deploy import deploying
    from modelci.cli.output import print_document, publish_change
    from modelci.domain.rollback import Wish
    from modelci.workflows.rollback import change_registry

    app.set_flags({"registry.sign": sign})
    config = app.configuration.config
    wish = Wish(
        artifact=artifact,
        reason=reason,
        by=by or app.context.actor or app.git.tagger(),
        seconds=int(time()),
        stage=stage,
        to=to,
        force=force,
        holder=config.registry.holder,
        allowed=allowed,
    )
    change = change_registry(
        action,
        wish,
        git=app.git,
        reader=app.snapshots,
        pipeline=lambda: app.pipeline,
        config=config,
        progress=app.progress,
        default_branch=config.default_branch or app.context.default_branch,
        forge=None if dry_run else app.promoting.records(),
        on_github=app.context.provider == "github",
        dry_run=dry_run,
    )
    if change.done and change.tags:
        publish_change(change)
    print_document(change, as_json=as_json)
    with deploying(app, as_json=as_json):
        if change.done:
            app.promoting.follow_change(change)
