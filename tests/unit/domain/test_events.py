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


@pytest.mark.parametrize(
    ("tag", "has_targets", "job"),
    [
        ("m#prod#1", True, Job.DEPLOY),
        ("m#prod", True, Job.DEPLOY),
        ("m@v1.0.0", True, Job.DEPLOY),
        ("m#prod#1", False, Job.CHECK),
        ("v1.0.0", True, Job.CHECK),
        (None, True, Job.CHECK),
    ],
)
def test_a_tag_of_the_registry_is_deployed_where_there_are_targets(
    tag: str | None, *, has_targets: bool, job: Job
) -> None:
    assert choose_job(CIContext(tag=tag), "main", has_targets=has_targets) is job


def test_a_pull_request_is_never_deployed() -> None:
    context = CIContext(event=EventKind.PULL_REQUEST, tag="m#prod#1")
    assert choose_job(context, "main", has_targets=True) is Job.PULL_REQUEST
