"""Loads a model and holds it to its golden requests: the answers, the environment, the time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from modelci.domain.golden import Golden, Health, compare_answers, find_skew
from modelci.errors import ModelCIError
from modelci.modelfiles.answers import answer
from modelci.modelfiles.environment import installed
from modelci.modelfiles.predictor import Predictor

_SINGLES = 100
_SECONDS = 2.0  # for all of them: a slow model is timed less often
_ROUNDS = 5
_REST_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopwatch:
    """Time as it passes: ``now`` gives seconds that only grow, ``rest`` waits for some."""

    now: Callable[[], float] = time.perf_counter
    rest: Callable[[float], None] = time.sleep


def check_health(
    load: Callable[[], Predictor],
    golden: Golden | None,
    *,
    max_latency_ms: float | None = None,
    watch: Stopwatch | None = None,
) -> Health:
    """Load a model, replay its golden requests, and say what came of it.

    All of them are asked at once, and each by itself: the answers must be those that were
    recorded, within the tolerance. ``max_latency_ms`` bounds the 99th percentile of single rows,
    after a warm-up: of the best of five rounds, for a model that is too slow is so in each, and
    one beside a busy neighbour is not. Without ``golden`` it is only loaded. What fails is a
    problem, not an error.
    """
    watch = watch or Stopwatch()
    began = watch.now()
    try:
        predictor = load()
    except ModelCIError as error:
        hint = f" {error.hint}" if error.hint else ""
        return Health(ok=False, problems=(f"{error}{hint}",))
    found = _Findings(load_seconds=watch.now() - began)
    if golden is not None:
        _replay(predictor, golden, found)
        if not found.problems:
            _time(predictor, golden, max_latency_ms, watch, found)
    return Health(
        ok=not found.problems,
        problems=tuple(found.problems),
        rows=len(golden.requests) if golden else 0,
        worst=found.worst,
        load_seconds=found.load_seconds,
        p50_ms=found.p50_ms,
        p99_ms=found.p99_ms,
        environment=installed(golden.environment) if golden else None,
    )


@dataclass(slots=True)
class _Findings:
    load_seconds: float
    problems: list[str] = field(default_factory=list)
    worst: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


def _replay(predictor: Predictor, golden: Golden, found: _Findings) -> None:
    found.problems += find_skew(golden.environment, installed(golden.environment))
    try:
        together = answer(predictor, golden.requests)
        alone = tuple(answer(predictor, [row])[0] for row in golden.requests)
    except Exception as error:  # noqa: BLE001 - whatever a model makes of a row
        found.problems.append(_failure(error))
        return
    for answers, how in ((together, ""), (alone, "asked alone, ")):
        worst, problems = compare_answers(golden.responses, answers, tolerance=golden.tolerance)
        found.worst = worst if found.worst is None else max(found.worst, worst or 0.0)
        found.problems += [f"{how}{one}" for one in problems]
        if problems:
            break


def _failure(error: Exception) -> str:
    said = " ".join(str(error).split())[:300]
    return f"it fails on a golden request: {type(error).__name__}: {said}"


def _time(
    predictor: Predictor,
    golden: Golden,
    max_latency_ms: float | None,
    watch: Stopwatch,
    found: _Findings,
) -> None:
    """Time single rows, once more where they took too long, and let the best round count."""
    for number in range(_ROUNDS if max_latency_ms is not None else 1):
        if number:
            watch.rest(_REST_SECONDS)
        try:
            latencies = list(_ask_singly(predictor, golden, watch))
        except Exception as error:  # noqa: BLE001 - as above: it may fail now and then
            found.problems.append(_failure(error))
            return
        if not latencies:
            return
        p50, p99 = (float(one) for one in np.percentile(latencies, [50, 99]))
        if found.p99_ms is None or p99 < found.p99_ms:
            found.p50_ms, found.p99_ms = p50, p99
        if max_latency_ms is None or p99 <= max_latency_ms:
            return
    found.problems.append(
        f"a row takes {found.p99_ms:.3g} ms (99th percentile, the best of {_ROUNDS} rounds), "
        f"allowed {max_latency_ms:.3g}"
    )


def _ask_singly(predictor: Predictor, golden: Golden, watch: Stopwatch) -> Iterator[float]:
    """Yield how long single requests take, in ms, for so many of them or so many seconds."""
    ends = watch.now() + _SECONDS
    for number in range(_SINGLES if golden.requests else 0):
        began = watch.now()
        answer(predictor, [golden.requests[number % len(golden.requests)]])
        ended = watch.now()
        yield (ended - began) * 1000
        if ended > ends:
            return
