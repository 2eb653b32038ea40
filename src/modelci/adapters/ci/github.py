"""GitHub Actions: its variables and the event that started the job."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelci.domain.events import Cause, CIContext, EventKind
from modelci.errors import ConfigError

_NO_COMMIT = "0" * 40
_MAX_EVENT_BYTES = 32 * 1024 * 1024
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def detect(environ: Mapping[str, str]) -> CIContext | None:
    """Return what GitHub Actions says of the job; None where it does not run us."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return None
    event = _read_event(environ.get("GITHUB_EVENT_PATH"))
    name = environ.get("GITHUB_EVENT_NAME", "")
    pull = _dict(event.get("pull_request"))
    repository = environ.get("GITHUB_REPOSITORY")
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    run_id = environ.get("GITHUB_RUN_ID")
    branch = _branch(environ)
    return CIContext(
        provider="github",
        event=_kind(name, is_branch=branch is not None),
        event_name=name,
        repository=repository,
        # With pull_request_target GITHUB_SHA is the base's, whatever was checked out.
        sha=environ.get("GITHUB_SHA") if name != "pull_request_target" else None,
        head_sha=_text(_dict(pull.get("head")).get("sha")) or environ.get("GITHUB_SHA"),
        base_ref=environ.get("GITHUB_BASE_REF") or _text(_dict(pull.get("base")).get("ref")),
        branch=branch,
        head_branch=environ.get("GITHUB_HEAD_REF") or _text(_dict(pull.get("head")).get("ref")),
        tag=_tag(name, event, environ),
        before=_commit(event.get("before")),
        pull_request=_number(pull.get("number")),
        labels=_names(pull.get("labels")),
        from_fork=_is_fork(pull, repository),
        default_branch=_text(_dict(event.get("repository")).get("default_branch")),
        run_id=run_id,
        attempt=_whole(environ.get("GITHUB_RUN_ATTEMPT")),
        run_url=f"{server}/{repository}/actions/runs/{run_id}" if repository and run_id else None,
        workflow=environ.get("GITHUB_WORKFLOW"),
        job=environ.get("GITHUB_JOB"),
        actor=environ.get("GITHUB_TRIGGERING_ACTOR") or environ.get("GITHUB_ACTOR") or None,
        server_url=server,
        api_url=environ.get("GITHUB_API_URL", "https://api.github.com"),
        cause=_cause(event) if name == "workflow_run" else None,
    )


def _cause(event: Mapping[str, Any]) -> Cause:
    """Return the run that the event speaks of; ConfigError where a field that decides is not there.

    A fork that was deleted leaves a run without repository: then nobody owns its branch.
    """
    run = _dict(event.get("workflow_run"))
    head = _dict(run.get("head_repository"))
    run_id, sha = _number(run.get("id")), _text(run.get("head_sha"))
    if run_id is None or sha is None or not _SHA.fullmatch(sha):
        raise ConfigError(
            "The workflow_run event names no run, or no commit that it was for.",
            hint="GITHUB_EVENT_PATH is to be the event as GitHub sends it.",
        )
    return Cause(
        run_id=run_id,
        attempt=_number(run.get("run_attempt")) or 1,
        action=_text(event.get("action")) or "",
        event_name=_text(run.get("event")) or "",
        workflow=_text(run.get("name")) or "",
        head_owner=_text(_dict(head.get("owner")).get("login")) or "",
        head_repository=_text(head.get("full_name")) or "",
        head_branch=_text(run.get("head_branch")) or "",
        head_sha=sha,
        conclusion=_text(run.get("conclusion")),
        run_url=_text(run.get("html_url")),
    )


def _branch(environ: Mapping[str, str]) -> str | None:
    """Return the branch that was pushed; other runners than GitHub's set GITHUB_REF alone."""
    if "GITHUB_REF_TYPE" in environ:
        return environ.get("GITHUB_REF_NAME") if environ["GITHUB_REF_TYPE"] == "branch" else None
    ref = environ.get("GITHUB_REF", "")
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None


def _tag(name: str, event: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """Return the tag that a dispatch names in its input or payload, else the one that was pushed.

    A dispatch of one tag's workflow is usually made on a branch.
    """
    given = {"workflow_dispatch": "inputs", "repository_dispatch": "client_payload"}.get(name)
    named = _text(_dict(event.get(given)).get("tag")) if given else None
    ref = named or environ.get("GITHUB_REF", "")
    if named is None and not ref.startswith("refs/tags/"):
        return None
    return ref.removeprefix("refs/tags/")


def _kind(name: str, *, is_branch: bool) -> EventKind:
    if name in {"pull_request", "pull_request_target"}:
        return EventKind.PULL_REQUEST
    if name == "workflow_run":
        return EventKind.WORKFLOW_RUN
    return EventKind.PUSH if name == "push" and is_branch else EventKind.OTHER


def _read_event(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        with Path(path).open("rb") as file:
            event = json.loads(file.read(_MAX_EVENT_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"GITHUB_EVENT_PATH ({path}) cannot be read: {error}.",
            hint="The runner writes it; outside of Actions unset GITHUB_ACTIONS.",
        ) from error
    return _dict(event)


def _is_fork(pull: Mapping[str, Any], repository: str | None) -> bool:
    head = _text(_dict(_dict(pull.get("head")).get("repo")).get("full_name"))
    # A deleted fork has no repository any more.
    return bool(pull) and head != repository


def _names(value: object) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else ()
    names = (_text(_dict(one).get("name")) for one in entries)
    return tuple(name for name in names if name)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value > 0 else None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() else None


def _commit(value: object) -> str | None:
    sha = _text(value)
    return None if sha == _NO_COMMIT else sha
