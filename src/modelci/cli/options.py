"""Options and settings that several commands share."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from modelci.adapters.ci import wants_no_colour
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
    return TerminalSize(width=width, colour=sys.stdout.isatty() and not wants_no_colour())


def verdict_code(report: "Report") -> int:
    """Return the exit code that says what the gates came to."""
    if not report.verdict.blocked:
        return 0 if report.is_ok else BLOCKED_EXIT_CODE
    return UNCLEAR_EXIT_CODE if report.verdict.unclear else BLOCKED_EXIT_CODE
