"""Which stage to start next: what is ready, fits, and has the longest way still behind it."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a stage declares: ``memory`` in bytes, ``timeout`` in seconds for one attempt.

    Stages that name the same ``exclusive`` never run at the same time; ``env`` are variables that
    must be set; ``retries`` is how often a stage that failed is run again.
    """

    cpus: float = 1.0
    memory: int = 0
    gpus: int = 0
    exclusive: str | None = None
    timeout: float | None = None
    retries: int = 0
    env: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What there is to share: ``cpus`` is the number of jobs, ``memory`` in bytes."""

    cpus: float
    memory: int
    gpus: int = 0

    def lack(self, needs: Needs) -> str | None:
        """Say what can never be had here; more CPUs than there are is no lack, all will do."""
        if needs.memory > self.memory:
            return f"needs {_gigabytes(needs.memory)} of memory, and there are " + _gigabytes(
                self.memory
            )
        if needs.gpus > self.gpus:
            return f"needs {needs.gpus} GPUs, and there are {self.gpus}"
        return None


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:,.1f} GB".replace(".0 GB", " GB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A stage by its place in a list: ``after`` are the places of those it waits for."""

    after: tuple[int, ...] = ()
    needs: Needs = field(default_factory=Needs)
    seconds: float = 1.0


class Schedule:
    """Hands out tasks, each once all before it have ended; frees what they held as they end.

    With one job the order is that of the list, just as ``dvc repro`` goes through it. With more,
    the task that has the longest chain of work behind it comes first; one that does not fit now
    lets smaller ones pass. A task that asks for more CPUs than there are waits for all of them.
    """

    def __init__(self, tasks: Sequence[Task], capacity: Capacity) -> None:
        self._tasks = tasks
        self._waits = [len(task.after) for task in tasks]
        self._followers: list[list[int]] = [[] for _ in tasks]
        for number, task in enumerate(tasks):
            for before in task.after:
                self._followers[before].append(number)
        self._capacity = capacity
        self._cpus, self._memory, self._gpus = capacity.cpus, capacity.memory, capacity.gpus
        self._exclusive: set[str] = set()
        self._ways = [0.0] * len(tasks) if capacity.cpus <= 1 else ways(tasks, self._followers)
        self._ready = [(-self._ways[n], n) for n, waits in enumerate(self._waits) if not waits]
        heapq.heapify(self._ready)

    def take(self) -> int | None:
        """Return the next task to start, None if none can start now."""
        passed: list[tuple[float, int]] = []
        found = None
        while self._ready and self._cpus > 0:
            entry = heapq.heappop(self._ready)
            if self._fits(entry[1]):
                found = entry[1]
                break
            passed.append(entry)
        for entry in passed:
            heapq.heappush(self._ready, entry)
        if found is not None:
            self._hold(found, -1)
        return found

    def end(self, number: int) -> None:
        """Take back what the task held, and let those after it be ready."""
        self._hold(number, 1)
        for follower in self._followers[number]:
            self._waits[follower] -= 1
            if not self._waits[follower]:
                heapq.heappush(self._ready, (-self._ways[follower], follower))

    def _fits(self, number: int) -> bool:
        needs = self._tasks[number].needs
        return (
            self._cpus_of(needs) <= self._cpus
            and min(needs.memory, self._capacity.memory) <= self._memory
            and min(needs.gpus, self._capacity.gpus) <= self._gpus
            and needs.exclusive not in self._exclusive
        )

    def _hold(self, number: int, sign: int) -> None:
        needs = self._tasks[number].needs
        self._cpus += sign * self._cpus_of(needs)
        self._memory += sign * min(needs.memory, self._capacity.memory)
        self._gpus += sign * min(needs.gpus, self._capacity.gpus)
        if needs.exclusive is not None:
            (self._exclusive.add if sign < 0 else self._exclusive.discard)(needs.exclusive)

    def _cpus_of(self, needs: Needs) -> float:
        return min(needs.cpus, self._capacity.cpus)


def ways(tasks: Sequence[Task], followers: Sequence[Sequence[int]]) -> list[float]:
    """Return for each task the seconds of the longest chain that begins with it.

    A task comes after all it waits for, so one pass from the end is enough.
    """
    found = [0.0] * len(tasks)
    for number in range(len(tasks) - 1, -1, -1):
        behind = max((found[follower] for follower in followers[number]), default=0.0)
        found[number] = tasks[number].seconds + behind
    return found


def expected_seconds(names: Sequence[str], last: Mapping[str, float]) -> list[float]:
    """Return how long each stage may take: as last time, or as the middle one of those known."""
    known = sorted(last.values())
    usual = known[len(known) // 2] if known else 1.0
    return [last.get(name, usual) for name in names]
