"""A report as workflow commands of GitHub Actions: annotations beside the changed files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Literal

from yaml import YAMLError

from modelci.domain.changes import ValueKey
from modelci.domain.pipeline import StageRun
from modelci.domain.report import Report
from modelci.domain.wording import counted
from modelci.errors import ConfigError
from modelci.formats import locate_yaml, parse
from modelci.render import quantities
from modelci.render.digest import digest
from modelci.render.escape import clean, log_lines
from modelci.render.rows import WaiverRow, metric_of, reason_of, value_pair, waiver_edit, waiver_row

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
    file: str = ""
    line: int = 0


def render(report: Report, *, lines: Mapping[ValueKey, int] | None = None) -> list[str]:
    """Return a command for each failed stage and gate, each warning, and each edited parameter.

    ``lines`` says where in the head's files the parameters stand; those of unknown place are left
    out. At most ten of a type, the last of which says how many more there are. A command is one
    line whatever names and logs say.
    """
    errors, warnings = tuple(_errors(report)), tuple(_warnings(report))
    notices = tuple(_parameters(report, lines or {}))
    return [
        *_lines("error", errors),
        *_lines("warning", warnings),
        *_lines("notice", notices),
    ]


def locate(report: Report, files: Mapping[str, bytes]) -> dict[ValueKey, int]:
    """Return the lines of the first ten changed parameters in the head's ``files``.

    YAML and JSON are understood; of a parameter that is gone it is the line of what held it.
    """
    found: dict[ValueKey, int] = {}
    for change in report.params:
        data = files.get(change.key.path)
        if data is not None and PurePosixPath(change.key.path).suffix.lower() in _LOCATED:
            line = _line(change.key, data)
            if line is not None:
                found[change.key] = line
        if len(found) == _MOST:
            break
    return found


_LOCATED = frozenset({".json", ".yaml", ".yml"})


def _line(key: ValueKey, data: bytes) -> int | None:
    try:
        parse(key.path, data)  # which refuses what is not to be walked
        return locate_yaml(data, tuple(key.name.split(".")))
    except (ConfigError, YAMLError):  # tabs in JSON are no YAML
        return None


def _parameters(report: Report, lines: Mapping[ValueKey, int]) -> Iterator[_Annotation]:
    for change in report.params:
        if change.key in lines:
            base, head = value_pair(change)
            yield _Annotation(
                title="Parameter changed",
                message=f"{change.key.name}: {base} → {head}",
                file=change.key.path,
                line=lines[change.key],
            )


def _errors(report: Report) -> Iterator[_Annotation]:
    run, view = report.run, digest(report)
    if run is not None and run.error:
        yield _Annotation(title="Pipeline failed", message=run.error)
    for stage in view.failed:
        yield _failed_stage(stage)
    for result in view.troubled:
        if result.blocks:
            title = f"Gate {result.outcome}: {result.gate}"
            yield _Annotation(title=title, message=f"{metric_of(result)}: {reason_of(result)}")


def _warnings(report: Report) -> Iterator[_Annotation]:
    for change in (*report.gate_changes, *report.setting_changes):
        message = f"This change edits its own gates; {change}"
        yield _Annotation(title="Gates edited", message=message)
    for kind, row in map(waiver_edit, report.waiver_changes):
        message = f"This change edits waivers; {kind}: {row.gate}, {_waiver(row)}"
        yield _Annotation(title="Waivers edited", message=message)
    for result in digest(report).troubled:
        if not result.blocks:
            title = f"Gate {result.outcome}: {result.gate}"
            waived = f"; {_waiver(waiver_row(result.waiver))}" if result.waiver else ""
            message = f"{metric_of(result)}: {reason_of(result)}{waived}"
            yield _Annotation(title=title, message=message)
    for note in filter(str.strip, report.notes):
        yield _Annotation(title="Note", message=note)


def _waiver(row: WaiverRow) -> str:
    return f"waived until {row.until} by {row.author}: {row.reason}"


def _failed_stage(stage: StageRun) -> _Annotation:
    ending = "" if stage.exit_code is None else f" with exit code {stage.exit_code}"
    log = "\n".join(log_lines(stage.log_tail, lines=20)) if stage.log_tail.strip() else ""
    time = "" if stage.seconds is None else f" after {quantities.duration(stage.seconds)}"
    first = f"The stage failed{ending}{time}."
    return _Annotation(title=f"Stage {stage.name} failed", message=f"{first}\n{log}".rstrip())


def _lines(
    kind: Literal["error", "warning", "notice"], annotations: tuple[_Annotation, ...]
) -> Iterator[str]:
    whole = len(annotations) <= _MOST
    for annotation in islice(annotations, _MOST if whole else _MOST - 1):
        yield _command(kind, annotation)
    if not whole:
        rest = counted(len(annotations) - _MOST + 1, f"more {kind}")
        message = f"{rest}: see the report in the job's summary."
        yield _command(kind, _Annotation(title=rest, message=message))


def _command(kind: str, annotation: _Annotation) -> str:
    title = _escaped(clean(annotation.title, _TITLE_LIMIT), _PROPERTY)
    lines = (clean(line, 400) for line in annotation.message.split("\n"))
    message = _cut(_DATA.get(one, one) for one in "\n".join(lines))
    file = _escaped(clean(annotation.file, _MESSAGE_LIMIT), _PROPERTY)
    place = f"file={file},line={annotation.line}," if annotation.file else ""
    return f"::{kind} {place}title={title}::{message}"


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
