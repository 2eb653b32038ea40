"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

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
