"""``modelci monitor``: a window of a deployed model's data against the reference of its version."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelci.config.model import ColumnDriftConfig, Config, MonitorConfig, PerformanceConfig
from modelci.domain.gates import GateResult, parse_limit
from modelci.domain.invariants import judge_schema
from modelci.domain.monitoring import Monitoring, TriggerKind
from modelci.domain.staleness import judge_age, judge_skew
from modelci.domain.triggers import count_kinds, decide_actions, hold_back_issue
from modelci.domain.watching import (
    DriftRule,
    DriftRules,
    Known,
    PerformanceRule,
    judge_drift,
    judge_performance,
)
from modelci.domain.windows import Window, last_complete, parse_duration, parse_window
from modelci.errors import ConfigError, ModelCIError, UsageError
from modelci.ports import Asker, Journal, MissingDataError, Progress, RowScanner
from modelci.workflows.acting import Acted
from modelci.workflows.watched import Reference, Sources, find_reference, name_of
from modelci.workflows.window_facts import WINDOW, Desk, Facts, read_facts
from modelci.workflows.windows_kept import as_first_said, keep, read_kept, unlabelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """A judged window, on which its actions are taken.

    ``current`` is where its data are, from anywhere; ``is_late`` that it was judged again by its
    outcomes. ``newer`` is a later window that was judged before: the issue is about that one.
    """

    document: Monitoring
    history: tuple[Monitoring, ...]
    settings: MonitorConfig
    current: str
    is_late: bool = False
    newer: str | None = None


Act = Callable[[Occasion], Acted]
"""Takes the actions that are not held back, and returns all of them with what came of it."""


def do_nothing(occasion: Occasion) -> Acted:
    """Leave the actions as they were decided."""
    return Acted(document=occasion.document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a model is watched with; ``journal`` None: nothing is remembered."""

    sources: Sources
    rows: RowScanner
    asker: Asker
    journal: Callable[[MonitorConfig], Journal | None]
    config: Config
    progress: Progress
    now: Callable[[], str]
    version: str
    run_url: str | None = None
    act: Act = do_nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A window's document, those of the windows before it, and what kept an action from success."""

    document: Monitoring
    history: tuple[Monitoring, ...] = ()
    failure: ModelCIError | None = None


def watch(
    settings: MonitorConfig, tools: Tools, *, window: str | None = None, current: str | None = None
) -> Iterator[Seen]:
    """Watch one window (default: the newest that has ended), and remember it.

    Where none is named, windows whose outcomes have become complete meanwhile are judged by them
    first. ``current`` is where the data are, in place of the configured one. Raises
    MissingDataError where there are none, UsageError for a window or a version that is none.
    """
    now = datetime.fromisoformat(tools.now())
    reference = find_reference(settings, tools.config, tools.sources, now=now)
    for note in reference.notes:
        tools.progress.warn(note)
    watcher = _Watcher(settings, tools, reference, now)
    named = _window(window or last_complete(now, settings.window).name, settings)
    late = () if window is not None or current is not None else watcher.settled_since(named)
    for one in late:
        yield from watcher.catch_up(one)
    yield watcher.watch(named, current)
    if watcher.failure is not None:
        raise watcher.failure


def _window(name: str, settings: MonitorConfig) -> Window:
    try:
        return parse_window(name, settings.window)
    except ValueError as error:
        raise UsageError(
            f"{error}.", hint=f"`monitor.window` of {name_of(settings)} says how they are named."
        ) from error


_BY_OUTCOMES = frozenset({TriggerKind.PERFORMANCE})


