"""What a CI system says of itself, and which job that makes for us."""

from dataclasses import dataclass
from enum import StrEnum

from modelci.domain.tags import TagName


class EventKind(StrEnum):
    """What started this job."""

    PULL_REQUEST = "pull_request"
    PUSH = "push"
    WORKFLOW_RUN = "workflow_run"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The workflow run that a ``workflow_run`` event speaks of; all of it is from the event.

    ``action`` is requested, in_progress or completed. ``head_owner`` owns the repository, maybe
    a fork, that ``head_branch`` is in. ``event_name`` is what started that run.
    """

    run_id: int
    attempt: int
    action: str
    event_name: str
    workflow: str
    head_owner: str
    head_repository: str
    head_branch: str
    head_sha: str
    conclusion: str | None = None
    run_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CIContext:
    """The job that runs us; every field is None or empty where nothing is known.

    ``sha`` is what was checked out (for a pull request on GitHub the test merge),
    ``head_sha`` the pull request's own last commit, ``before`` what a push replaced.
    ``head_branch`` is the pull request's own, ``labels`` its labels as they were when the event
    happened.
    ``run_id`` and ``attempt`` are this job's. A job that another workflow's end (or start) caused
    knows that one as ``cause``. ``actor`` is who started the job. ``tag`` is the tag that was
    pushed, or that a dispatch names in its input ``tag``.
    """

    provider: str | None = None
    event: EventKind = EventKind.OTHER
    event_name: str = ""
    repository: str | None = None
    sha: str | None = None
    head_sha: str | None = None
    base_ref: str | None = None
    branch: str | None = None
    head_branch: str | None = None
    tag: str | None = None
    before: str | None = None
    pull_request: int | None = None
    labels: tuple[str, ...] = ()
    from_fork: bool = False
    default_branch: str | None = None
    run_id: str | None = None
    attempt: int | None = None
    run_url: str | None = None
    workflow: str | None = None
    job: str | None = None
    actor: str | None = None
    server_url: str | None = None
    api_url: str | None = None
    cause: Cause | None = None


class Job(StrEnum):
    """What ``modelci ci`` does."""

    PULL_REQUEST = "pull_request"
    MERGE = "merge"
    DEPLOY = "deploy"
    CHECK = "check"


def choose_job(context: CIContext, default_branch: str | None, *, has_targets: bool = False) -> Job:
    """Say what the event calls for.

    Pull requests are reported on, the default branch is promoted, a tag of the registry is deployed
    where there are targets, and the rest is only checked.
    """
    if context.event is EventKind.PULL_REQUEST:
        return Job.PULL_REQUEST
    if has_targets and context.tag and TagName.parse(context.tag):
        return Job.DEPLOY
    if context.event is EventKind.PUSH and context.branch and context.branch == default_branch:
        return Job.MERGE
    return Job.CHECK
