"""Options and settings that several commands share."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

import click

from modelci.cli.talking import takes_colour
from modelci.errors import BLOCKED_EXIT_CODE, UNCLEAR_EXIT_CODE
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.report import Report

report_option = click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The report document (default: .modelci/report.json).",
)

F = TypeVar("F", bound=Callable[..., object])


def setting(key: str) -> str:
    """Return what the help of a flag ends with that overrides a setting: the variable's name."""
    return f"[env var: MODELCI_{key.replace('.', '_').upper()}]"


def artifact_options(command: F) -> F:
    """Let a command read the report of the run that caused this job."""
    named = click.option(
        "--artifact",
        is_flag=False,
        flag_value="modelci",
        metavar="NAME",
        help="Read the report from this artifact of the run that caused this one.",
    )
    file = click.option(
        "--file",
        "artifact_file",
        default="report.json",
        show_default=True,
        help="The report's path in the artifact.",
    )
    return named(file(command))


def trust_options(command: F) -> F:
    """Let a command vouch for more than the project does."""
    named = click.option(
        "--trust",
        "types",
        multiple=True,
        metavar="NAME",
        help="Vouch for a type or function, such as mypackage.encoders.TargetEncoder.",
    )
    pickles = click.option(
        "--allow-pickle",
        is_flag=True,
        help="Take pickles, too; of what they name only what is allowed.",
    )
    return named(pickles(command))


def format_of(out: Path | None, known: Mapping[str, str]) -> tuple[str, ...]:
    """Return the format that a file's ending asks for, of those ``known`` by their endings.

    None where it asks for none of them, or where ``out`` is a folder.
    """
    name = known.get(out.suffix.lower()) if out is not None and not out.is_dir() else None
    return () if name is None else (name,)


def refuse_both(given: Mapping[str, bool]) -> None:
    """Refuse options that exclude each other."""
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise click.UsageError(f"{' and '.join(names)} exclude each other.")


def split_names(given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of an option that takes several, and may be given several times."""
    return tuple(one.strip() for name in given for one in name.split(",") if one.strip())


def read_report(app: App, path: Path | None) -> "Report":
    """Read the report document, or say which command writes it."""
    from modelci.documents import codec
    from modelci.domain.report import Report

    return codec.read(Report, path or app.git.root / ".modelci" / "report.json")


class TerminalSize(TypedDict):
    """What stdout can show."""

    width: int
    colour: bool


def terminal_size() -> TerminalSize:
    """Return stdout's width in columns, and whether it is a terminal that wants colours."""
    width = shutil.get_terminal_size((100, 24)).columns
    return TerminalSize(width=width, colour=takes_colour())


def verdict_code(report: "Report") -> int:
    """Return the exit code that says what the gates came to."""
    if not report.verdict.blocked:
        return 0 if report.is_ok else BLOCKED_EXIT_CODE
    return UNCLEAR_EXIT_CODE if report.verdict.unclear else BLOCKED_EXIT_CODE
