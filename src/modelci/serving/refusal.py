"""Why a request is not answered: an HTTP status, a kind to count, a message for whoever asked."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

MAX_PROBLEMS = 100
"""So many are listed; a client with more has one mistake in every row."""


class Kind(StrEnum):
    """What errors are counted by."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    TOO_LARGE = "too_large"
    TOO_MANY_ROWS = "too_many_rows"
    UNAUTHORIZED = "unauthorized"
    SLOW_CLIENT = "slow_client"
    OVERLOADED = "overloaded"
    NOT_READY = "not_ready"
    TIMEOUT = "timeout"
    PREDICTION = "prediction"
    INTERNAL = "internal"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, or odd, at one place; ``row`` counts from 0, as the request's list does."""

    row: int | None = None
    column: str | None = None
    message: str


class Refusal(Exception):  # noqa: N818 - most of them are the client's errors
    """A request that gets no answer from the model. No message repeats a value of the request."""

    def __init__(
        self,
        status: int,
        kind: Kind,
        message: str,
        *,
        problems: Sequence[Problem] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.problems = tuple(problems)
        self.headers = tuple(headers)

    def body(self, request_id: str) -> bytes:
        """Return the JSON that the client gets; ``error`` is the Open Inference Protocol's."""
        content: dict[str, object] = {"error": self.message, "id": request_id}
        if self.problems:
            content["problems"] = self.problems
        return msgspec.json.encode(content)


def malformed(message: str) -> Refusal:
    """Return the refusal of a request that cannot be understood at all."""
    return Refusal(400, Kind.MALFORMED, message)


def invalid(problems: Sequence[Problem], *, status: int = 422) -> Refusal:
    """Return the refusal of rows that the model's schema does not allow."""
    shown = problems[:MAX_PROBLEMS]
    count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
    if len(shown) < len(problems):
        count += f", of which {MAX_PROBLEMS} are listed"
    first = problems[0]
    where = [f"row {first.row}"] if first.row is not None else []
    where += [first.column] if first.column is not None else []
    said = f"{', '.join(where)}: {first.message}" if where else first.message
    return Refusal(status, Kind.INVALID, f"{count}: {said}", problems=shown)
