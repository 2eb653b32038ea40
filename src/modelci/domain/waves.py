"""A pipeline spread over CI jobs: waves of stages that can run at once, and each job's share.

Every job works out the same waves and shares by itself, from the commit alone: what other jobs have
pushed by then changes nothing.
"""

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from modelci.domain.pipeline import Plan, PlannedState, Run, StageRun, StageStatus

_TO_RUN = frozenset({PlannedState.RUN, PlannedState.DEPENDS})
_SHARD = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})")
_DONE = frozenset({StageStatus.RESTORED, StageStatus.UNCHANGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One job of a wave: the ``number``-th of ``of``, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``2/5``, or raise ValueError saying what is wrong with it."""
        found = _SHARD.fullmatch(text)
        if not found or int(found[1]) > int(found[2]):
            raise ValueError(f"{text!r} is no shard: 1/3 is the first of three")
        return cls(number=int(found[1]), of=int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one job of a wave runs; ``wave`` counts from 1, ``seconds`` is what it may take."""

    wave: int
    shard: Shard
    stages: tuple[str, ...]
    seconds: float


def find_waves(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Return the stages to run, in waves: each reads only what waves before it write."""
    depths: dict[str, int] = {}
    found: list[list[str]] = []
    for stage in plan.stages:
        before = max((depths[name] for name in stage.after if name in depths), default=0)
        depths[stage.name] = before
        if stage.state in _TO_RUN:
            depths[stage.name] = before + 1
            found += [[] for _ in range(before + 1 - len(found))]
            found[before].append(stage.name)
    return tuple(map(tuple, found))


def share_out(
    wave: int, stages: Sequence[str], jobs: int, last_seconds: Mapping[str, float]
) -> tuple[Share, ...]:
    """Divide a wave among at most ``jobs`` jobs, none empty: the longest stage to the idlest job.

    A stage that nobody has timed is taken to be a middling one.
    """
    known = sorted(last_seconds[name] for name in stages if name in last_seconds)
    usual = known[len(known) // 2] if known else 1.0
    seconds = {name: last_seconds.get(name, usual) for name in stages}
    count = min(jobs, len(stages))
    shares: list[list[str]] = [[] for _ in range(count)]
    idlest = [(0.0, 0, number) for number in range(count)]
    for name in sorted(stages, key=lambda name: (-seconds[name], name)):
        load, held, number = heapq.heappop(idlest)
        shares[number].append(name)
        heapq.heappush(idlest, (load + seconds[name], held + 1, number))
    return tuple(
        Share(
            wave=wave,
            shard=Shard(number=number, of=count),
            stages=tuple(name for name in stages if name in names),
            seconds=sum(seconds[name] for name in names),
        )
        for number, names in enumerate(shares, 1)
    )


def merge_parts(collected: Iterable[StageRun], parts: Iterable[Run]) -> tuple[StageRun, ...]:
    """Return what came of every stage, whichever job ran it.

    What was restored here but ran in a part is as the part tells it.
    """
    told = runs_of(parts)
    return tuple(
        replace(told[run.name], outputs=run.outputs, start_seconds=None)
        if run.status in _DONE and run.name in told
        else run
        for run in collected
    )


def runs_of(parts: Iterable[Run]) -> dict[str, StageRun]:
    """Return what the parts tell of stages that they ran: of two the one that succeeded."""
    found: dict[str, StageRun] = {}
    for run in (run for part in parts for run in part.stages):
        is_better = run.name not in found or found[run.name].status is StageStatus.FAILED
        if run.status is StageStatus.RAN or (run.status is StageStatus.FAILED and is_better):
            found[run.name] = run
    return found
