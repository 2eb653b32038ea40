"""Events as GitHub sends them: published examples, with what a test is about put in.

``payloads`` are from the npm package @octokit/webhooks-examples 7.6.1 (MIT). There is none of a
fork's run: its head repository is made another's, as the REST API's description has it.
"""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "payloads"


def workflow_run(
    action: str,
    *,
    sha: str,
    branch: str = "change",
    repository: str = "acme/credit",
    head_repository: str | None = "acme/credit",
    event: str = "pull_request",
    name: str = "model-pr",
    run_id: int = 512,
    attempt: int = 1,
    conclusion: str | None = None,
) -> dict[str, Any]:
    """Return the event; without a ``head_repository`` the fork was deleted."""
    found = published(action)
    run = found["workflow_run"]
    run |= {
        "id": run_id,
        "run_attempt": attempt,
        "event": event,
        "name": name,
        "head_branch": branch,
        "head_sha": sha,
        "conclusion": conclusion,
        "html_url": f"https://github.com/{repository}/actions/runs/{run_id}",
    }
    run["head_repository"] = head_repository and _repository(
        run["head_repository"], head_repository
    )
    run["repository"] = _repository(run["repository"], repository)
    found["repository"] = _repository(found["repository"], repository) | {"default_branch": "main"}
    return found


def published(action: str) -> dict[str, Any]:
    """Return a workflow_run event as published."""
    text = (_FOLDER / f"workflow_run.{action}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _repository(known: dict[str, Any], full_name: str) -> dict[str, Any]:
    owner, _, name = full_name.partition("/")
    fields = {"full_name": full_name, "name": name, "owner": known["owner"] | {"login": owner}}
    return known | fields
