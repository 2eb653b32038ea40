"""Loads a model and holds it to its golden requests: the answers, the environment, the time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from modelci.domain.golden import Answer, Golden, Health, compare_answers, find_skew
from modelci.errors import ModelCIError
from modelci.modelfiles.answers import answer
from modelci.modelfiles.environment import installed
from modelci.modelfiles.predictor import Predictor

_SINGLES = 100
_SECONDS = 2.0  # for all of them: a slow model is timed less often


def check_health(
    load: Callable[[], Predictor], golden: Golden | None, *, max_latency_ms: float | None = None
) -> Health:
    """Load a model, replay its golden requests, and say what came of it.

    All of them are asked at once, and each by itself: the answers must be those that were
    recorded, within the tolerance. ``max_latency_ms`` bounds the 99th percentile of single rows,
    after a warm-up. Without ``golden`` it is only loaded. What fails is a problem, not an error.
    """
    began = time.perf_counter()
    try:
        predictor = load()
    except ModelCIError as error:
        hint = f" {error.hint}" if error.hint else ""
        return Health(ok=False, problems=(f"{error}{hint}",))
    found = _Findings(load_seconds=time.perf_counter() - began)
    if golden is not None:
        _replay(predictor, golden, max_latency_ms, found)
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


def _replay(
    predictor: Predictor, golden: Golden, max_latency_ms: float | None, found: _Findings
) -> None:
    found.problems += find_skew(golden.environment, installed(golden.environment))
    try:
        together = answer(predictor, golden.requests)
        alone, latencies = _ask_singly(predictor, golden)
    except Exception as error:  # noqa: BLE001 - whatever a model makes of a row
        said = " ".join(str(error).split())[:300]
        found.problems.append(f"it fails on a golden request: {type(error).__name__}: {said}")
        return
    for answers, how in ((together, ""), (alone, "asked alone, ")):
        worst, problems = compare_answers(golden.responses, answers, tolerance=golden.tolerance)
        found.worst = worst if found.worst is None else max(found.worst, worst or 0.0)
        found.problems += [f"{how}{one}" for one in problems]
        if problems:
            break
    if latencies:
        found.p50_ms, found.p99_ms = (float(one) for one in np.percentile(latencies, [50, 99]))
        if max_latency_ms is not None and found.p99_ms > max_latency_ms:
            found.problems.append(
                f"a row takes {found.p99_ms:.3g} ms (99th percentile), allowed {max_latency_ms:.3g}"
            )


def _ask_singly(predictor: Predictor, golden: Golden) -> tuple[tuple[Answer, ...], list[float]]:
    """Return the answers to each request by itself, and the latencies of more of them, in ms."""
    alone = tuple(answer(predictor, [row])[0] for row in golden.requests)
    latencies: list[float] = []
    ends = time.perf_counter() + _SECONDS
    while golden.requests and len(latencies) < _SINGLES:
        began = time.perf_counter()
        answer(predictor, [golden.requests[len(latencies) % len(golden.requests)]])
        ended = time.perf_counter()
        latencies.append((ended - began) * 1000)
        if ended > ends:
            break
    return alone, latencies
