"""What a window's data say: counted, held against outcomes, and asked of the model again.

It loads pandas and pyarrow: only a command that reads data comes here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

import numpy as np
import pandas as pd

from modelci.analysis import outcomes
from modelci.analysis.drift import DECISION, Drift, compare
from modelci.analysis.predictions import read_sample
from modelci.analysis.profile import count
from modelci.analysis.reading import LOGGED, RowRules, WindowRows, of_ids
from modelci.config.model import Config, LabelsConfig, MonitorConfig
from modelci.domain.evaluation import Evaluation, Task
from modelci.domain.monitoring import Estimate, Performance, Skew
from modelci.domain.profile import Profile, Realised
from modelci.domain.windows import Window, parse_duration
from modelci.domain.wording import meant
from modelci.errors import ConfigError, ModelCIError
from modelci.ports import Asker, MissingColumnError, MissingDataError, RowScanner
from modelci.workflows.skew import ask_again
from modelci.workflows.watched import Bring, Reference

T = TypeVar("T")

WINDOW = "{window}"
ESTIMATE, IGNORE = "estimate", "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A window in numbers; ``labelled`` rows have an outcome.

    ``doubt`` says what is wrong with outcomes that should be known by now, ``has_id`` whether
    there is the column that names the window's rows.
    """

    current: Profile
    drift: Drift
    labelled: int = 0
    doubt: str = ""
    has_id: bool = True
    performance: tuple[Performance, ...] = ()
    skew: Skew | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the facts of one model's windows are made with."""

    settings: MonitorConfig
    config: Config
    reference: Reference
    rows: RowScanner
    bring: Bring
    asker: Asker

    @property
    def evaluation(self) -> Evaluation:
        """How the project judges predictions; of several evaluations nobody knows which."""
        known = self.config.evaluation
        found = known[0] if len(known) == 1 else Evaluation(predictions="")
        labels, threshold = self.settings.labels, self.reference.profile.threshold
        return replace(
            found,
            id=_ID,
            score=_SCORE,
            prediction=None,
            target=(labels and labels.target) or found.target,
            threshold=found.threshold if threshold is None else threshold,
        )

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that are limited, and those that the reference knows."""
        limited = (name for name in self.settings.performance if name != ESTIMATE)
        return tuple(dict.fromkeys((*limited, *self.reference.profile.realised)))

    @property
    def profile(self) -> Profile:
        """The reference's profile, with rows named by what names them in the window."""
        profile, named = self.reference.profile, self.settings.id
        return replace(profile, id=named) if named else profile

    @property
    def ignored(self) -> frozenset[str]:
        """The columns that are not compared.

        These are those that the settings name, those that a window has of its own, and the target,
        which is not known yet.
        """
        settings, profile = self.settings, self.reference.profile
        named = {one for one, rule in settings.columns.items() if rule == IGNORE}
        own = {*LOGGED, settings.time, settings.id}
        own |= {settings.labels.join} if settings.labels else set()
        own -= {one.name for one in profile.columns}
        unscored = {settings.score} if profile.scores is None else set()
        # What names rows in training may be called otherwise in production.
        unnamed = {profile.id} if settings.id not in {None, profile.id} else set()
        found = {*named, *own, *unscored, *unnamed, self.evaluation.target}
        return frozenset(one for one in found if one is not None)


_ID, _SCORE = "id", "score"


def read_facts(desk: Desk, window: Window, current: str, *, now: datetime) -> Facts:
    """Read the window's data once, and what belongs to them; raises MissingDataError.

    What cannot be had beside the data (outcomes, the model) is a note; ConfigError where outcomes
    lack a column that the settings name.
    """
    rows = WindowRows(_row_rules(desk, window))
    profile = _count(desk, rows, current)
    notes = [*_about_rows(rows, current), *_about_columns(desk, rows)]
    said = _Remarks(notes=notes)
    performance, labelled = _perform(desk, window, rows, now, said)
    return Facts(
        current=profile,
        drift=compare(
            desk.profile,
            profile,
            ignore=desk.ignored,
            correction=desk.settings.drift.correction,
        ),
        labelled=labelled,
        doubt="; ".join(said.doubts),
        has_id=_has_id(desk, rows),
        performance=performance,
        skew=_ask_again(desk, rows, notes),
        notes=tuple(notes),
    )


