"""A report seen through its reader's eyes: the verdict in one sentence, and what comes first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelci.domain.gates import GateResult, Outcome
from modelci.domain.history import MetricHistory
from modelci.domain.metrics import MetricDelta, MetricKey
from modelci.domain.pipeline import Run, StageRun, StageStatus
from modelci.domain.report import Report, Revision
from modelci.domain.slices import SliceResult
from modelci.domain.wording import counted
from modelci.render.quantities import size_of_change
from modelci.render.rows import metric_of, reason_of, smallest_shown, worst_first

FROM_FORK = "These figures come from a fork's own run; nobody here has checked them."


class Tone(StrEnum):
    """What the reader is to feel at the first glance."""

    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"
    INFO = "info"
    BROKEN = "broken"


class Role(StrEnum):
    """How a piece of the verdict is set: as it is, with weight, or as a foreign name."""

    PLAIN = "plain"
    STRONG = "strong"
    NAME = "name"


Phrase = tuple[Role, str]
_MOST_NAMES = 3  # in a headline


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The verdict sentence, in phrases that every renderer sets in its own way."""

    tone: Tone
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A report's parts, sorted by what deserves attention.

    ``troubled`` gates begin with those that block; ``shows_files`` says that metrics come from
    more than one file. ``bad_slices`` are those that did not pass, the worst first; ``slices``
    holds all in that order. ``trends`` is how metrics went before, where that is known.
    """

    headline: Headline
    troubled: tuple[GateResult, ...]
    passed: tuple[GateResult, ...]
    changed: tuple[MetricDelta, ...]
    unchanged: tuple[MetricDelta, ...]
    failed: tuple[StageRun, ...]
    shows_files: bool
    slices: tuple[SliceResult, ...]
    bad_slices: tuple[SliceResult, ...]
    trends: Mapping[MetricKey, MetricHistory]


def digest(report: Report) -> Digest:
    """Sort a report's parts."""
    troubled = [result for result in report.gates if result.outcome is not Outcome.PASSED]
    changed = tuple(delta for delta in report.metrics if delta.is_changed)
    slices = worst_first(report.slices)
    return Digest(
        headline=_headline(report, troubled, len(changed)),
        troubled=tuple(sorted(troubled, key=urgency)),
        passed=tuple(result for result in report.gates if result.outcome is Outcome.PASSED),
        changed=changed,
        unchanged=tuple(delta for delta in report.metrics if not delta.is_changed),
        failed=report.run.failed if report.run else (),
        shows_files=len({delta.key.path for delta in report.metrics}) > 1,
        slices=slices,
        bad_slices=tuple(one for one in slices if one.outcome is not Outcome.PASSED),
        trends={one.key: one for one in report.history},
    )


def outlook(report: Report) -> str:
    """Return what a merge would promote, in a line; nothing where that is not known."""
    return f"On merge: {'; '.join(report.on_merge)}." if report.on_merge else ""


def sentence(headline: Headline) -> str:
    """Return the verdict without any setting."""
    return "".join(text for _, text in headline.phrases)


def run_counts(run: Run) -> str:
    """Return ``3 ran, 2 restored, 4 unchanged``."""
    counts = dict.fromkeys(StageStatus, 0)
    for stage in run.stages:
        counts[stage.status] += 1
    words = [
        f"{count:,} {str(status).replace('_', ' ')}" for status, count in counts.items() if count
    ]
    return ", ".join(words) or "no stages"


def revision_label(revision: Revision) -> str:
    """Return what to call a revision beside its commit."""
    return f"{revision.name} with uncommitted changes" if revision.dirty else revision.name


def short_sha(sha: str) -> str:
    """Return a commit as people write it."""
    return sha[:7]


_URGENCY = (
    Outcome.FAILED,
    Outcome.MISSING,
    Outcome.WARNED,
    Outcome.INCONCLUSIVE,
    Outcome.INCOMPARABLE,
    Outcome.PASSED,
)


def urgency(result: GateResult) -> tuple[bool, int]:
    """Order results: what blocks first, and what passed last."""
    return not result.blocks, _URGENCY.index(result.outcome)


def _headline(report: Report, troubled: Sequence[GateResult], changed: int) -> Headline:
    blocking = [result for result in troubled if result.blocks]
    if report.run is not None and not report.run.is_ok:
        return Headline(tone=Tone.BROKEN, phrases=tuple(_broken(report.run, report, blocking)))
    if blocking:
        return Headline(tone=Tone.BAD, phrases=tuple(_blocked(report, blocking)))
    tail = (Role.PLAIN, f"; {_metrics(report, changed)}.")
    if not report.gates:
        return Headline(tone=Tone.INFO, phrases=((Role.STRONG, "No gates are configured"), tail))
    if not troubled:
        total = len(report.gates)
        hold = "the only gate holds" if total == 1 else f"all {total:,} gates hold"
        return Headline(
            tone=Tone.GOOD,
            phrases=((Role.STRONG, "Passed"), (Role.PLAIN, f": {hold}"), tail),
        )
    return _with_reservations(report, troubled, tail)


