"""A report as workflow commands of GitHub Actions: annotations beside the changed files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from modelci.domain.pipeline import StageRun
from modelci.domain.report import Report
from modelci.render import quantities
from modelci.render.digest import digest
from modelci.render.escape import clean, log_lines
from modelci.render.rows import metric_of

_MOST = 10
"""GitHub shows ten annotations of each type per step."""

_MESSAGE_LIMIT = 4096
_TITLE_LIMIT = 200
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = _DATA | {":": "%3A", ",": "%2C"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotation:
    title: str
    message: str


def render(report: Report) -> list[str]:
    """Return a line for each failed stage and gate (errors), and each warning and note.

    At most ten of a type, the last of which says how many more there are. A line holds one
    command whatever names and logs say.
    """
    errors, warnings = tuple(_errors(report)), tuple(_warnings(report))
    return [*_lines("error", errors), *_lines("warning", warnings)]


def _errors(report: Report) -> Iterator[_Annotation]:
    run, view = report.run, digest(report)
    if run is not None and run.error:
        yield _Annotation(title="Pipeline failed", message=run.error)
    for stage in view.failed:
        yield _failed_stage(stage)
    for result in view.troubled:
        if result.blocks:
            title = f"Gate {result.outcome}: {result.gate}"
            yield _Annotation(title=title, message=f"{metric_of(result)}: {result.reason}")


def _warnings(report: Report) -> Iterator[_Annotation]:
    for change in report.gate_changes:
        message = f"This change edits its own gates; {change.kind}: {change.gate}"
        yield _Annotation(title="Gates edited", message=message)
    for result in digest(report).troubled:
        if not result.blocks:
            title = f"Gate {result.outcome}: {result.gate}"
            yield _Annotation(title=title, message=f"{metric_of(result)}: {result.reason}")
    for note in filter(str.strip, report.notes):
        yield _Annotation(title="Note", message=note)


def _failed_stage(stage: StageRun) -> _Annotation:
    ending = "" if stage.exit_code is None else f" with exit code {stage.exit_code}"
    log = "\n".join(log_lines(stage.log_tail, lines=20)) if stage.log_tail.strip() else ""
    time = "" if stage.seconds is None else f" after {quantities.duration(stage.seconds)}"
    first = f"The stage failed{ending}{time}."
    return _Annotation(title=f"Stage {stage.name} failed", message=f"{first}\n{log}".rstrip())


def _lines(
    kind: Literal["error", "warning"], annotations: tuple[_Annotation, ...]
) -> Iterator[str]:
    whole = len(annotations) <= _MOST
    for annotation in islice(annotations, _MOST if whole else _MOST - 1):
        yield _command(kind, annotation)
    if not whole:
        rest = quantities.counted(len(annotations) - _MOST + 1, f"more {kind}")
        message = f"{rest}: see the report in the job's summary."
        yield _command(kind, _Annotation(title=rest, message=message))


def _command(kind: str, annotation: _Annotation) -> str:
    title = _escaped(clean(annotation.title, _TITLE_LIMIT), _PROPERTY)
    lines = (clean(line, 400) for line in annotation.message.split("\n"))
    message = _cut(_DATA.get(one, one) for one in "\n".join(lines))
    return f"::{kind} title={title}::{message}"


def _escaped(text: str, codes: dict[str, str]) -> str:
    return "".join(codes.get(character, character) for character in text)


def _cut(pieces: Iterable[str]) -> str:
    """Join what fits into a message; an escape is never split."""
    kept: list[str] = []
    left = _MESSAGE_LIMIT - 1
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            return "".join(kept) + "…"
        kept.append(piece)
    return "".join(kept)
