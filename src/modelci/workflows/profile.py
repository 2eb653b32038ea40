"""``modelci profile``: what a model was trained on and what it answered, as a document."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from modelci.analysis.measures import measures_for
from modelci.analysis.outcomes import calibrate, realise
from modelci.analysis.predictions import Sample, read_sample
from modelci.analysis.sketch import Sketch
from modelci.domain.evaluation import Evaluation, Task
from modelci.domain.profile import Calibration, ColumnProfile, Profile, Realised
from modelci.ports import MissingDataError, RowCounter, RowScanner

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOptions:
    """``id`` names the data's rows, and ``exclude`` are columns not to be watched.

    ``evaluation`` says what the predictions' columns are; with ``has_target`` they must hold the
    target, else they may. Measures are of ``most_judged`` predictions at most, spread over all:
    more would say the same.
    """

    id: str | None = None
    exclude: tuple[str, ...] = ()
    evaluation: Evaluation | None = None
    has_target: bool = False
    most_judged: int = 200_000


def make_profile(
    data: str, *, scanner: RowScanner, counter: RowCounter, options: ProfileOptions
) -> Profile:
    """Return the reference profile of a model that was trained on ``data``.

    The same files give the same profile, also where several processes count. Raises
    MissingDataError for data or predictions that cannot be read or lack a column.
    """
    ignore = frozenset(options.exclude)
    profile = counter.count(data, Sketch(id=options.id, ignore=ignore)).profile()
    _check(profile, data, options)
    hashes = scanner.hashes(data)
    if options.evaluation is None:
        return replace(profile, hashes=hashes)
    answers = _read_answers(scanner, options.evaluation, options)
    return replace(
        profile,
        scores=answers.scores,
        threshold=answers.threshold,
        chosen=answers.chosen,
        target_rate=answers.rate,
        calibration=answers.calibration,
        realised=answers.realised,
        hashes={**hashes, **scanner.hashes(options.evaluation.predictions)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    scores: ColumnProfile | None
    threshold: float | None
    chosen: float | None
    rate: float | None = None
    calibration: Calibration | None = None
    realised: Mapping[str, Realised]


def _check(profile: Profile, data: str, options: ProfileOptions) -> None:
    """Refuse what nothing could be compared with."""
    names = [column.name for column in profile.columns]
    if not profile.rows:
        raise MissingDataError(
            f"{data} has no rows to profile.",
            hint="Name the data that the model was trained on.",
        )
    if options.id is not None and options.id not in names:
        raise MissingDataError(
            f"{data} has no column {options.id!r}, which is to name its rows.",
            hint=f"It has {', '.join(names[:20])}. Say --id NAME, or leave it out.",
        )


def _read_answers(scanner: RowScanner, evaluation: Evaluation, options: ProfileOptions) -> _Answers:
    score = str(evaluation.score)
    is_binary = evaluation.task is Task.BINARY
    names = _names(scanner, evaluation.predictions)
    is_labelled = options.has_target or evaluation.target in names
    columns = [score, *([evaluation.target] if is_labelled else [])]
    sketch = Sketch(score=score, threshold=evaluation.threshold if is_binary else None)
    for batch in scanner.scan(evaluation.predictions, columns=columns):
        sketch.add(batch)
    profile = sketch.profile()
    answers = _Answers(
        scores=profile.scores, threshold=profile.threshold, chosen=profile.chosen, realised={}
    )
    if not is_labelled or not profile.rows:
        return answers
    step = -(-profile.rows // options.most_judged)
    frame = _spread(scanner, evaluation.predictions, columns, step)
    return _judged(answers, frame, evaluation)


def _spread(scanner: RowScanner, location: str, columns: list[str], step: int) -> "DataFrame":
    """Return each ``step``-th of the predictions."""
    done, frames = 0, []
    for batch in scanner.scan(location, columns=columns):
        frames.append(batch.to_pandas().iloc[-done % step :: step])
        done += batch.num_rows
    found: DataFrame = pd.concat([one for one in frames if len(one)], ignore_index=True)
    return found


def _names(scanner: RowScanner, location: str) -> tuple[str, ...]:
    first = next(scanner.scan(location), None)
    return () if first is None else tuple(first.schema.names)


def _judged(answers: _Answers, frame: "DataFrame", evaluation: Evaluation) -> _Answers:
    sample = _sample(frame, evaluation)
    is_binary = evaluation.task is Task.BINARY
    return replace(
        answers,
        rate=float(sample.target.mean()) if is_binary else None,
        calibration=calibrate(sample.score, sample.target) if is_binary else None,
        realised=realise(
            measures_for(evaluation.task), sample.score, sample.target, evaluation=evaluation
        ),
    )


def _sample(frame: "DataFrame", evaluation: Evaluation) -> Sample:
    """Return the predictions; their ids are of no matter here."""
    row = f"{evaluation.score} {evaluation.target} row"
    try:
        return read_sample(frame.assign(**{row: frame.index}), replace(evaluation, id=row))
    except ValueError as error:
        raise MissingDataError(
            f"{evaluation.predictions} cannot be used: {error}.",
            hint="Say what its columns are with --score, --target, --positive and --task.",
        ) from error
