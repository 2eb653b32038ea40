"""Presents documents: text for a terminal, or the JSON document itself."""

import shutil
import sys

import click

from modelci.adapters.ci import wants_no_colour
from modelci.documents import codec
from modelci.documents.registry import Registry
from modelci.domain.checks import Examination
from modelci.domain.pipeline import Plan, Run
from modelci.domain.promotion import Promotion
from modelci.domain.report import Report


def print_document(document: codec.Document, *, as_json: bool) -> None:
    """Print a document on stdout."""
    click.echo(codec.encode(document) if as_json else to_text(document), nl=not as_json)


def to_text(document: codec.Document) -> str:
    """Return a document as text, as wide and as colourful as stdout takes it."""
    from modelci.render import terminal

    width = shutil.get_terminal_size((100, 24)).columns
    colour = sys.stdout.isatty() and not wants_no_colour()
    match document:
        case Report():
            return terminal.render_report(document, width=width, colour=colour)
        case Run():
            return terminal.render_run(document, width=width, colour=colour)
        case Plan():
            return terminal.render_plan(document, width=width, colour=colour)
        case Promotion():
            return terminal.render_promotion(document, width=width, colour=colour)
        case Registry():
            return terminal.render_registry(document, width=width, colour=colour)
        case Examination():
            return terminal.render_examination(document, width=width, colour=colour)
