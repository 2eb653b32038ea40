"""``modelci history``: how metrics went over the commits of a branch, or over versions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from modelci.config.model import Config
from modelci.domain.history import History, HistoryPoint, MetricHistory
from modelci.domain.metrics import DirectionResolver, MetricKey, MetricValue, matches
from modelci.domain.registry import ArtifactState, fold_registry
from modelci.errors import ConfigError, UsageError
from modelci.ports import Git, SnapshotReader

_MOST_IN_REPORT = 100  # metrics; a report is no archive
_MOST_NOTES = 3

Metrics = Mapping[MetricKey, MetricValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A commit on the way, and what to call it."""

    sha: str
    name: str
    seconds: int
    subject: str = ""


def commit_history(
    git: Git,
    reader: SnapshotReader,
    config: Config,
    metric: str,
    *,
    last: int,
    branch: str | None = None,
) -> History:
    """Return the metrics that a name or glob means, over a branch's own last commits.

    Default: of the default branch. UsageError where no commit has such a metric.
    """
    name, ref = _branch(git, config, branch)
    stops = _commits(git, ref, last)
    walked = _walk(git, reader, stops)
    plural = "" if len(stops) == 1 else "s"
    return History(
        of=f"The last {len(stops):,} commit{plural} of {name}",
        metrics=_meant(walked, config, metric, f"in the last commits of {name}"),
        notes=(*_cut(git, len(stops), last), *walked.notes),
    )


def version_history(
    git: Git,
    reader: SnapshotReader,
    config: Config,
    metric: str,
    *,
    last: int,
    artifact: str | None = None,
) -> History:
    """Return the metrics that a name or glob means, over an artifact's active versions.

    They come in the order of their numbers. Without ``artifact`` there must be just one.
    """
    state = _artifact(git, artifact)
    active = [one for one in reversed(state.versions) if one.active][-last:]
    if not active:
        raise UsageError(
            f"{state.name} has no active version.", hint="`modelci registry` shows what there is."
        )
    stops = [
        Stop(
            sha=one.commit,
            name=f"v{one.version}",
            seconds=one.seconds,
            subject=one.message.partition("\n")[0],
        )
        for one in active
    ]
    walked = _walk(git, reader, stops)
    plural = "" if len(stops) == 1 else "s"
    return History(
        of=f"The last {len(stops):,} version{plural} of {state.name}",
        metrics=_meant(walked, config, metric, f"in the versions of {state.name}"),
        notes=walked.notes,
    )


def gather_history(
    git: Git,
    reader: SnapshotReader,
    config: Config,
    keys: Iterable[MetricKey],
    *,
    until: str,
) -> tuple[MetricHistory, ...]:
    """Return how metrics went before a report's head: up to the base ``until``, by first parents.

    Those first named count, at most 100. Nothing where there is no way to show: in a shallow
    clone, say.
    """
    wanted = list(dict.fromkeys(keys))[:_MOST_IN_REPORT]
    if config.report.history < 2 or not wanted:
        return ()
    stops = _commits(git, until, config.report.history)
    if len(stops) < 2:
        return ()
    walked = _walk(git, reader, stops)
    return tuple(
        one
        for one in _histories(walked, wanted, config)
        if sum(point.value is not None for point in one.points) > 1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walked:
    """Each commit's metrics, the oldest commit first; none where they could not be read."""

    stops: Sequence[Stop]
    metrics: Sequence[Metrics]
    notes: tuple[str, ...]


def _walk(git: Git, reader: SnapshotReader, stops: Sequence[Stop]) -> _Walked:
    found: list[Metrics] = []
    troubles: list[str] = []
    trees = (git.tree(stop.sha) for stop in stops)
    for stop, metrics in zip(stops, reader.metrics(trees), strict=True):
        if isinstance(metrics, ConfigError):
            troubles.append(f"{stop.name} was left out: {metrics}")
            found.append({})
        else:
            found.append(metrics)
    return _Walked(stops=stops, metrics=found, notes=_shortened(troubles))


def _shortened(troubles: Sequence[str]) -> tuple[str, ...]:
    more = len(troubles) - _MOST_NOTES
    rest = (f"{more:,} more were left out",) if more > 0 else ()
    return (*troubles[:_MOST_NOTES], *rest)


def _meant(walked: _Walked, config: Config, metric: str, where: str) -> tuple[MetricHistory, ...]:
    known = dict.fromkeys(key for metrics in reversed(walked.metrics) for key in metrics)
    keys = [key for key in known if matches(metric, key)]
    if not keys:
        near = get_close_matches(metric, [key.name for key in known], n=3, cutoff=0.5)
        names = near or sorted({key.name for key in known})[:3]
        raise UsageError(
            f"There is no metric {metric!r} {where}.",
            hint=f"There are, say, {', '.join(names)}." if names else "They hold no metrics.",
        )
    return _histories(walked, sorted(keys, key=lambda key: (key.path, key.name)), config)


def _histories(
    walked: _Walked, keys: Sequence[MetricKey], config: Config
) -> tuple[MetricHistory, ...]:
    direction = DirectionResolver(config.metrics)
    return tuple(
        MetricHistory(
            key=key,
            direction=direction(key),
            points=tuple(
                HistoryPoint(
                    sha=stop.sha,
                    name=stop.name,
                    seconds=stop.seconds,
                    value=metrics.get(key),
                    subject=stop.subject,
                )
                for stop, metrics in zip(walked.stops, walked.metrics, strict=True)
            ),
        )
        for key in keys
    )


def _commits(git: Git, ref: str, last: int) -> list[Stop]:
    """Return the last commits of a branch, the oldest first."""
    return [
        Stop(sha=one.sha, name=one.sha[:7], seconds=one.seconds, subject=one.subject)
        for one in reversed(git.first_parents(ref, limit=last))
    ]


def _branch(git: Git, config: Config, branch: str | None) -> tuple[str, str]:
    if branch is not None:
        return branch, branch
    found = git.default_branch(config.default_branch)
    if found is None:
        raise UsageError(
            "The default branch is not known.",
            hint="Name one with --branch, or set default_branch in modelci.yaml.",
        )
    return found


def _cut(git: Git, found: int, asked: int) -> tuple[str, ...]:
    if found >= asked or not git.is_shallow():
        return ()
    cure = "give the checkout its history (actions/checkout: `fetch-depth: 0`)"
    return (f"This clone is shallow and has only {found:,} of {asked:,} commits: {cure}.",)


def _artifact(git: Git, name: str | None) -> ArtifactState:
    states = fold_registry(git.tags(None if name is None else [name]))
    if len(states) == 1:
        return states[0]
    if not states:
        what = f"an artifact {name!r}" if name else "any artifact"
        raise UsageError(
            f"No tag of this clone speaks of {what}.",
            hint="`git fetch --tags` brings the remote's tags.",
        )
    names = ", ".join(state.name for state in states[:5])
    raise UsageError(
        f"There are {len(states):,} artifacts.", hint=f"Name one: --versions NAME, of {names}."
    )
