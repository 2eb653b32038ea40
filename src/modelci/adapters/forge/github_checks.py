"""The verdict beside a commit on GitHub: a check run, or a commit status where none is allowed."""

from urllib.parse import quote

import msgspec

from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeDeniedError
from modelci.ports import Check, CheckStatus, PostedCheck

MAX_SUMMARY_BYTES = 65_535
MAX_DESCRIPTION_CHARACTERS = 140
MAX_TITLE_CHARACTERS = 255
EXTERNAL_ID = "modelci"
"""Tells our check run from a workflow's job of the same name, which is one too."""

MAX_TRIES = 5

_CHECKING = "checks: write"
_NEEDS = f"{_CHECKING}` or `statuses: write"  # stands between the backticks of the hint
_CUT = "\n\n… (cut)"
_STATES = {
    CheckStatus.IN_PROGRESS: "pending",
    CheckStatus.SUCCESS: "success",
    CheckStatus.NEUTRAL: "success",
    CheckStatus.FAILURE: "failure",
}


class _CheckRun(msgspec.Struct):
    id: int
    name: str
    html_url: str | None = None
    external_id: str | None = None


class _CheckRuns(msgspec.Struct):
    check_runs: list[_CheckRun]


class _Status(msgspec.Struct):
    url: str
    target_url: str | None = None


class GitHubChecks:
    """Check runs and commit statuses; ``root`` is ``/repos/OWNER/NAME``."""

    def __init__(self, client: ForgeClient, root: str) -> None:
        self._client = client
        self._root = root
        self._is_refused = False

    def set(self, check: Check) -> PostedCheck:
        """Create or update the check run of that name; only apps may, which a workflow's token is.

        Anyone else's token is refused, and sets a commit status of the same name.
        """
        if self._is_refused:
            return self._set_status(check)
        try:
            return self._set_run(check)
        except ForgeDeniedError:
            self._is_refused = True
            return self._set_status(check)

    def _set_run(self, check: Check) -> PostedCheck:
        body = _describe(check)
        for tries in range(MAX_TRIES):
            known = self._find_run(check)
            try:
                if known is not None:
                    path = f"{self._root}/check-runs/{known.id}"
                    reply = self._client.send("PATCH", path, body, needs=_CHECKING)
                else:
                    path = f"{self._root}/check-runs"
                    new = {**body, "head_sha": check.sha}
                    reply = self._client.send("POST", path, new, needs=_CHECKING)
            except LookAgainError as error:
                self._client.wait(error, tries=tries)
                lost = error
            else:
                url = self._client.decode(reply, _CheckRun).html_url
                return PostedCheck(kind="check run", url=url)
        raise lost

    def _find_run(self, check: Check) -> _CheckRun | None:
        query = f"check_name={quote(check.name, safe='')}&filter=latest&per_page=100"
        path = f"{self._root}/commits/{quote(check.sha, safe='')}/check-runs?{query}"
        reply = self._client.send("GET", path, needs=_CHECKING)
        listed = self._client.decode(reply, _CheckRuns).check_runs
        ours = [one for one in listed if (one.name, one.external_id) == (check.name, EXTERNAL_ID)]
        return max(ours, key=lambda one: one.id, default=None)

    def _set_status(self, check: Check) -> PostedCheck:
        body = {
            "state": _STATES[check.status],
            "context": check.name,
            "description": _shorten(check.title, MAX_DESCRIPTION_CHARACTERS),
        }
        path = f"{self._root}/statuses/{quote(check.sha, safe='')}"
        # A second status of the same context replaces the first: it may be sent twice.
        reply = self._client.send(
            "POST", path, body | _link("target_url", check), needs=_NEEDS, repeatable=True
        )
        return PostedCheck(kind="commit status", url=self._client.decode(reply, _Status).target_url)


def _describe(check: Check) -> dict[str, object]:
    summary = check.summary.encode("utf-8", "replace")
    body: dict[str, object] = {
        "name": check.name,
        "external_id": EXTERNAL_ID,
        "output": {
            "title": _shorten(check.title, MAX_TITLE_CHARACTERS),
            "summary": cut_text(summary.decode(), MAX_SUMMARY_BYTES),
        },
        **_link("details_url", check),
    }
    if check.status is CheckStatus.IN_PROGRESS:
        return {**body, "status": "in_progress"}
    return {**body, "status": "completed", "conclusion": check.status.value}


def cut_text(text: str, max_bytes: int) -> str:
    """Return at most ``max_bytes`` of UTF-8: whole lines where that leaves half of it or more."""
    data = text.encode()
    if len(data) <= max_bytes:
        return text
    room = max_bytes - len(_CUT.encode())
    kept = data[:room].decode(errors="ignore")
    lines = kept.rpartition("\n")[0]
    return (lines if len(lines.encode()) * 2 >= room else kept) + _CUT


def _shorten(text: str, characters: int) -> str:
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


def _link(key: str, check: Check) -> dict[str, str]:
    return {} if check.url is None else {key: check.url}