class _Watcher:
    """One model's windows, one after the other."""

    def __init__(
        self, settings: MonitorConfig, tools: Tools, reference: Reference, now: datetime
    ) -> None:
        self._settings, self._tools, self._reference, self._now = settings, tools, reference, now
        self._journal = tools.journal(settings)
        self._kept = read_kept(self._journal, settings.window)
        for note in self._kept.notes:
            tools.progress.warn(note)
        self._overdue: list[str] = []
        self.failure: ConfigError | None = None
        """What kept an earlier window from being judged by its outcomes, and must be mended."""

    def settled_since(self, newest: Window) -> tuple[Window, ...]:
        """Return the windows before ``newest`` whose outcomes have become complete since."""
        labels = self._settings.labels
        if labels is None:
            return ()
        delay = parse_duration(labels.delay)
        names = unlabelled(self._kept, commit=self._reference.watched.commit)
        windows = (_window(name, self._settings) for name in names if name != newest.name)
        settled = [one for one in windows if one.is_settled(self._now, delay)]
        found = tuple(one for one in settled if self._has_outcomes(labels.path, one))
        self._overdue += [one.name for one in settled if one not in found]
        return found

    def _has_outcomes(self, path: str, window: Window) -> bool:
        """Look before all of the window's data are read again."""
        try:
            return bool(self._tools.rows.pieces(path.replace(WINDOW, window.name)))
        except MissingDataError:
            return False

    def catch_up(self, window: Window) -> Iterator[Seen]:
        """Judge an earlier window by its outcomes, if they are there."""
        try:
            document, current = self._judge(window, None)
        except MissingDataError as error:
            self._tools.progress.warn(f"{window.name} cannot be judged by its outcomes: {error}")
            return
        except ConfigError as error:  # of the labels; the newest window is judged all the same
            self.failure = self.failure or error
            return
        if document.labelled:
            yield self._conclude(window, document, current, is_late=True)
        else:
            self._overdue.append(window.name)

    def watch(self, window: Window, current: str | None) -> Seen:
        """Judge a window, act, and remember it."""
        doubt = ""
        if self._overdue:
            doubt = f"no outcome of {', '.join(sorted(self._overdue))} is known, which are due"
            doubt += " (labels.delay)"
        return self._conclude(window, *self._judge(window, current, doubt))

    def _judge(
        self, window: Window, current: str | None, overdue: str = ""
    ) -> tuple[Monitoring, str]:
        settings, reference = self._settings, self._reference
        label = reference.watched.version or (reference.watched.commit or "")[:7]
        self._tools.progress.note(f"Watching {name_of(settings)} ({label}), {window.name}")
        said = current or settings.current.replace(WINDOW, window.name)
        place = self._find(said, window)
        desk = Desk(
            settings=settings,
            config=self._tools.config,
            reference=reference,
            rows=self._tools.rows,
            bring=self._tools.sources.bring,
            asker=self._tools.asker,
        )
        with self._tools.progress.busy(f"Counting {window.name}"):
            facts = read_facts(desk, window, place, now=self._now)
        if overdue and not facts.labelled:
            facts = replace(facts, doubt="; ".join(filter(None, (facts.doubt, overdue))))
        return self._describe(window, said, facts, desk), place

    def _find(self, place: str, window: Window) -> str:
        """Return where the data lie: on disk, at a URL, or, brought by hash, in DVC's cache."""
        try:
            self._tools.rows.pieces(place)
        except MissingDataError as error:
            brought = None if "://" in place else self._bring(place)
            if brought is not None:
                return brought
            raise MissingDataError(
                f"There are no data of {name_of(self._settings)} for {window.name}: {error}",
                hint="`monitor.current` says where they are; --window names another window. "
                f"{error.hint or ''}".strip(),
            ) from error
        return place

    def _bring(self, place: str) -> str | None:
        sources = self._tools.sources
        try:
            return str(sources.bring(sources.git.work_tree(), place))
        except ModelCIError:
            return None

    def _describe(self, window: Window, place: str, facts: Facts, desk: Desk) -> Monitoring:
        drift, profile = facts.drift, self._reference.profile
        return Monitoring(
            watched=self._reference.watched,
            window=window.name,
            current=place,
            created=self._tools.now(),
            version=self._tools.version,
            rows=facts.current.rows,
            labelled=facts.labelled,
            columns=drift.columns,
            scores=drift.scores,
            chosen_before=profile.chosen,
            chosen_now=facts.current.chosen,
            performance=facts.performance,
            skew=facts.skew,
            gates=tuple(judge(facts, desk)),
            notes=(
                *self._reference.notes,
                *self._kept.notes,
                *_about_place(self._settings, place),
                *_about_end(window, self._now),
                *facts.notes,
                *_doubt(facts),
            ),
            run_url=self._tools.run_url,
        )

    def _conclude(
        self, window: Window, judged: Monitoring, current: str, *, is_late: bool = False
    ) -> Seen:
        """Decide what is to be done, do it, and remember the window, whatever came of it.

        Of a late one only what its outcomes have shown is news, and that it is well is none.
        """
        settings = self._settings
        earlier = self._kept.before(window, settings.window)
        # The newest window follows a late one in the same run, and has the last word.
        newer = None if is_late else self._kept.newer_than(window, settings.window)
        actions = decide_actions(
            [one for one in settings.triggers if not is_late or one.when in _BY_OUTCOMES],
            judged,
            earlier,
            others=self._kept.windows,
            now=self._now,
            cooldown=parse_duration(settings.cooldown),
        )
        document = replace(
            judged,
            consecutive=count_kinds(judged, earlier),
            actions=hold_back_issue(actions, newer),
        )
        occasion = Occasion(
            document=as_first_said(document, self._kept),
            history=earlier,
            settings=settings,
            current=self._absolute(current),
            is_late=is_late,
            newer=newer,
        )
        done = self._act(occasion)
        document = replace(document, actions=done.document.actions)
        if keep(self._journal, document, self._kept) and self._journal is not None:
            self._tools.progress.note(f"Remembered at {self._journal.place}")
        self._kept = self._kept.with_window(document, settings.window)
        return Seen(document=document, history=earlier, failure=done.failure)

    def _act(self, occasion: Occasion) -> Acted:
        # What fails is told; what was found is remembered all the same, and a run again takes the
        # actions again.
        if occasion.is_late and all(one.held_back for one in occasion.document.actions):
            return do_nothing(occasion)
        return self._tools.act(occasion)

    def _absolute(self, place: str) -> str:
        root = self._tools.sources.git.root
        return place if "://" in place else str(root / place)


