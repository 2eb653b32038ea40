"""GitLab CI: its predefined variables; there is no event file."""

from collections.abc import Mapping

from modelci.domain.events import CIContext, EventKind

_MERGE_REQUEST = "merge_request_event"
_NO_COMMIT = "0" * 40


def detect(environ: Mapping[str, str]) -> CIContext | None:
    """Return what GitLab CI says of the job; None where it does not run us.

    CI_MERGE_REQUEST_DIFF_BASE_SHA is left unread: it goes stale when a merge request changes its
    target branch, and Git finds the same merge base.
    """
    if environ.get("GITLAB_CI") != "true":
        return None
    source = environ.get("CI_PIPELINE_SOURCE", "")
    is_merge_request = source == _MERGE_REQUEST
    sha = environ.get("CI_COMMIT_SHA")
    branch = environ.get("CI_COMMIT_BRANCH") or None
    return CIContext(
        provider="gitlab",
        event=_kind(source, is_branch=branch is not None),
        # Named as elsewhere, so that `run.events` means the same on every forge.
        event_name="pull_request" if is_merge_request else source,
        repository=_target(environ) if is_merge_request else environ.get("CI_PROJECT_PATH"),
        sha=sha,
        # Set in pipelines for merged results alone, where CI_COMMIT_SHA is the test merge.
        head_sha=(environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or sha),
        base_ref=environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME") or None,
        branch=branch,
        head_branch=environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or None,
        tag=environ.get("CI_COMMIT_TAG") or None,
        before=_commit(environ.get("CI_COMMIT_BEFORE_SHA")),
        pull_request=_number(environ.get("CI_MERGE_REQUEST_IID")) if is_merge_request else None,
        labels=_names(environ.get("CI_MERGE_REQUEST_LABELS")) if is_merge_request else (),
        from_fork=is_merge_request and _is_fork(environ),
        default_branch=environ.get("CI_DEFAULT_BRANCH") or None,
        run_id=environ.get("CI_PIPELINE_ID"),
        run_url=environ.get("CI_JOB_URL") or environ.get("CI_PIPELINE_URL"),
        workflow="gitlab-ci",
        job=environ.get("CI_JOB_NAME"),
        actor=environ.get("GITLAB_USER_LOGIN") or None,
        server_url=environ.get("CI_SERVER_URL"),
        api_url=environ.get("CI_API_V4_URL"),
    )


def _kind(source: str, *, is_branch: bool) -> EventKind:
    if source == _MERGE_REQUEST:
        return EventKind.PULL_REQUEST
    return EventKind.PUSH if source == "push" and is_branch else EventKind.OTHER


def _target(environ: Mapping[str, str]) -> str | None:
    """Return the project that has the merge request; a fork's own pipeline runs elsewhere."""
    return environ.get("CI_MERGE_REQUEST_PROJECT_PATH") or environ.get("CI_PROJECT_PATH")


def _is_fork(environ: Mapping[str, str]) -> bool:
    # A deleted fork has no path any more.
    source = environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH")
    return source is None or source != _target(environ)


def _names(text: str | None) -> tuple[str, ...]:
    # GitLab's labels hold no comma.
    return tuple(name for one in (text or "").split(",") if (name := one.strip()))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and int(text) > 0 else None


def _commit(sha: str | None) -> str | None:
    return sha if sha and sha != _NO_COMMIT else None
