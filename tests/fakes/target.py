"""A target in memory that remembers what it was asked, and can be made to fail at any step."""
# ruff: noqa: ARG002

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelci.domain.deployment import Observation, Release, Running, TargetState, Trial
from modelci.domain.golden import Environment, Health
from modelci.errors import DeploymentError, TargetBusyError

WELL = Health(ok=True, rows=3, worst=0.0, p99_ms=1.5)


@dataclass(kw_only=True)
class FakeTarget:
    """Put in what it has; ``calls`` are what was asked for, in order.

    ``fails`` holds names of methods that raise, ``before`` is called with each name first.
    ``traffic`` are the observations to come (the last one stays; none: nothing is seen),
    ``busy`` how often the lock is taken by somebody else.
    """

    name: str = "prod"
    kind: str = "fake"
    state: TargetState = field(default_factory=TargetState)
    releases: dict[str, Release] = field(default_factory=dict)
    health: list[Health] = field(default_factory=lambda: [WELL])
    has: Environment | None = None
    traffic: list[Observation] = field(default_factory=list)
    busy: int = 0
    fails: set[str] = field(default_factory=set)
    before: Callable[[str], None] = field(default=lambda _: None)
    calls: list[str] = field(default_factory=list)
    is_locked: bool = False
    is_up: bool | None = None
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    pythons: dict[str, Path | None] = field(default_factory=dict)

    def _call(self, name: str, detail: str = "") -> None:
        self.before(name)
        self.calls.append(f"{name} {detail}".strip())
        if name in self.fails or f"{name} {detail}" in self.fails:
            raise DeploymentError(f"The fake target failed to {name}.", hint="Ask it why.")

    @contextmanager
    def lock(self) -> Iterator[None]:
        if self.busy:
            self.busy -= 1
            raise TargetBusyError("Target prod is being deployed to by anna.")
        assert not self.is_locked
        self.is_locked = True
        try:
            yield
        finally:
            self.is_locked = False

    def artifacts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.artifact for one in self.state.history))

    def read(self, artifact: str) -> TargetState:
        return self.state

    def release(self, artifact: str, release_id: str) -> Release | None:
        return self.releases.get(release_id)

    def answers(self, artifact: str) -> bool | None:
        return self.is_up

    def environment(self) -> Environment | None:
        return self.has

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> None:
        assert self.is_locked
        self._call("stage", release.id)
        self.files[release.id] = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self.releases[release.id] = release
        self.pythons[release.id] = python
        if release.id not in self.state.staged:
            self.state = replace(self.state, staged=(release.id, *self.state.staged))

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        self._call("check", release.id)
        return self.health.pop(0) if len(self.health) > 1 else self.health[0]

    def switch(self, running: Running) -> None:
        assert self.is_locked
        assert running.release in self.state.staged
        self._call("switch", running.release)
        now = self.state.running
        history = self.state.history
        if now and (now.release, now.tag, now.since) == (
            running.release,
            running.tag,
            running.since,
        ):
            history = history[1:]
        previous = now if now and now.release != running.release else self.state.previous
        self.state = replace(
            self.state,
            running=running,
            previous=previous,
            history=(running, *history),
            trial=None,
        )

    def try_out(self, release: Release, *, share: float, shadow: bool) -> None:
        assert self.is_locked
        self._call("try_out", f"{release.id} {share:g}{' shadow' * shadow}")
        tried = share or shadow
        trial = Trial(release=release.id, share=share, shadow=shadow) if tried else None
        self.state = replace(self.state, trial=trial)

    def observe(self, release: Release, *, seconds: float) -> Observation | None:
        self._call("observe")
        if not self.traffic:
            return None
        return self.traffic.pop(0) if len(self.traffic) > 1 else self.traffic[0]

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        assert self.is_locked
        self._call("prune", str(keep))
        return ()
