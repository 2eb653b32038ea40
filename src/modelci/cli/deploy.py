"""``modelci deploy``."""

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from modelci.cli.options import refuse_both
from modelci.cli.talking import raise_all
from modelci.errors import UsageError
from modelci.wiring import App

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelci.domain.deployment import Deployment, Strategy
    from modelci.domain.orders import Wanted


@click.command()
@click.argument("what", required=False, metavar="[TAG|NAME#STAGE|NAME@VERSION]")
@click.option(
    "--to", "target", metavar="TARGET", help="Where to (default: the target that takes the stage)."
)
@click.option(
    "--strategy",
    type=click.Choice(["all", "canary", "shadow"]),
    help="How it takes over (default: the target's strategy).",
)
@click.option(
    "--allow",
    metavar="REASON",
    help="Deploy although it is superseded, older, held, withdrawn, made in another environment or "
    "without golden requests; the target remembers why.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan, change nothing.")
@click.option(
    "--poll",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Go on: look at the remote's tags so often, and deploy what moves.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="With --poll: also look when a webhook comes, signed with MODELCI_WEBHOOK_SECRET.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the deployment document.")
@click.pass_obj
def command(
    app: App,
    what: str | None,
    target: str | None,
    strategy: "Strategy | None",
    allow: str | None,
    dry_run: bool,
    poll: float | None,
    listen: str | None,
    as_json: bool,
) -> None:
    """Bring what the registry says to where it runs: verified, checked, reversible.

    WHAT is a tag (NAME#STAGE#7), what holds a stage (NAME#STAGE) or a version (NAME@v1.2.0,
    NAME@latest); without it, the tag of the CI event. The Git remote's tags decide, now: a tag that
    is superseded, held or older than what runs is refused with exit code 7.

    The model and its golden requests are fetched by hash from the DVC remote alone, their bytes are
    verified, the file is scanned and staged beside what runs. Only if it answers its golden
    requests as it should, it is switched to, and it is switched back where that turns out wrong.
    Run again, it goes on where it was cut short. .modelci/deployment.json keeps what was done.

    \b
    Examples:
      modelci deploy 'credit#prod'
      modelci deploy 'credit#prod#7' --to prod --dry-run
      modelci deploy credit@v1.2.0 --to lab --strategy shadow
      modelci deploy --to prod --poll 30 --listen 127.0.0.1:9000
    """  # noqa: D301
    if poll is None and listen is not None:
        raise click.UsageError("--listen goes with --poll: a hook only makes it look at once.")
    if poll is not None:
        refuse_both({"--poll": True, "--dry-run": dry_run})
        refuse_both({"--poll": True, "--allow": allow is not None})
        _follow(app, what, target, strategy, every=poll, listen=listen, as_json=as_json)
        return
    _deploy_once(app, what, target, strategy, allow=allow, dry_run=dry_run, as_json=as_json)


def _deploy_once(
    app: App,
    what: str | None,
    target: str | None,
    strategy: "Strategy | None",
    *,
    allow: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    from modelci.domain.orders import choose_target
    from modelci.workflows.deploy_promoted import require_success

    wanted = _parse(app, what, target)
    name = choose_target(app.deploying.stages, wanted.stage, target)
    done = app.deploying.deploy(
        wanted, name, strategy=_strategy(strategy), allowed=allow, dry_run=dry_run
    )
    present(app, [done], as_json=as_json, is_done=not dry_run)
    require_success(done)


def _parse(app: App, what: str | None, target: str | None) -> "Wanted":
    from modelci.domain.orders import parse_wanted

    named = what or app.context.tag
    if named is None:
        raise UsageError(
            "There is no CI event with a tag that could say what to deploy.",
            hint=f"Name it: {_what_there_is(app, target)}.",
        )
    return parse_wanted(named)


def _what_there_is(app: App, target: str | None) -> str:
    """Return what could be meant for a target: the command, where there is but one stage."""
    from modelci.domain.orders import FORMS

    stages = app.deploying.stages.get(target or "", ())
    if target is None or len(stages) != 1:
        return FORMS
    known = app.deploying.known_artifacts()
    artifact = next(iter(known)) if len(known) == 1 else "NAME"
    return f"{target} takes {stages[0]}, so `modelci deploy '{artifact}#{stages[0]}' --to {target}`"


def _strategy(name: str | None) -> "Strategy | None":
    from modelci.domain.deployment import Strategy

    return Strategy(name) if name else None


def deploy_event(app: App, *, write: bool, as_json: bool) -> None:
    """Deploy what the event's tag has assigned, or left to another version.

    A stage that no target takes is left alone, and so is a tag that moves no stage. One that is
    refused keeps no other back.
    """
    from modelci.domain.orders import choose_target, wanted_by
    from modelci.errors import ModelCIError
    from modelci.workflows.deploy_promoted import require_success

    tag, targets = app.context.tag or "", app.deploying.stages
    wishes = wanted_by(tag, {stage for stages in targets.values() for stage in stages})
    if not wishes:
        app.progress.note(f"{tag} moves no stage that a target takes: nothing to deploy.")
    errors: list[ModelCIError] = []
    for wanted in wishes:
        try:
            name = choose_target(targets, wanted.stage, None)
            done = app.deploying.deploy(wanted, name, dry_run=not write)
            present(app, [done], as_json=as_json, is_done=write)
            require_success(done)
        except ModelCIError as error:
            errors.append(error)
    raise_all(errors)


def present(
    app: App, done: "list[Deployment]", *, as_json: bool, is_done: bool, is_shown: bool = True
) -> None:
    """Keep the documents, tell the runner, and print what came of it."""
    from modelci.cli.output import print_document, publish_deployment
    from modelci.documents import codec

    document = app.folder / "deployment.json" if is_done else None
    for one in done:
        if document is not None:
            codec.write(one, document)
        publish_deployment(one, document=document)
        if is_shown:
            print_document(one, as_json=as_json)


def present_more(app: App, *, as_json: bool) -> None:
    """Do so for what was deployed after something else; JSON is the command's own."""
    if app.deploying.deployed and not as_json:
        click.echo()
    present(app, app.deploying.deployed, as_json=False, is_done=True, is_shown=not as_json)


@contextmanager
def deploying(app: App, *, as_json: bool) -> "Iterator[None]":
    """Show what was deployed inside, also where some of it failed."""
    try:
        yield
    finally:
        present_more(app, as_json=as_json)


def _follow(
    app: App,
    what: str | None,
    target: str | None,
    strategy: "Strategy | None",
    *,
    every: float,
    listen: str | None,
    as_json: bool,
) -> None:
    """Look and deploy until a signal says stop."""
    import time

    from modelci.adapters.bell import Bell
    from modelci.adapters.ci import webhook_secret
    from modelci.adapters.webhook import listen as hear
    from modelci.domain.orders import choose_target, parse_wanted
    from modelci.workflows.deploy import deploy
    from modelci.workflows.follow import Follower, Round

    wanted = parse_wanted(what) if what else None
    if wanted is None and target is None:
        raise UsageError("What is to be followed?", hint="Name NAME#STAGE, or --to TARGET.")
    name = choose_target(app.deploying.stages, wanted.stage if wanted else None, target)
    stages = tuple(app.deploying.stages[name])
    if wanted is None and not stages:
        raise UsageError(f"{name} takes no stage.", hint=f"Set deploy.targets.{name}.stages.")
    # What can never be is told now, and not each time.
    app.deploying.manner(name, _strategy(strategy))
    bell = Bell()
    follower = Follower(
        git=app.git.with_remote(app.configuration.config.promote.remote),
        deploy=lambda one: deploy(
            app.deploying.deployment(one, name, strategy=_strategy(strategy), bell=bell)
        ),
        tell=lambda done: present(app, [done], as_json=as_json, is_done=True),
        progress=app.progress,
        clock=time.monotonic,
        bell=bell,
    )
    with ExitStack() as stack:
        stack.enter_context(bell.stopped_by_signals())
        if listen is not None:
            port = stack.enter_context(hear(listen, secret=webhook_secret(), ring=bell.ring))
            app.progress.note(f"Listening for webhooks at port {port}")
        what_is = str(wanted) if wanted else f"what holds {' or '.join(stages)}"
        app.progress.note(
            f"{name} follows {what_is}: the remote's tags are looked at every {every:g} s, until "
            "SIGTERM or Ctrl-C."
        )
        follower.follow(Round(every=every, wanted=wanted, stages=stages))
    app.progress.note("Stopped.")
