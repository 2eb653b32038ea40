"""``modelci run``: run the pipeline of this checkout and write down what happened."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from modelci.config.model import RunCache, RunConfig
from modelci.documents import codec
from modelci.domain.pipeline import Run, RunOptions, StageStatus
from modelci.errors import ConfigError, NoPipelineError, PipelineError
from modelci.ports import Git, Pipeline, Progress, StageExecutor

_DEFAULTS = RunOptions()


def run_pipeline(
    *,
    git: Git,
    pipeline: Pipeline,
    progress: Progress,
    now: Callable[[], str],
    version: str,
    targets: Sequence[str] = (),
    options: RunOptions = _DEFAULTS,
    executor: StageExecutor | None = None,
    is_needed: bool = True,
) -> Run:
    """Run what is out of date; a stage that fails is in the document, and nothing is lost.

    Stages run on ``executor`` where that is possible (None: all of them here). A push that fails is
    written down as the run's ``error``: the results are still here. Raises NoPipelineError where
    there are no stages; where a run is not ``is_needed`` it is a run of none.
    """
    head = git.head()
    dirty = git.is_dirty()
    started, clock = now(), time.monotonic()
    if executor is not None:  # other machines leave what they make in the remote
        options = replace(options, pull=True)
    try:
        stages = pipeline.run(targets, options, progress=progress, executor=executor)
    except NoPipelineError as nothing:
        if is_needed:
            raise
        progress.note(f"{nothing} Nothing is run.")
        stages, options = (), replace(options, push=False)
    pushed, error = _push(pipeline, options, progress) if options.push else (None, None)
    return Run(
        revision=head.sha if head else None,
        dirty=dirty,
        started=started,
        seconds=round(time.monotonic() - clock, 3),
        stages=stages,
        pushed=pushed,
        error=error,
        version=version,
    )


def _push(
    pipeline: Pipeline, options: RunOptions, progress: Progress
) -> tuple[int | None, str | None]:
    """Push what the stages have not pushed themselves: what was restored, and what failed to go."""
    try:
        return pipeline.push(progress=progress, record=options.record), None
    except PipelineError as error:
        return None, f"{error} {error.hint or ''}".strip()


def run_options(settings: RunConfig) -> RunOptions:
    """Return how to run where nothing but the configuration says so."""
    return RunOptions(
        pull=settings.pull,
        push=settings.push,
        run_cache=settings.run_cache is not RunCache.OFF,
        record=settings.run_cache is RunCache.ON,
    )


def last_seconds(document: Path) -> dict[str, float]:
    """Return how long each stage took when it last ran; nothing where that is not known."""
    try:
        stages = codec.read(Run, document).stages
    except ConfigError:
        return {}
    return {
        stage.name: stage.seconds
        for stage in stages
        if stage.status is StageStatus.RAN and stage.seconds is not None
    }
