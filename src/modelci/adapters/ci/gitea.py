"""Gitea Actions and Forgejo Actions: GitHub's variables and events, on another forge."""

from collections.abc import Mapping
from dataclasses import replace

from modelci.adapters.ci import github
from modelci.domain.events import CIContext

API = "/api/v1"


def runs_us(environ: Mapping[str, str]) -> bool:
    """Whether the runner is Gitea's or Forgejo's."""
    return "true" in {environ.get("GITEA_ACTIONS"), environ.get("FORGEJO_ACTIONS")}


def detect(environ: Mapping[str, str]) -> CIContext | None:
    """Return what the runner says of the job; None where it is neither Gitea's nor Forgejo's.

    To be asked before GitHub, which these runners claim to be.
    """
    if not runs_us(environ):
        return None
    server = environ.get("GITHUB_SERVER_URL", "").rstrip("/")
    found = github.detect({**environ, "GITHUB_ACTIONS": "true"}) or CIContext()
    return replace(
        found,
        provider="gitea",
        server_url=server or None,
        api_url=f"{server}{API}" if server else None,
        run_url=_run_url(server, environ),
    )


def _run_url(server: str, environ: Mapping[str, str]) -> str | None:
    """Return the page of the run, which is numbered by repository and not by its id."""
    repository, number = environ.get("GITHUB_REPOSITORY"), environ.get("GITHUB_RUN_NUMBER")
    known = server and repository and number
    return f"{server}/{repository}/actions/runs/{number}" if known else None
