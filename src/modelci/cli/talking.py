"""``--quiet`` and ``--verbose``: declared once, taken before a command's name and after it."""

import sys
from typing import TYPE_CHECKING

import click

from modelci.adapters.ci import wants_colour
from modelci.errors import ModelCIError
from modelci.wiring import App

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

_KEY = "modelci.talk"
FLAGS = ("-q", "--quiet", "-v", "--verbose")


def _choose(ctx: click.Context, param: click.Parameter, given: bool) -> None:
    """Remember what was asked for, wherever it stood, and heed it where there is an app to tell."""
    if not given or ctx.resilient_parsing:
        return
    talk: set[str | None] = ctx.meta.setdefault(_KEY, set())
    if param.name in talk:  # given before: one listener is enough
        return
    talk.add(param.name)
    if len(talk) > 1:
        raise click.UsageError("--quiet and --verbose exclude each other.", ctx=ctx)
    if isinstance(ctx.obj, App):
        heed(ctx)


_quiet = click.Option(
    ["-q", "--quiet"],
    is_flag=True,
    expose_value=False,
    callback=_choose,
    help="Say nothing on stderr but errors.",
)
_verbose = click.Option(
    ["-v", "--verbose"],
    is_flag=True,
    expose_value=False,
    callback=_choose,
    help="Also say what Git, DVC and other machines are asked, and how long each takes.",
)


def give_flags(command: click.Command) -> click.Command:
    """Let a command, and each within it, take the two flags; asked for twice it is done once."""
    if _quiet not in command.params:
        command.params += [_quiet, _verbose]
    for one in getattr(command, "commands", {}).values():
        give_flags(one)
    return command


def heed(ctx: click.Context) -> None:
    """Tell the app how much it is to say; what it is told at first counts for its whole life."""
    talk = ctx.meta.get(_KEY, ())
    app = ctx.find_object(App)
    if app is None:
        return
    if "quiet" in talk:
        app.quiet = True
    elif "verbose" in talk:
        _listen(ctx.find_root(), app)


def note(text: str) -> None:
    """Say something on stderr that is neither a result nor an error: not to who wants quiet."""
    if "quiet" not in click.get_current_context().meta.get(_KEY, ()):
        click.echo(text, err=True)


def takes_colour() -> bool:
    """Whether stdout is a terminal that wants colours, or is said to be one."""
    return wants_colour(is_terminal=sys.stdout.isatty())


def say_error(error: ModelCIError) -> None:
    """Say what went wrong; names and words of others in it command neither terminal nor runner."""
    from modelci.render.escape import log_text

    click.echo(log_text(f"Error: {error}"), err=True)
    if error.hint:
        click.echo(log_text(f"Hint: {error.hint}"), err=True)


def raise_all(errors: "Sequence[ModelCIError]") -> None:
    """Raise the last of the errors, if there is any; those before it are said as it will be."""
    for error in errors[:-1]:
        say_error(error)
    if errors:
        raise errors[-1]


def _listen(root: click.Context, app: App) -> None:
    """Send what our loggers say to the progress, as it alone knows what stderr shows just now."""
    import logging

    from modelci.adapters import trace

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            app.progress.note(self.format(record))

    _attach(root, logging.getLogger(trace.LOGGER), Teller())
    root.call_on_close(trace.hear(logging.getLogger(trace.LOGGER).debug))


def _attach(root: click.Context, logger: "logging.Logger", handler: "logging.Handler") -> None:
    """Let a logger speak through a handler for as long as the command runs."""
    before = (logger.level, logger.propagate)

    def detach() -> None:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before

    logger.addHandler(handler)
    logger.setLevel("DEBUG")
    logger.propagate = False
    root.call_on_close(detach)