def _row_rules(desk: Desk, window: Window) -> RowRules:
    settings, watched = desk.settings, desk.reference.watched
    performs = bool(desk.measures)
    return RowRules(
        window=window.name,
        start=window.start,
        end=window.end,
        time=settings.time,
        artifact=watched.artifact,
        version=watched.version,
        score=settings.score if performs else None,
        join=settings.labels.join if settings.labels and performs else None,
        sample=settings.skew.rows,
    )


def _count(desk: Desk, rows: WindowRows, current: str) -> Profile:
    try:
        return count(
            rows.pass_on(desk.rows.scan(current)),
            desk.profile,
            ignore=desk.ignored,
            score=desk.settings.score,
        )
    except ValueError as error:
        raise MissingDataError(
            f"{current} cannot be watched: {error}.",
            hint="`monitor.time` is the column that says when a row was scored.",
        ) from error


def _about_rows(rows: WindowRows, current: str) -> Iterator[str]:
    if rows.outside:
        yield f"{rows.outside:,} rows of {current} are of other times."
    if rows.others:
        named = ", ".join(f"{name or 'none'} ({count:,})" for name, count in rows.others.items())
        yield f"Rows that other versions answered are left out: {named}."
    if not rows.has_all and len(rows.scores):
        yield f"Performance is of {len(rows.scores):,} rows, drawn at random."


def _about_columns(desk: Desk, rows: WindowRows) -> Iterator[str]:
    """Say which settings are of columns that neither the profile nor the window has."""
    profile, settings = desk.reference.profile, desk.settings
    known = {one.name for one in profile.columns} | rows.names | {DECISION, settings.score}
    known |= {profile.scores.name} if profile.scores is not None else set()
    for name in settings.columns if rows.names else ():
        if name not in known:
            lacking = f"monitor.columns has {name!r}, which the profile and the window lack."
            yield f"{lacking} {meant(name, known)}".rstrip()


def _has_id(desk: Desk, rows: WindowRows) -> bool:
    """Whether what names rows is there; what the profile has as a column is checked as one."""
    name = desk.settings.id
    return (
        name is None
        or name in rows.names
        or any(one.name == name for one in desk.reference.profile.columns)
    )


# How well it did.


@dataclass(frozen=True, slots=True)
class _Remarks:
    """What is said of a window beside its numbers; ``doubts`` are about its outcomes."""

    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def _perform(
    desk: Desk,
    window: Window,
    rows: WindowRows,
    now: datetime,
    said: _Remarks,
) -> tuple[tuple[Performance, ...], int]:
    """Return what is known of each measure, and how many rows have an outcome."""
    reference, measures = desk.reference.profile.realised, desk.measures
    if not measures or not len(rows.scores):
        return (), 0
    labelled = _read_outcomes(desk, window, rows, now, said)
    found = {} if labelled is None else _realise(desk, labelled, said)
    estimates = _estimate(desk, rows, said.notes)
    known = (
        Performance(
            measure=name,
            reference=reference.get(name),
            realised=found.get(name),
            estimated=estimates.get(name),
        )
        for name in measures
    )
    return tuple(known), 0 if labelled is None else len(labelled)


def _read_outcomes(
    desk: Desk,
    window: Window,
    rows: WindowRows,
    now: datetime,
    said: _Remarks,
) -> pd.DataFrame | None:
    """Return the rows whose outcome is known, as predictions are kept; None where none is yet."""
    labels = desk.settings.labels
    if labels is None:
        return None
    delay = parse_duration(labels.delay)
    if not window.is_settled(now, delay):
        when = (window.end + delay).strftime("%Y-%m-%d")
        said.notes.append(
            f"Outcomes of {window.name} are not complete before {when} (labels.delay)."
        )
        return None
    target = desk.evaluation.target
    place = labels.path.replace(WINDOW, window.name)
    try:
        outcomes_read = _read_columns(desk.rows, place, labels, target, rows)
    except MissingColumnError as error:
        raise _no_column(error, labels, target) from error
    except MissingDataError as error:
        said.doubts.append(f"outcomes are not to be had: {str(error).rstrip('.')}")
        return None
    joined = outcomes.join(rows.ids, outcomes_read[labels.join], outcomes_read[target])
    said.notes.extend(_about_join(joined, place))
    if not len(joined.rows):
        said.doubts.append(_about_nothing(rows, labels, place, len(outcomes_read)))
        return None
    if joined.unlabelled:
        said.notes.append(f"{len(joined.rows):,} of {len(rows.scores):,} outcomes known.")
    return pd.DataFrame(
        {
            _ID: np.arange(len(joined.rows)),
            _SCORE: rows.scores[joined.rows],
            target: outcomes_read[target].to_numpy()[joined.outcomes],
        }
    )


