"""What GitHub's replies mean: an answer, a refusal, a limit to wait for, or a breakdown."""

import re

import httpx
import msgspec

from modelci.adapters.forge.failures import ConflictError, NotFoundError
from modelci.adapters.forge.http import Exchange, Failure, Retry
from modelci.errors import ForgeDeniedError, ForgeError

SECONDARY_LIMIT_SECONDS = 60.0
"""GitHub's own advice for a limit that comes without a time."""


class _Problem(msgspec.Struct):
    message: str = ""
    errors: list[object] = []


def judge(reply: httpx.Response, asked: Exchange) -> Failure | None:
    """Return what is wrong with the reply, or None."""
    status = reply.status_code
    said = _read_message(reply)
    if reply.is_success:
        return None
    if status == 429 or (status == 403 and _is_rate_limit(reply, said)):
        return Failure(
            error=ForgeError(f"GitHub limits how often it may be asked ({said})."),
            retry=Retry.ALWAYS,
            wait_seconds=_seconds_to_wait(reply, asked),
        )
    if status >= 500:
        error = ForgeError(f"GitHub answered {status} to {asked}: {said}.", hint=_OUTAGE)
        return Failure(error=error, retry=Retry.IF_REPEATABLE)
    if status == 422 and "already_exists" in said:
        error = ForgeError(f"GitHub already has what {asked} creates: {said}.")
        return Failure(error=error, retry=Retry.IF_REPEATABLE)
    return Failure(error=_refusal(status, said, asked))


def _refusal(status: int, said: str, asked: Exchange) -> ForgeError:
    kind: type[ForgeError] = ForgeError
    what = f"GitHub answered {status} to {asked}: {said}."
    hint: str | None = None
    match status:
        case 401:
            kind = ForgeDeniedError
            what = f"GitHub does not accept the token ({said})."
            hint = (
                "It has expired or is mistyped; in a workflow, set "
                "`GITHUB_TOKEN: ${{ github.token }}` in the step's `env:`."
            )
        case 403:
            kind = ForgeDeniedError
            what = f"GitHub refused {asked}: {said}."
            hint = _UNLOCK if "locked" in said else _permission(asked)
        case 404:
            kind = NotFoundError
            what = f"GitHub knows no {asked.path}, or hides it from this token ({said})."
            hint = (
                "Check the repository and the number of the pull request. For a private "
                f"repository the token must see it. {_permission(asked)}"
            )
        case 409:
            kind = ConflictError
        case 410:
            what = f"GitHub says that {asked.path} is gone ({said})."
            hint = "It was deleted, or the repository has it turned off."
        case 422 if "Reference already exists" in said or "fast forward" in said:
            kind = ConflictError
            what = f"GitHub says that somebody was faster than {asked}: {said}."
        case 422:
            what = f"GitHub rejects what {asked} sends: {said}."
    return kind(what, hint=hint)


_UNLOCK = "Unlock the conversation, or use a token that may write to the repository."
_OUTAGE = "https://www.githubstatus.com says whether GitHub is ill."


def _permission(asked: Exchange) -> str:
    if not asked.needs:
        return "Look at what the token may do."
    return (
        f"Write `{asked.needs}` below the job's `permissions:`. The token of a pull request from "
        "a fork or from Dependabot can only read: post from a `workflow_run` workflow."
    )


def _is_rate_limit(reply: httpx.Response, said: str) -> bool:
    return (
        "retry-after" in reply.headers
        or reply.headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in said.lower()
        or "abuse detection" in said.lower()
    )


def _seconds_to_wait(reply: httpx.Response, asked: Exchange) -> float:
    after = _read_number(reply, "retry-after")
    reset = _read_number(reply, "x-ratelimit-reset")
    if after is not None:
        return max(1.0, after)
    if reply.headers.get("x-ratelimit-remaining") == "0" and reset is not None:
        return max(1.0, reset - asked.now + 1.0)
    return SECONDARY_LIMIT_SECONDS * float(2**asked.tries)


def _read_number(reply: httpx.Response, header: str) -> float | None:
    text: str = reply.headers.get(header, "")
    return float(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def _read_message(reply: httpx.Response) -> str:
    """Return GitHub's own words on one line, without the request's token should it be echoed."""
    try:
        problem = msgspec.json.decode(reply.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return reply.reason_phrase or "no reason given"
    details = [msgspec.json.encode(detail).decode() for detail in problem.errors]
    text = " ".join([problem.message, *details])
    token = reply.request.headers["authorization"].removeprefix("Bearer ")
    line = " ".join(text.replace(token, "***").split()).rstrip(".")
    return "".join(filter(str.isprintable, line))[:500] or "no reason given"
