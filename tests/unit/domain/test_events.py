import pytest

from modelci.domain.events import CIContext, EventKind, Job, choose_job


@pytest.mark.parametrize(
    ("event", "branch", "default", "job"),
    [
        (EventKind.PULL_REQUEST, "7/merge", "main", Job.PULL_REQUEST),
        (EventKind.PULL_REQUEST, "main", "main", Job.PULL_REQUEST),
        (EventKind.PUSH, "main", "main", Job.MERGE),
        (EventKind.PUSH, "feature", "main", Job.CHECK),
        (EventKind.PUSH, "main", None, Job.CHECK),
        (EventKind.PUSH, None, None, Job.CHECK),
        (EventKind.OTHER, "main", "main", Job.CHECK),
    ],
)
def test_only_a_push_to_the_default_branch_is_promoted(
    event: EventKind, branch: str | None, default: str | None, job: Job
) -> None:
    assert choose_job(CIContext(event=event, branch=branch), default) is job
