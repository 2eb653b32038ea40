"""Presents documents: text for a terminal, or the JSON document itself."""

import sys

import click

from modelci.documents import codec
from modelci.documents.registry import Registry
from modelci.domain.checks import Examination
from modelci.domain.pipeline import Plan, Run
from modelci.domain.promotion import Promotion
from modelci.domain.report import Report
from modelci.wiring import App


def print_document(app: App, document: codec.Document, *, as_json: bool) -> None:
    """Print a document on stdout."""
    click.echo(codec.encode(document) if as_json else to_text(document), nl=not as_json)


def to_text(document: codec.Document) -> str:
    """Return a document as text, as wide and as colourful as stdout takes it."""
    from modelci.render import terminal

    style = terminal_style()
    match document:
        case Report():
            return terminal.render_report(document, **style)
        case Run():
            return terminal.render_run(document, **style)
        case Plan():
            return terminal.render_plan(document, **style)
        case Promotion():
            return terminal.render_promotion(document, **style)
        case Registry():
            return terminal.render_registry(document, **style)
        case Examination():
            return terminal.render_examination(document, **style)
