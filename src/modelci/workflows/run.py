"""``modelci run``: run the pipeline of this checkout and write down what happened."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from modelci.documents import codec
from modelci.domain.pipeline import Run, RunOptions, StageStatus
from modelci.errors import ConfigError, PipelineError
from modelci.ports import Git, Pipeline, Progress

_DEFAULTS = RunOptions()


def run_pipeline(
    *,
    git: Git,
    pipeline: Pipeline,
    progress: Progress,
    now: Callable[[], str],
    version: str,
    targets: Sequence[str] = (),
    push: bool = False,
    options: RunOptions = _DEFAULTS,
) -> Run:
    """Run what is out of date; a stage that fails is in the document, and nothing is lost.

    A push that fails is written down as the run's ``error``: the results are still here.
    """
    head = git.head()
    dirty = git.is_dirty()
    started, clock = now(), time.monotonic()
    stages = pipeline.run(targets, options, progress=progress)
    pushed, error = _push(pipeline, progress) if push else (None, None)
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


def _push(pipeline: Pipeline, progress: Progress) -> tuple[int | None, str | None]:
    try:
        return pipeline.push(progress=progress), None
    except PipelineError as error:
        return None, f"{error} {error.hint or ''}".strip()


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
