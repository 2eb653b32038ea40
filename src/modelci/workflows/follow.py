"""``modelci deploy --poll``: looks at the remote's tags again and again, and deploys what moves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modelci.domain.deployment import Deployment, DeployOutcome
from modelci.domain.orders import Wanted, holder_of
from modelci.domain.tags import Action, TagName
from modelci.errors import ModelCIError, UsageError
from modelci.ports import Git, Progress

_LONGEST = 3600.0
_MOST_DOUBLINGS = 10


class Bell(Protocol):
    """Wakes a wait: when there is news, or when it is time to stop."""

    @property
    def is_stopped(self) -> bool:
        """Whether it is time to stop."""

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the bell is rung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What is followed: one wish (``wanted``), or all that is assigned to these ``stages``.

    ``every`` is how many seconds pass between two looks.
    """

    every: float
    wanted: Wanted | None = None
    stages: tuple[str, ...] = ()


@dataclass(slots=True)
class _Seen:
    """What is known of one wish: the tags that it was decided from, and when to try again."""

    tags: frozenset[tuple[str, str]] = frozenset()
    failures: int = 0
    again: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Follows the remote's tags until the ``bell`` says stop; no error ends it, once it began.

    ``deploy`` brings a wish to the target. ``tell`` hears of each deployment that did something.
    """

    git: Git
    deploy: Callable[[Wanted], Deployment]
    tell: Callable[[Deployment], None]
    progress: Progress
    clock: Callable[[], float]
    bell: Bell
    seen: dict[Wanted, _Seen] = field(default_factory=dict)

    def follow(self, what: Round) -> None:
        """Look, deploy what moved, and wait, in turn.

        One cheap question is asked of the remote each time. What fails is tried again after longer
        and longer (an hour at most), or at once when its tags have changed. Raises UsageError
        where there is no remote to begin with.
        """
        self._remote()
        failures = 0
        while not self.bell.is_stopped:
            try:
                self._look(what)
            except ModelCIError as error:
                failures += 1
                self.progress.warn(f"{error} {error.hint or ''}".strip())
            except KeyboardInterrupt:
                if not self.bell.is_stopped:
                    raise
                return
            else:
                failures = 0
            self.bell.wait(_longer(what.every, failures))

    def _remote(self) -> str:
        remote = self.git.remote()
        if remote is None:
            raise UsageError(
                "This repository has no remote to follow.", hint="`git remote add origin URL`."
            )
        return remote

    def _look(self, what: Round) -> None:
        remote = self._remote()
        artifacts = [what.wanted.artifact] if what.wanted else None
        ids = self.git.tag_ids(artifacts, remote=remote)
        by_artifact = _group(ids)
        for wanted in [what.wanted] if what.wanted else _wishes(ids, what.stages):
            if self.bell.is_stopped:
                return
            tags = frozenset(by_artifact.get(wanted.artifact, ()))
            if self._is_due(wanted, tags):
                self._deploy(wanted, tags, what.every)

    def _is_due(self, wanted: Wanted, tags: frozenset[tuple[str, str]]) -> bool:
        seen = self.seen.setdefault(wanted, _Seen())
        is_time = seen.again is not None and self.clock() >= seen.again
        return tags != seen.tags or is_time

    def _deploy(self, wanted: Wanted, tags: frozenset[tuple[str, str]], every: float) -> None:
        seen = self.seen[wanted]
        if tags != seen.tags:
            seen.failures = 0
        seen.tags, seen.again = tags, None
        try:
            done = self.deploy(wanted)
        except UsageError as error:  # nothing holds the stage: news will come by tags
            self.progress.note(f"{error} What runs is left as it is.")
            return
        except ModelCIError as error:
            self.progress.warn(f"{error} {error.hint or ''}".strip())
            is_well = False
        else:
            is_well = done.outcome in {DeployOutcome.DEPLOYED, DeployOutcome.UNCHANGED}
            if done.outcome is not DeployOutcome.UNCHANGED:
                self.tell(done)
            if not is_well:
                self.progress.warn(f"{done.reason} {done.hint or ''}".strip())
        if not is_well:
            seen.failures += 1
            seen.again = self.clock() + _longer(every, seen.failures)


def _longer(every: float, failures: int) -> float:
    """Return twice as long for each failure, an hour at most."""
    longest = max(every, _LONGEST)
    return float(min(every * 2 ** min(failures, _MOST_DOUBLINGS), longest))


def _group(ids: Mapping[str, str]) -> Mapping[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for tag, oid in ids.items():
        name = TagName.parse(tag)
        if name is not None:
            found.setdefault(name.artifact, []).append((tag, oid))
    return found


def _wishes(ids: Mapping[str, str], stages: Sequence[str]) -> Iterator[Wanted]:
    """Yield the artifacts that were ever assigned to these stages."""
    names = filter(None, (TagName.parse(tag) for tag in sorted(ids)))
    pairs = dict.fromkeys(
        (name.artifact, name.stage)
        for name in names
        if name.action is Action.ASSIGN and name.stage in stages
    )
    for artifact, stage in pairs:
        yield holder_of(artifact, stage or "")