def _read_columns(
    scanner: RowScanner, place: str, labels: LabelsConfig, target: str, rows: WindowRows
) -> pd.DataFrame:
    """Return the outcomes; where not all rows are kept, those of the kept ones."""
    columns = list(dict.fromkeys([labels.join, target]))
    batches = scanner.scan(place, columns=columns)
    if not rows.has_all:
        batches = of_ids(batches, labels.join, rows.ids)
    parts = [batch.to_pandas() for batch in batches if batch.num_rows]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _no_column(error: MissingColumnError, labels: LabelsConfig, target: str) -> ConfigError:
    key = f"labels.join: {labels.join}"
    if error.column != labels.join:
        key = f"labels.target: {target}"
        key += "" if labels.target else " (the evaluation's)"
    return ConfigError(f"monitor.{key} does not fit the outcomes: {error}", hint=error.hint)


def _about_nothing(rows: WindowRows, labels: LabelsConfig, place: str, read: int) -> str:
    """Say why no row has an outcome, although there are outcomes to be read."""
    if not read:
        return f"{place} holds no outcome of the window"
    if not rows.ids.notna().any():
        return f"no row of the window has a value in {labels.join!r} to find its outcome by"
    return f"none of the {read:,} outcomes in {place} is of a row of the window, by {labels.join!r}"


def _about_join(joined: outcomes.Joined, place: str) -> Iterator[str]:
    if joined.unknown:
        yield f"{joined.unknown:,} outcomes in {place} are of no row of the window."
    if joined.contradicting:
        yield f"{joined.contradicting:,} ids have outcomes that contradict each other: left out."
    if joined.repeated:
        yield f"{joined.repeated:,} rows repeat an id: the first of them counts."


def _realise(desk: Desk, labelled: pd.DataFrame, said: _Remarks) -> Mapping[str, Realised]:
    evaluation = desk.evaluation
    scored = labelled[np.isfinite(labelled[_SCORE])]
    if len(scored) < len(labelled):
        said.notes.append(f"{len(labelled) - len(scored):,} rows with an outcome have no score.")
    if evaluation.task is Task.MULTICLASS:
        said.notes.append("Performance of more than two classes is not watched yet.")
        return {}
    if scored.empty:
        return {}
    try:
        sample = read_sample(scored, evaluation)
    except ValueError as error:
        said.doubts.append(f"outcomes cannot be used: {error}")
        return {}
    return _measure(
        lambda: outcomes.realise(
            desk.measures,
            sample.score,
            sample.target,
            evaluation=evaluation,
            answers=sample.label,
        )
    )


def _estimate(desk: Desk, rows: WindowRows, notes: list[str]) -> Mapping[str, Estimate]:
    if desk.settings.performance.get(ESTIMATE) is None:
        return {}
    calibration = desk.reference.profile.calibration
    if calibration is None:
        notes.append(
            "Nothing is estimated: the profile has no calibration (`modelci profile DATA "
            "--predictions FILE` makes one)."
        )
        return {}
    scores = rows.scores[np.isfinite(rows.scores)]
    return _measure(
        lambda: outcomes.estimate(desk.measures, scores, calibration, evaluation=desk.evaluation)
    )


def _measure(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise ConfigError(
            f"monitor.performance: {error}.", hint="Name measures that docs/evidence.md lists."
        ) from error


def _ask_again(desk: Desk, rows: WindowRows, notes: list[str]) -> Skew | None:
    try:
        return ask_again(
            desk.settings,
            desk.config,
            desk.reference,
            rows.sample,
            bring=desk.bring,
            asker=desk.asker,
        )
    except ModelCIError as error:
        notes.append(f"Logged answers were not held against the tagged model: {error}")
        return None
