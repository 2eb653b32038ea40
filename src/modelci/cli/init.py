"""``modelci init``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from modelci.cli.talking import note
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.config.model import ForgeKind


@click.command()
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@click.option(
    "--forge",
    type=click.Choice(["github", "gitlab", "gitea"]),
    help="Whose workflows to write (default: as the Git remote's address tells, else github).",
)
@click.option(
    "--call",
    metavar="OWNER/modelci@COMMIT",
    help="Write workflows of a few lines that call the ones of that commit (GitHub alone).",
)
@click.option(
    "--install",
    metavar="REQUIREMENT",
    help="What the workflows install modelci by, such as 'modelci @ git+https://HOST/OWNER/"
    "modelci@COMMIT' (default: this version from a package index).",
)
@click.pass_obj
def command(
    app: App, force: bool, forge: str | None, call: str | None, install: str | None
) -> None:
    """Write modelci.yaml and workflows into this DVC repository.

    The gates are proposed from the metrics that are there, at today's values; for a modelci.yaml
    that is kept and has none they are printed. So are artifacts, where dvc.yaml declares none:
    they belong there. Nothing is asked, and nothing that exists is overwritten without --force.
    Beside a .gitlab-ci.yml that is there ours becomes
    .gitlab/modelci.yml, to be included.

    With --install, workflows that stand as they were written without it are written anew.

    \b
    Examples:
      modelci init && git diff
      modelci init --install 'modelci @ https://host.example/modelci-0.1.0-py3-none-any.whl'
      modelci doctor
    """  # noqa: D301
    from modelci.config.load import FILE
    from modelci.config.model import ForgeKind
    from modelci.workflows.init import GITLAB_INCLUDED, UNPUBLISHED, initialise

    kind = _forge(app, forge)
    done = initialise(
        git=app.git,
        reader=app.snapshots,
        default_branch=None,
        force=force,
        forge=kind or ForgeKind.GITHUB,
        call=call,
        install=install,
        scanner=lambda: app.model_scanner,
    )
    for path in done.written:
        click.echo(f"Wrote {path}")
    for path in done.kept:
        note(f"Kept {path}: it is there already (--force overwrites)")
    if GITLAB_INCLUDED in (*done.written, *done.kept):
        note(f"Say in .gitlab-ci.yml: include: {{local: {GITLAB_INCLUDED}}}")
    if kind is None and call is None and any(path != FILE for path in done.written):
        note(
            "The workflows are GitHub's, as no Git remote tells the forge: `--forge gitlab` or "
            "`--forge gitea` writes the others'."
        )
    if done.assumed:
        note(
            f"The default branch is taken for {done.assumed}, which nothing here tells: mend "
            "`branches:` in the workflows if it is another."
        )
    if done.gates:
        note(f"{FILE} has no gates. By the metrics that are here it could say:")
        click.echo("\n".join(done.gates))
    elif done.source:
        _tell_why_ungated(done.source, done.unread)
    if done.artifacts:
        note("Nothing can be promoted: no artifact is declared. The dvc.yaml at the top could say:")
        click.echo("\n".join(done.artifacts))
    if done.untyped:
        note(
            f"No type: model for {', '.join(done.untyped)}: every report would block it, as the "
            "scan does not know the format. skops and ONNX it knows."
        )
    for name in done.pickles:
        note(
            f"The model {name} is a pickle, which every report blocks. Save it with skops, or have "
            f"{FILE} allow it: safety: {{allow_pickle: [{name}]}}"
        )
    if call is None and install is None and any(path != FILE for path in done.written):
        note(f"Note: {UNPUBLISHED.detail}. {UNPUBLISHED.instead}")
    note("Next: look them over, commit them, and run `modelci doctor`.")


def _tell_why_ungated(source: str, unread: Sequence[str]) -> None:
    """Say what keeps gates from being proposed, and after what they can be."""
    from modelci.config.load import FILE

    note(
        f"{FILE} has no gates, as no metrics can be read here: {source} some; then another "
        "`modelci init` proposes gates."
    )
    for reason in unread[:_MOST_NOTES]:
        note(f"  {reason}")


_MOST_NOTES = 5


def _forge(app: App, named: str | None) -> "ForgeKind | None":
    """Return whose workflows are wanted; None where nothing tells (most are at GitHub)."""
    from modelci.config.model import ForgeConfig, ForgeKind
    from modelci.errors import ConfigError
    from modelci.workflows.forge import choose_forge

    if named is not None:
        return ForgeKind(named)
    try:
        return ForgeKind(choose_forge(ForgeConfig(), app.context, app.git.remote_url()).kind)
    except ConfigError:
        return None
