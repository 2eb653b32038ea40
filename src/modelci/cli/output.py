"""Presents documents: text for a terminal, or the JSON document itself."""

from pathlib import Path

import click

from modelci.cli.options import terminal_size
from modelci.documents import codec
from modelci.documents.registry import Registry
from modelci.domain.checks import Examination
from modelci.domain.history import History
from modelci.domain.pipeline import Plan, Run
from modelci.domain.promotion import Promotion
from modelci.domain.report import Report
from modelci.errors import UsageError


def print_document(document: codec.Document, *, as_json: bool) -> None:
    """Print a document on stdout."""
    click.echo(codec.encode(document) if as_json else to_text(document), nl=False)


def publish_promotion(promotion: Promotion) -> None:
    """Tell the runner which tags there are now: a line of the job's summary, and an output."""
    from modelci.adapters.ci import write_outputs, write_summary

    names = [tag.name for tag in promotion.tags]
    if names:
        write_summary(f"**Promoted**: {', '.join(f'`{name}`' for name in names)}\n")
    write_outputs({"tags": "\n".join(names)})


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file that the user named, and its folder."""
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", hint="Name another place for it."
        ) from error


def to_text(document: codec.Document) -> str:
    """Return a document as text, as wide and as colourful as stdout takes it."""
    from modelci.render import terminal

    size = terminal_size()
    match document:
        case Report():
            return terminal.render_report(document, **size)
        case Run():
            return terminal.render_run(document, **size)
        case Plan():
            return terminal.render_plan(document, **size)
        case Promotion():
            return terminal.render_promotion(document, **size)
        case Registry():
            return terminal.render_registry(document, **size)
        case Examination():
            return terminal.render_examination(document, **size)
        case History():
            return terminal.render_history(document, **size)