def _about_end(window: Window, now: datetime) -> tuple[str, ...]:
    """Say that a window goes on: what is missing of it may still come."""
    if window.is_settled(now, timedelta(0)):
        return ()
    ends = f"{window.end:%Y-%m-%d %H:%M} UTC"
    return (
        f"{window.name} has not ended ({ends}): these are the rows so far; watch it again then",
    )


def _about_place(settings: MonitorConfig, place: str) -> Iterator[str]:
    """Say where every window would be of the same rows."""
    if place == settings.current and WINDOW not in place and settings.time is None:
        yield (
            f"All rows of {place} count, whichever window is named: `monitor.current` is without "
            "{window}, and no `time` is given."
        )


def _doubt(facts: Facts) -> tuple[str, ...]:
    return (f"{facts.doubt[:1].upper()}{facts.doubt[1:]}.",) if facts.doubt else ()


def judge(facts: Facts, desk: Desk) -> Iterator[GateResult]:
    """Yield what the rules make of a window; ``inconclusive`` is what the settings say."""
    unclear = desk.settings.inconclusive
    for one in _judge_all(facts, desk):
        yield replace(one, gate=replace(one.gate, inconclusive=unclear, incomparable=unclear))


def _judge_all(facts: Facts, desk: Desk) -> Iterator[GateResult]:
    settings = desk.settings
    rows = facts.current.rows
    yield from judge_drift(facts.drift, drift_rules(settings), rows=rows)
    yield from judge_schema(desk.profile, facts.current, ignore=desk.ignored, has_id=facts.has_id)
    if settings.performance:
        rules = performance_rules(settings)
        known = Known(rows=rows, labelled=facts.labelled, doubt=facts.doubt)
        yield from judge_performance(
            facts.performance,
            rules,
            known=known,
            min_rows=settings.min_rows,
            inconclusive=settings.inconclusive,
        )
    if settings.max_age_days is not None:
        yield judge_age(desk.reference.watched, settings.max_age_days)
    if facts.skew is not None:
        yield judge_skew(facts.skew, settings.skew.max_share)


def drift_rules(settings: MonitorConfig) -> DriftRules:
    """Return the rules of ``monitor.drift`` and ``monitor.columns``."""
    drift = settings.drift
    usual = DriftRule(statistic=drift.statistic, warn=drift.warn, fail=drift.fail)
    own = {
        name: _own_rule(usual, one)
        for name, one in settings.columns.items()
        if not isinstance(one, str)
    }
    return DriftRules(usual=usual, columns=own, alpha=drift.alpha, min_rows=settings.min_rows)


def _own_rule(usual: DriftRule, own: ColumnDriftConfig) -> DriftRule:
    """Return a column's rule; a limit that passes the usual other one takes it along."""
    warn = usual.warn if own.warn is None else own.warn
    fail = usual.fail if own.fail is None else own.fail
    return DriftRule(
        statistic=own.statistic or usual.statistic,
        warn=min(warn, fail) if own.warn is None else warn,
        fail=max(warn, fail) if own.fail is None else fail,
    )


def performance_rules(settings: MonitorConfig) -> dict[str, PerformanceRule]:
    """Return the rules of ``monitor.performance`` by measure."""
    return {
        name: PerformanceRule(
            max_drop=None if one.max_drop is None else parse_limit(one.max_drop),
            min=one.min,
            max=one.max,
        )
        for name, one in settings.performance.items()
        if isinstance(one, PerformanceConfig)
    }
