"""Whose token this is, and GraphQL, which alone tells it to the tokens of workflows and apps."""

from typing import TypeVar

import msgspec

from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeError

T = TypeVar("T")


class User(msgspec.Struct):
    """An account; where one was deleted, GitHub has null."""

    login: str


class _Viewer(msgspec.Struct):
    viewer: User


class _Envelope(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[object] | None = None


def ask_graphql(
    client: ForgeClient,
    query: str,
    variables: dict[str, object],
    *,
    kind: type[T],
    repeatable: bool = True,
) -> T:
    """Return the answer's ``data``; ForgeError where there are errors beside it or instead."""
    # Enterprise Server has REST below /api/v3 and GraphQL at /api/graphql.
    root = str(client.url("")).rstrip("/").removesuffix("/v3")
    body = {"query": query, "variables": variables}
    reply = client.send("POST", f"{root}/graphql", body, repeatable=repeatable)
    envelope = client.decode(reply, _Envelope)
    if envelope.errors:
        said = msgspec.json.encode(envelope.errors).decode()[:300]
        raise ForgeError(f"GitHub's GraphQL answered with something unexpected: {said}.")
    try:
        return msgspec.json.decode(envelope.data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ForgeError(
            f"GitHub's GraphQL answered with something unexpected: {error}."
        ) from error


class Identity:
    """The name that our comments bear: as told, or asked for once, when it is first needed.

    ``likely`` stands in where GitHub does not tell.
    """

    def __init__(self, client: ForgeClient, login: str | None, *, likely: str | None) -> None:
        self._client = client
        self._likely = likely
        self.known = login

    def owns(self, user: User | None) -> bool:
        """Whether that account is ours."""
        if user is None:
            return False
        if self.known is None:
            self.known = self._ask()
        return user.login.casefold() == self.known.casefold()

    def learn(self, login: str) -> None:
        """Take note of the name that another answer brought along."""
        self.known = self.known or login

    def _ask(self) -> str:
        # GET /user refuses the tokens of workflows and apps, this does not.
        try:
            query = "query { viewer { login } }"
            return ask_graphql(self._client, query, {}, kind=_Viewer).viewer.login
        except ForgeError as error:
            if self._likely is not None:
                return self._likely
            raise ForgeError(
                f"GitHub does not tell whose token this is, so that our comment cannot be told "
                f"from a copy of it. {error}",
                hint=error.hint,
            ) from error
