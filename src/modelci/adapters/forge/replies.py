"""What the replies of GitLab and Gitea mean: an answer, a refusal, a limit, or a breakdown."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import msgspec

from modelci.adapters.forge.failures import NotFoundError
from modelci.adapters.forge.http import Exchange, Failure, Retry
from modelci.errors import ForgeDeniedError, ForgeError

LIMIT_SECONDS = 60.0
"""How long to leave a forge alone that limits us and does not say for how long."""

_MAX_WORDS = 500


class _Problem(msgspec.Struct):
    message: object = None
    error: object = None
    error_description: object = None
    errors: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A forge's name, and what to do about its refusals; ``permission`` says what a path takes."""

    name: str
    token: str
    outage: str
    permission: Callable[[Exchange], str]


def judge(reply: httpx.Response, asked: Exchange, *, advice: Advice) -> Failure | None:
    """Return what is wrong with the reply, or None."""
    if reply.is_success:
        return None
    status, said = reply.status_code, _read_words(reply)
    what = f"{advice.name} answered {status} to {asked}: {said}."
    if status == 429:
        return Failure(
            error=ForgeError(f"{advice.name} limits how often it may be asked ({said})."),
            retry=Retry.ALWAYS,
            wait_seconds=_seconds_to_wait(reply, asked),
        )
    if status >= 500:
        return Failure(error=ForgeError(what, hint=advice.outage), retry=Retry.IF_REPEATABLE)
    if status == 409:
        # It exists already, or somebody else holds the lock on it: look at what is there.
        return Failure(error=ForgeError(what), retry=Retry.IF_REPEATABLE)
    return Failure(error=_refusal(status, what, said, asked, advice))


def _refusal(status: int, what: str, said: str, asked: Exchange, advice: Advice) -> ForgeError:
    match status:
        case 401:
            return ForgeDeniedError(
                f"{advice.name} does not accept the token ({said}).", hint=advice.token
            )
        case 403:
            return ForgeDeniedError(
                f"{advice.name} refused {asked}: {said}.", hint=advice.permission(asked)
            )
        case 404:
            return NotFoundError(
                f"{advice.name} knows no {asked.path}, or hides it from this token ({said}).",
                hint="Check the repository and the number of the pull request. "
                f"{advice.permission(asked)}",
            )
        case 400 | 422:
            return ForgeError(f"{advice.name} rejects what {asked} sends: {said}.")
    return ForgeError(what)


def _seconds_to_wait(reply: httpx.Response, asked: Exchange) -> float:
    after = _read_number(reply, "retry-after")
    reset = _read_number(reply, "ratelimit-reset")
    if after is not None:
        return max(1.0, after)
    if reset is not None:
        return max(1.0, reset - asked.now + 1.0)
    return LIMIT_SECONDS * float(2**asked.tries)


def _read_number(reply: httpx.Response, header: str) -> float | None:
    text: str = reply.headers.get(header, "")
    return float(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def _read_words(reply: httpx.Response) -> str:
    """Return the forge's own words on one line, without the token should they hold it."""
    try:
        problem = msgspec.json.decode(reply.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return reply.reason_phrase or "no reason given"
    parts = [problem.message, problem.error, problem.error_description, problem.errors]
    text = " ".join(part if isinstance(part, str) else _write(part) for part in parts if part)
    token = reply.request.headers["authorization"].removeprefix("Bearer ")
    line = " ".join(text.replace(token, "***").split()).rstrip(".")
    return "".join(filter(str.isprintable, line))[:_MAX_WORDS] or "no reason given"


def _write(part: object) -> str:
    return msgspec.json.encode(part).decode()
