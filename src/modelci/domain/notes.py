"""Release notes: what changed since the version before, out of the report and Git's history."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from modelci.domain.changes import DataChange, TrackedFile, ValueChange
from modelci.domain.evidence import EvaluationResult
from modelci.domain.gates import GateResult
from modelci.domain.metrics import MetricDelta
from modelci.domain.report import Report

MOST_LINES = 8
"""Of notes in a tag's message."""

_LINE = 160
_SQUASHED = re.compile(r"(?P<title>.+) \(#(?P<number>[0-9]{1,9})\)")
_GITHUB = re.compile(r"Merge pull request #(?P<number>[0-9]{1,9}) from .+")
_GITEA = re.compile(r"Merge pull request '(?P<title>.+)' \(#(?P<number>[0-9]{1,9})\) from .+")
_GITLAB = re.compile(r"^See merge request (?:[\w./-]*)!(?P<number>[0-9]{1,9})$", re.MULTILINE)
_OURS = "modelci"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What people should know of the models, whatever their version; all of it is free text.

    ``owners`` answer for the models. ``links`` lead to more.
    """

    description: str | None = None
    intended_use: str | None = None
    limitations: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    license: str | None = None
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCommit:
    """A commit of the history; ``author`` is a name, never an address."""

    sha: str
    parents: tuple[str, ...]
    author: str
    subject: str
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedPull:
    """A pull (or merge) request that a commit says it merged; ``mark`` is ``#`` or ``!``."""

    number: int
    title: str
    author: str
    mark: str = "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """The version that is compared with; ``stage`` where it was the one that held that stage."""

    tag: str
    commit: str
    stage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseNotes:
    """What a version brings. ``authors`` wrote the commits since; ``model`` is what is released.

    ``differences`` is False where nobody could compare with the version before; ``notes`` say so.
    """

    tag: str
    artifact: str
    version: str
    commit: str
    since: Since | None = None
    metrics: tuple[MetricDelta, ...] = ()
    params: tuple[ValueChange, ...] = ()
    data: tuple[DataChange, ...] = ()
    gates: tuple[GateResult, ...] = ()
    evaluations: tuple[EvaluationResult, ...] = ()
    model: TrackedFile | None = None
    pulls: tuple[MergedPull, ...] = ()
    authors: tuple[str, ...] = ()
    card: ModelCard = field(default_factory=ModelCard)
    run_url: str | None = None
    notes: tuple[str, ...] = ()


def find_pulls(commits: Iterable[LoggedCommit]) -> tuple[MergedPull, ...]:
    """Return the pull requests that commits say they merged, each once, in the commits' order.

    Read are GitHub's and Gitea's merges, squashed ones (``Title (#12)``), and GitLab's merges.
    """
    found: dict[tuple[str, int], MergedPull] = {}
    for commit in commits:
        pull = _pull(commit)
        if pull is not None:
            found.setdefault((pull.mark, pull.number), pull)
    return tuple(found.values())


def find_authors(commits: Iterable[LoggedCommit]) -> tuple[str, ...]:
    """Return who wrote the commits, by name; what modelci itself committed has no author."""
    names = {commit.author.strip() for commit in commits if len(commit.parents) < 2}
    return tuple(sorted(names - {"", _OURS}, key=str.casefold))


def _pull(commit: LoggedCommit) -> MergedPull | None:
    first = next((line for line in commit.body.splitlines() if line.strip()), commit.subject)
    if gitea := _GITEA.fullmatch(commit.subject):
        return _named(gitea["number"], gitea["title"], commit)
    if github := _GITHUB.fullmatch(commit.subject):
        return _named(github["number"], first, commit)
    if gitlab := _GITLAB.search(commit.body):
        title = first if not first.startswith("See merge request") else commit.subject
        return _named(gitlab["number"], title, commit, mark="!")
    if squashed := _SQUASHED.fullmatch(commit.subject):
        return _named(squashed["number"], squashed["title"], commit)
    return None


def _named(number: str, title: str, commit: LoggedCommit, *, mark: str = "#") -> MergedPull:
    return MergedPull(number=int(number), title=title.strip(), author=commit.author, mark=mark)


def short_notes(report: Report) -> tuple[str, ...]:
    """Return a few lines for a tag's message: gated metrics, gates, waivers, models.

    Equal reports give equal lines, whenever they were made. Each begins with a dash, so that none
    can pass for a trailer.
    """
    lines = [*_metric_lines(report), *_gate_lines(report.gates), *_model_lines(report.data)]
    more = len(lines) - MOST_LINES
    kept = lines[:MOST_LINES]
    return (*(_line(one) for one in kept), *([f"- and {more:,} more"] if more > 0 else []))


def _metric_lines(report: Report) -> Iterator[str]:
    judged = {result.key for result in report.gates if result.key}
    for delta in report.metrics:
        if delta.key in judged and delta.is_changed:
            yield f"{delta.key}: {_number(delta.base)} → {_number(delta.head)}"


def _gate_lines(results: Sequence[GateResult]) -> Iterator[str]:
    if results:
        counts: dict[str, int] = {}
        for result in results:
            counts[result.outcome] = counts.get(result.outcome, 0) + 1
        yield "gates: " + ", ".join(f"{count:,} {name}" for name, count in counts.items())
    for result in results:
        if result.waiver is not None:
            waiver = result.waiver
            yield f"waived: {result.gate.metric} ({waiver.author}: {waiver.reason})"


def _model_lines(changes: Sequence[DataChange]) -> Iterator[str]:
    for change in changes:
        if change.data == "model":
            sizes = [_size(side) for side in (change.base, change.head)]
            yield f"{change.path}: {' → '.join(sizes)}"


def _size(file: TrackedFile | None) -> str:
    if file is None:
        return "none"
    return "unknown size" if file.bytes is None else f"{file.bytes:,} B"


def _number(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(text: str) -> str:
    plain = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return f"- {plain if len(plain) <= _LINE else plain[: _LINE - 1] + '…'}"