def _with_reservations(report: Report, troubled: Sequence[GateResult], tail: Phrase) -> Headline:
    held = len(report.gates) - len(troubled)
    only_no_base = report.base is None and all(
        result.outcome is Outcome.INCOMPARABLE for result in troubled
    )
    phrases = (
        (Role.STRONG, "No base to compare with" if only_no_base else "Passed with warnings"),
        (Role.PLAIN, f": {held:,} of {counted(len(report.gates), 'gate')} hold"),
        (Role.PLAIN, "s" if held == 1 else ""),
        (Role.PLAIN, f", {count_outcomes(troubled)}{_waived(troubled)}"),
        *(() if only_no_base else culprits(troubled)),
        tail,
    )
    return Headline(tone=Tone.INFO if only_no_base else Tone.WARNING, phrases=phrases)


def _broken(run: Run, report: Report, blocking: Sequence[GateResult]) -> Iterator[Phrase]:
    yield Role.STRONG, "The pipeline failed" if run.failed else "The run failed"
    if run.failed:
        yield Role.PLAIN, " in stage " if len(run.failed) == 1 else " in stages "
        yield from _names([stage.name for stage in run.failed])
    elif run.error:
        yield Role.PLAIN, f": {run.error.rstrip('.')}"
    if blocking:
        yield Role.PLAIN, f"; {len(blocking):,} of {counted(len(report.gates), 'gate')} blocked"
    yield Role.PLAIN, "."


def _blocked(report: Report, blocking: Sequence[GateResult]) -> Iterator[Phrase]:
    yield Role.STRONG, "Unclear" if report.verdict.unclear else "Blocked"
    counts = [(verb, _count(blocking, outcome)) for outcome, verb in _BLOCKED_VERBS.items()]
    start, total = ": ", f" of {counted(len(report.gates), 'gate')}"
    for (one, many), count in counts:
        if count:
            yield Role.PLAIN, f"{start}{count:,}{total} {one if count == 1 else many}"
            start, total = " and ", ""
    yield from culprits(blocking)
    yield Role.PLAIN, "."


def _count(results: Sequence[GateResult], outcome: Outcome) -> int:
    return sum(result.outcome is outcome for result in results)


_BLOCKED_VERBS = {
    Outcome.FAILED: ("failed", "failed"),
    Outcome.MISSING: ("found no metric", "found no metric"),
    Outcome.INCONCLUSIVE: ("is inconclusive", "are inconclusive"),
    Outcome.INCOMPARABLE: ("cannot be judged", "cannot be judged"),
}


def culprits(results: Sequence[GateResult]) -> Iterator[Phrase]:
    """Name in brackets what was judged; of a single one also say why."""
    yield Role.PLAIN, " ("
    if len(results) == 1:
        yield Role.NAME, metric_of(results[0])
        yield Role.PLAIN, f": {reason_of(results[0])}"
    else:
        yield from _names(list(dict.fromkeys(metric_of(result) for result in results)))
        yield from _undecided(results)
    yield Role.PLAIN, ")"


def _undecided(results: Sequence[GateResult]) -> Iterator[Phrase]:
    """Say of what is inconclusive what the data could have shown."""
    start = "; a worsening shows only from "
    smallest = {
        metric_of(result): size_of_change(shown)
        for result in results
        if (shown := smallest_shown(result)) is not None
    }
    for name, size in list(smallest.items())[:_MOST_NAMES]:
        yield Role.PLAIN, f"{start}{size} on in "
        yield Role.NAME, name
        start = ", "


def _names(names: Sequence[str]) -> Iterator[Phrase]:
    shown = names[:_MOST_NAMES]
    for place, name in enumerate(shown):
        if place:
            yield Role.PLAIN, " and " if place + 1 == len(names) else ", "
        yield Role.NAME, name
    if len(names) > len(shown):
        yield Role.PLAIN, f" and {len(names) - len(shown):,} more"


def _waived(results: Sequence[GateResult]) -> str:
    count = sum(result.waiver is not None for result in results)
    if not count:
        return ""
    return " and is waived" if count == len(results) == 1 else f" ({count:,} waived)"


def count_outcomes(results: Sequence[GateResult]) -> str:
    """Return ``1 warns, 2 are inconclusive``."""
    counts = dict.fromkeys(Outcome, 0)
    for result in results:
        counts[result.outcome] += 1
    return ", ".join(
        f"{count:,} {one if count == 1 else many}"
        for outcome, (one, many) in _VERBS.items()
        if (count := counts[outcome])
    )


_VERBS = {
    Outcome.WARNED: ("warns", "warn"),
    Outcome.MISSING: ("finds no metric", "find no metric"),
    Outcome.FAILED: ("fails", "fail"),
    Outcome.INCONCLUSIVE: ("is inconclusive", "are inconclusive"),
    Outcome.INCOMPARABLE: ("cannot be judged", "cannot be judged"),
}


def _metrics(report: Report, changed: int) -> str:
    total = len(report.metrics)
    if not total:
        return "no metrics"
    if report.base is None:
        return f"{counted(total, 'metric')} measured"
    return f"{changed:,} of {counted(total, 'metric')} changed"
