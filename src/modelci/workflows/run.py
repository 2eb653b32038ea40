"""``modelci run``: run the pipeline of this checkout and write down what happened."""

import time
from collections.abc import Callable, Sequence

from modelci.domain.pipeline import Run
from modelci.errors import PipelineError
from modelci.ports import Git, Pipeline, Progress


def run_pipeline(
    *,
    git: Git,
    pipeline: Pipeline,
    progress: Progress,
    now: Callable[[], str],
    version: str,
    targets: Sequence[str] = (),
    pull: bool = False,
    push: bool = False,
    force: bool = False,
    keep_going: bool = False,
) -> Run:
    """Run what is out of date; a stage that fails is in the document, and nothing is lost.

    A push that fails is written down as the run's ``error``: the results are still here.
    """
    head = git.head()
    dirty = git.is_dirty()
    started, clock = now(), time.monotonic()
    stages = pipeline.run(targets, pull=pull, force=force, keep_going=keep_going, progress=progress)
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
