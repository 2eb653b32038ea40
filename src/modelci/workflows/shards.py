"""A pipeline spread over CI jobs: what each runs, and what came of all of them together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modelci.documents import codec
from modelci.domain.pipeline import PlannedState, Run, RunOptions, StageStatus
from modelci.domain.waves import Shard, Share, find_waves, merge_parts, runs_of, share_out
from modelci.errors import ConfigError, UsageError
from modelci.ports import Git, Pipeline, Progress
from modelci.workflows.run import run_pipeline

_THERE = (PlannedState.UNCHANGED, PlannedState.RESTORE, PlannedState.FROZEN)


def share_waves(
    pipeline: Pipeline, targets: Sequence[str], jobs: int, last_seconds: Mapping[str, float]
) -> tuple[tuple[Share, ...], ...]:
    """Return each wave's shares, at most ``jobs`` of them; the same in every clone of a commit."""
    waves = find_waves(pipeline.outdated(targets, recorded=False))
    return tuple(
        share_out(number, stages, jobs, last_seconds) for number, stages in enumerate(waves, 1)
    )


def run_shard(
    shard: Shard,
    *,
    wave: int | None,
    git: Git,
    pipeline: Pipeline,
    progress: Progress,
    now: Callable[[], str],
    version: str,
    targets: Sequence[str] = (),
    options: RunOptions,
) -> tuple[int, Run]:
    """Run one job's share of a wave (None: the first that is not done) and push what it makes.

    Returns the wave's number, 0 where nothing is left to do, and what came of the share.
    """
    if not options.record:
        raise ConfigError(
            "Jobs hand each other their results through the run cache, which is not written here.",
            hint="Set run.run_cache to `on` for this event, with a remote that it may write.",
        )
    _require_committed_lock(git)
    waves = find_waves(pipeline.outdated(targets, recorded=False))
    number = wave or _current(pipeline, targets, waves)
    stages = waves[number - 1] if 0 < number <= len(waves) else ()
    shares = share_out(number, stages, shard.of, options.last_seconds)
    mine = shares[shard.number - 1].stages if shard.number <= len(shares) else ()
    if not mine:
        head = git.head()
        return number, Run(
            revision=head.sha if head else None,
            dirty=git.is_dirty(),
            started=now(),
            seconds=0.0,
            stages=(),
            version=version,
        )
    everything = frozenset(name for stages in waves for name in stages)
    run = run_pipeline(
        git=git,
        pipeline=pipeline,
        progress=progress,
        now=now,
        version=version,
        targets=mine,
        options=replace(
            options, pull=True, push=True, keep_going=True, others=everything - set(mine)
        ),
    )
    return number, _own_part(run, frozenset(mine))


def _require_committed_lock(git: Git) -> None:
    """Refuse a ``dvc.lock`` that an earlier job has written here: all jobs must see the same."""
    head = git.head()
    changed = git.changed_files(head.sha, None) if head else ()
    lock = next((one.path for one in changed if one.path.rpartition("/")[2] == "dvc.lock"), None)
    if lock is not None:
        raise UsageError(
            f"{lock} is not as the commit has it: this job would count other waves than the rest.",
            hint=f"Give each job a clean checkout, or `git checkout -- '{lock}'` first.",
        )


def _own_part(run: Run, mine: frozenset[str]) -> Run:
    """Return what came of the share; what went wrong with stages before it is the run's error."""
    strangers = [stage for stage in run.failed if stage.name not in mine]
    reasons = [f"{one.name}: {' '.join(one.log_tail.split())}" for one in strangers]
    return replace(
        run,
        stages=tuple(stage for stage in run.stages if stage.name in mine),
        error=run.error or "; ".join(reasons) or None,
    )


def _current(pipeline: Pipeline, targets: Sequence[str], waves: Sequence[Sequence[str]]) -> int:
    """Return the first wave of which something is not in the remote yet; 0 if all is."""
    plan = pipeline.outdated(targets, recorded=True)
    there = {stage.name for stage in plan.stages if stage.state in _THERE}
    left = (number for number, stages in enumerate(waves, 1) if not there.issuperset(stages))
    return next(left, 0)


def collect(
    parts: Sequence[Run],
    *,
    git: Git,
    pipeline: Pipeline,
    progress: Progress,
    now: Callable[[], str],
    version: str,
    options: RunOptions,
) -> Run:
    """Restore what the jobs made, write dvc.lock, and return one document for all of them.

    A stage that failed in its job fails here; one that no job has run is run.
    """
    told = runs_of(parts)
    failures = {name: run for name, run in told.items() if run.status is StageStatus.FAILED}
    run = run_pipeline(
        git=git,
        pipeline=pipeline,
        progress=progress,
        now=now,
        version=version,
        options=replace(options, pull=True, keep_going=True, failures=failures),
    )
    return replace(run, stages=merge_parts(run.stages, parts))


def read_parts(paths: Sequence[Path], folder: Path, revision: str | None) -> tuple[Run, ...]:
    """Read the jobs' documents: ``paths``, or all below ``folder``. They are of one commit."""
    found = [path for path in paths if path.is_file()]
    found += [one for path in paths if path.is_dir() for one in sorted(path.rglob("*.json"))]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UsageError(f"{missing[0]} does not exist.", hint="Fetch the jobs' artifacts first.")
    parts = [codec.read(Run, path) for path in (found if paths else sorted(folder.rglob("*.json")))]
    strangers = {part.revision for part in parts} - {revision}
    if strangers:
        raise ConfigError(
            f"A part is of commit {strangers.pop()}, and this checkout of {revision}.",
            hint="Check out the same commit in every job.",
        )
    return tuple(parts)
