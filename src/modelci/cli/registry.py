"""``modelci registry``."""

import time
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import click

from modelci.cli.talking import FLAGS, give_flags, note, takes_colour
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.documents.codec import Document
    from modelci.domain.artifacts import Artifact
    from modelci.domain.tags import Query
    from modelci.workflows.registry import Settings, Tags

F = TypeVar("F", bound=Callable[..., object])


class _ShowGroup(click.Group):
    """Takes what is no subcommand for what to show: ``modelci registry credit#prod``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the subcommands' names."""
        return sorted([*super().list_commands(ctx), "verify"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand; the one that checks signatures is loaded when it is called."""
        if cmd_name == "verify":
            from modelci.cli.registry_verify import command as verify

            return give_flags(verify)
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``show`` in front where no subcommand stands."""
        known = (*self.list_commands(ctx), *ctx.help_option_names)
        is_asked_what_there_is = ctx.resilient_parsing and not args  # a shell that completes
        at = next((i for i, word in enumerate(args) if word not in FLAGS), len(args))
        flags, words = args[:at], args[at:]
        if not is_asked_what_there_is and words[:1] not in [[name] for name in known]:
            self._refuse_misspelt(ctx, words)
            words = ["show", *words]
        return super().parse_args(ctx, [*flags, *words])

    def _refuse_misspelt(self, ctx: click.Context, args: list[str]) -> None:
        """Suggest the nearest subcommand where two words stand: ``show`` takes one."""
        if len(args) > 1 and not args[0].startswith("-") and not args[1].startswith("-"):
            from difflib import get_close_matches

            for near in get_close_matches(args[0], self.list_commands(ctx), n=1):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {near!r}?")


def _reading(command: F) -> F:
    remote = click.option(
        "--remote", is_flag=True, help="Read the remote's tags, not this clone's."
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Print the document.")
    plain = click.option("--plain", is_flag=True, help="Print tab-separated lines, without titles.")
    return remote(as_json(plain(command)))


@click.group(cls=_ShowGroup)
def command() -> None:
    """Show models, their versions and what holds each stage, from Git tags alone.

    The tags are GTO's: `gto`, DVC and DVC Studio read the same. Without a subcommand it is `show`.

    \b
    Examples:
      modelci registry
      modelci registry 'credit#prod'
      modelci registry history credit --remote
      modelci registry diff 'credit#prod' 'credit#staging'
    """  # noqa: D301


_holding = click.option(
    "--holder",
    type=click.Choice(["newest", "semver"]),
    envvar="MODELCI_REGISTRY_HOLDER",
    show_envvar=True,
    help="Which of a stage's versions holds it (default: registry.holder of modelci.yaml).",
)


@command.command("show")
@click.argument("what", required=False, metavar="[NAME|NAME@latest|NAME@v1.2.0|NAME#stage]")
@_holding
@_reading
@click.pass_obj
def show(
    app: App, what: str | None, holder: str | None, remote: bool, as_json: bool, plain: bool
) -> None:
    """Show every artifact, or one with its versions, or one version.

    A line of --plain is artifact, version, commit, stages, since, by, state (active, withdrawn,
    unregistered) and tag.

    \b
    Examples:
      modelci registry show
      modelci registry show credit
      modelci registry show 'credit#prod' --json
    """  # noqa: D301
    if what is None and not remote:
        app.begin_tags()
    from modelci.workflows.registry import parse_query, show_registry

    query = None if what is None else parse_query(what)
    source, settings = _open(app, remote=remote, holder=holder)
    declared = _declared(app, query)
    states = show_registry(source, settings, query, type_=declared.type if declared else None)
    if query is None and not as_json and not plain:
        from modelci.render.registry import render_overview

        text = render_overview(states, holder=settings.holder, colour=takes_colour())
        click.echo(text, nl=False)
    else:
        from modelci.documents.registry import registry_document

        document = registry_document(
            states,
            holder=settings.holder,
            asked=None if query is None else str(query),
            declared=declared,
        )
        _present(document, "registry", as_json=as_json, plain=plain)
    if not states and not remote and app.git.remote():
        note("This clone has no registry tags; --remote reads the remote's.")


@command.command("history")
@click.argument("name", required=False)
@_reading
@click.pass_obj
def history(app: App, name: str | None, remote: bool, as_json: bool, plain: bool) -> None:
    """Show what happened (to NAME), the newest first.

    A line of --plain is time, artifact, event, version, stage, commit, tag and by.

    \b
    Examples:
      modelci registry history
      modelci registry history credit --remote --plain
    """  # noqa: D301
    from modelci.documents.registry_views import history_document
    from modelci.workflows.registry import parse_query, read_history

    query = None if name is None else parse_query(name)
    source, _ = _open(app, remote=remote)
    events, problems = read_history(source, query.artifact if query else None, messages=as_json)
    _present(history_document(events, problems), "history", as_json=as_json, plain=plain)


@command.command("stages")
@_holding
@_reading
@click.pass_obj
def stages(app: App, holder: str | None, remote: bool, as_json: bool, plain: bool) -> None:
    """List the stages: those that .gto allows, and those in use, with what holds them.

    A line of --plain is stage, artifact, version and commit.

    \b
    Examples:
      modelci registry stages
      modelci registry stages --json
    """  # noqa: D301
    from modelci.documents.registry_views import stages_document
    from modelci.workflows.registry import show_registry

    source, settings = _open(app, remote=remote, holder=holder)
    states = show_registry(source, settings)
    document = stages_document(states, allowed=settings.restrictions.stages, holder=settings.holder)
    _present(document, "stages", as_json=as_json, plain=plain)


@command.command("check-ref")
@click.argument("tag")
@_holding
@_reading
@click.pass_obj
def check(app: App, tag: str, holder: str | None, remote: bool, as_json: bool, plain: bool) -> None:
    """Say what TAG did, and whether that still stands; exit with 2 if it is none of the registry's.

    TAG is a tag's name or its full ref, as CI gives it ($GITHUB_REF). A line of --plain is that of
    the history, and standing or superseded.

    \b
    Examples:
      modelci registry check-ref 'credit#prod#7'
      modelci registry check-ref "$GITHUB_REF" --json
    """  # noqa: D301
    from modelci.documents.registry_views import ref_document
    from modelci.workflows.registry_views import check_ref

    source, settings = _open(app, remote=remote, holder=holder)
    reading = check_ref(source, settings, tag)
    document = ref_document(reading.event, reading.state, standing=reading.standing)
    _present(document, "ref", as_json=as_json, plain=plain)


@command.command("diff")
@click.argument("base")
@click.argument("head")
@_holding
@_reading
@click.pass_obj
def diff(
    app: App, base: str, head: str, holder: str | None, remote: bool, as_json: bool, plain: bool
) -> None:
    """Compare two versions: commits, bytes and metrics.

    BASE and HEAD are NAME, NAME@latest, NAME@v1.2.0 or NAME#stage. What a commit's own files say
    goes before what its tags say. A line of --plain is a name, base and head.

    \b
    Examples:
      modelci registry diff credit@v1.2.0 credit@latest
      modelci registry diff 'credit#prod' 'credit#staging' --json
    """  # noqa: D301
    from modelci.documents.registry import instant
    from modelci.documents.registry_views import SideEntry, diff_document
    from modelci.workflows.registry import parse_query
    from modelci.workflows.registry_views import Side, compare

    def entry(side: Side) -> SideEntry:
        return SideEntry(
            asked=str(side.query),
            artifact=side.artifact,
            version=side.label,
            commit=side.commit,
            tag=side.tag,
            at=instant(side.seconds),
            by=side.tagger,
            path=side.path,
            hash=side.hash,
            metrics=side.metrics,
            source="commit" if side.is_from_commit else "tags",
        )

    queries = parse_query(base), parse_query(head)
    source, settings = _open(app, remote=remote, holder=holder)
    sides = compare(source, settings, queries, git=app.git, reader=app.snapshots)
    document = diff_document(entry(sides[0]), entry(sides[1]))
    _present(document, "diff", as_json=as_json, plain=plain)


def _open(app: App, *, remote: bool, holder: str | None = None) -> "tuple[Tags, Settings]":
    """Return where to read tags, and how."""
    from modelci.domain.registry import Holder
    from modelci.workflows.registry import RemoteTags, Settings, read_restrictions

    settings = Settings(
        holder=Holder(holder) if holder else app.registry_holder,
        now=int(time.time()),
        restrictions=read_restrictions(app.read_top(".gto")),
    )
    if not remote:
        return app.tag_reader, settings
    name = app.git.remote()
    if name is None:
        raise click.UsageError("This repository has no remote: `git remote add origin URL`.")
    return RemoteTags(git=app.git, remote=name), settings


def _declared(app: App, query: "Query | None") -> "Artifact | None":
    """Return what ``dvc.yaml`` says of the artifact asked for; a broken one hides no tags."""
    if query is None:
        return None
    folder = query.artifact.rpartition(":")[0]
    data = app.read_top(f"{folder}/dvc.yaml" if folder else "dvc.yaml")
    if data is None or b"artifacts" not in data:
        return None
    from modelci.errors import ConfigError
    from modelci.workflows.registry import find_declared, read_declared

    try:
        if b"${" in data:
            return read_declared(app.git, app.snapshots, query.artifact)
        return find_declared(data, query.artifact)
    except ConfigError as error:
        from modelci.render.escape import log_text

        said = f"dvc.yaml cannot be read, so only the tags are shown: {error}"
        note(log_text(said))
        return None


def _present(document: "Document", kind: str, *, as_json: bool, plain: bool) -> None:
    """Print the document; nothing is loaded that its form does not need."""
    if as_json and plain:
        raise click.UsageError("--json and --plain exclude each other.")
    if as_json:
        from modelci.cli.output import print_json

        print_json(document)
        return
    module = "registry" if kind == "registry" else "registry_views"
    render = import_module(f"modelci.render.{module}")
    if plain:
        text = getattr(render, f"plain_{kind}")(document)
    else:
        text = getattr(render, f"render_{kind}")(document, colour=takes_colour())
    click.echo(text, nl=False)
