"""The command line: parse, call one workflow, present, exit. Commands load when they are called."""

import errno
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from modelci import __version__
from modelci.adapters.ci import wants_colour
from modelci.cli.choices import suggest_choices
from modelci.cli.interrupts import Ending, ending_heard, farewell
from modelci.cli.talking import give_flags, heed, say_error
from modelci.errors import ConfigError, ModelCIError, UsageError
from modelci.wiring import App

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_GROUPS = {
    "Begin": {
        "init": "Write modelci.yaml and workflows into this DVC repository.",
        "doctor": "Check this project's set-up and name what would fix it.",
        "config": "Show the configuration, or its JSON Schema.",
    },
    "Look at a change": {
        "run": "Run the pipeline: only what is out of date, and say why.",
        "plan": "Say what a run would do, without running anything.",
        "report": "Show how the model changed, and judge it by the gates.",
        "gate": "Exit with the report's verdict: 0 passed, 1 blocked, 8 unclear.",
        "history": "Show how a metric went, over commits or versions.",
    },
    "Promote": {
        "promote": "Tag the versions and stages that a judged commit brings.",
        "sign": "Sign a version's bytes.",
        "registry": "List models, their versions and what holds each stage.",
        "verify": "Check that a version's bytes and origin are what was said of them.",
        "scan": "Say what loading a model's file would bring in.",
        "rollback": "Assign an older version to a stage again, and hold it there.",
        "release-hold": "Let promotions assign a stage again that a rollback holds.",
        "unassign": "Take a stage from the version that holds it.",
        "deregister": "Withdraw a version of a model.",
        "deprecate": "Mark a model as no longer in use.",
    },
    "Deploy": {
        "golden": "Record requests and answers that a served model is held to.",
        "deploy": "Bring what holds a stage to where it runs, and switch to it.",
        "deployments": "Show what runs where, since when and by whom.",
        "serve": "Answer requests with a model, over HTTP.",
    },
    "Watch": {
        "profile": "Record what a deployed model's data is compared with.",
        "monitor": "Hold what a deployed model sees and says now against its training.",
        "act": "Do what watched windows ask for: a retraining pull request, an issue.",
        "retrain": "Prepare the retraining branches that watched windows ask for.",
    },
    "In CI and on the forge": {
        "ci": "Do what the CI event calls for: report on a pull request, promote a merge.",
        "comment": "Post the report on its pull request.",
        "check": "Show the verdict as a check beside the commit.",
        "site": "Make the registry a static site of plain files.",
    },
}
"""Every command with a line of help, under the heading that `modelci --help` gives it."""

_COMMANDS = {name: line for group in _GROUPS.values() for name, line in group.items()}

_OPTIONS = {"help": "--help", "version": "--version"}
"""Options that other tools have as commands."""

_MACHINE_SAYS_NO = {errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS}
_BROKEN_PIPE = 128 + 13  # as a shell has it of a process that SIGPIPE ended


class LazyGroup(click.Group):
    """Loads a command's module when it is called, and turns errors into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names."""
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"modelci.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)  # noqa: S101 - every module has one
        return suggest_choices(give_flags(command))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for, without importing any."""
        del ctx
        widest = max(map(len, _COMMANDS))
        for heading, group in _GROUPS.items():
            with formatter.section(heading):
                # All groups line up: click would have each as wide as its own names.
                formatter.write_dl([(f"{name:{widest}}", line) for name, line in group.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete a command's name without importing any: a shell waits for it."""
        from click.shell_completion import CompletionItem

        names = [name for name in sorted(_COMMANDS) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=_COMMANDS[name]) for name in names), *options]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for one that does not exist."""
        if args[0] in _OPTIONS:
            named = args[0] == "help" and len(args) > 1 and args[1] in _COMMANDS
            call = f"modelci {args[1]} --help" if named else f"modelci {_OPTIONS[args[0]]}"
            ctx.fail(f"No such command {args[0]!r}. Did you mean `{call}`?")
        if args[0] not in _COMMANDS:
            from difflib import get_close_matches

            for near in get_close_matches(args[0], _COMMANDS, n=1):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {near!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; this is the only place that catches."""
        with ending_heard() as ending:
            return self._invoke(ctx, ending)

    def _invoke(self, ctx: click.Context, ending: Ending) -> object:
        try:
            try:
                return super().invoke(ctx)
            finally:
                if isinstance(ctx.obj, App):
                    ctx.obj.close()
        except ModelCIError as error:
            say_error(error)
            ctx.exit(error.exit_code)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except BrokenPipeError:
            # Whoever read us has enough (`| head`): no error, and above all no failed gate.
            _forget_stdout()
            ctx.exit(_BROKEN_PIPE)
        except KeyboardInterrupt as interrupt:
            # Whoever was interrupted may know what it took away, and how that comes back.
            ways = map(str, interrupt.args)
            click.echo("\n".join([farewell(ctx.invoked_subcommand), *ways]), err=True)
            ctx.exit(ending.exit_code)
        except Exception as error:  # noqa: BLE001 - whatever is left is our bug
            if isinstance(error, OSError) and error.errno in _MACHINE_SAYS_NO:
                where = f" ({error.filename})" if error.filename else ""
                click.echo(f"Error: {error.strerror}{where}.", err=True)
                _forget_stdout()
                ctx.exit(ConfigError.exit_code)
            _report_bug(error)
            ctx.exit(70)


def _forget_stdout() -> None:
    """Keep Python from trying again, and failing again, to write what is left when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_bug(error: Exception) -> None:
    """Print what to paste into an issue: no environment, no arguments, no values."""
    import traceback
    from pathlib import Path

    frames = traceback.extract_tb(error.__traceback__)
    where = [f"  {Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
    click.echo(
        "\n".join(
            [
                f"Error: this is a bug in modelci: {type(error).__name__}.",
                f"  modelci {__version__}, Python {sys.version.split()[0]}, {sys.platform}",
                *where,
                "Hint: please report these lines.",
            ]
        ),
        err=True,
    )


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="modelci")
@click.option(
    "-C",
    "folder",
    type=click.Path(exists=True, file_okay=False),
    default=".",
    help="Run as if started in this folder.",
)
@click.pass_context
def main(ctx: click.Context, folder: str) -> None:
    """Git-centric CI/CD for models.

    A pull request is run, reported on and gated; a merge is promoted by Git tags; what holds a
    stage is deployed, and watched on what it sees then.

    \b
    Exit codes: 0 fine, 1 a gate failed, 2 usage, 3 configuration, 4 forge or remote,
    5 pipeline failed, 6 promotion refused, 7 deployment refused or failed,
    8 the data cannot decide a gate that says `inconclusive: fail` (or `incomparable: fail`),
    70 a bug of ours, 130 interrupted (143 by SIGTERM).

    \b
    Examples:
      modelci init
      modelci run
      modelci report
      modelci promote --dry-run
      modelci -C models/credit -q report --json
    """  # noqa: D301 - click's own paragraph mark
    try:
        here = os.path.realpath(folder)  # pathlib takes 3 ms to load, and not every answer needs it
    except FileNotFoundError as error:
        raise UsageError("The current folder has been removed.", hint="`cd` to another.") from error
    if wants_colour(is_terminal=False):
        ctx.color = True  # click takes colours out of what is no terminal
    ctx.obj = App(here)
    heed(ctx)


give_flags(main)
