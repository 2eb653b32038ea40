"""The comments of one pull request on GitHub."""

from collections.abc import Iterator
from itertools import chain

import msgspec

from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.adapters.forge.github_identity import Identity, User, ask_graphql
from modelci.adapters.forge.github_lists import pages
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.sticky import StickyComment, has_marker, retire
from modelci.errors import ForgeError

MAX_COMMENT_CHARACTERS = 65_536
MAX_PAGES = 100

_NEEDS = "pull-requests: write"
_MINIMIZE = """\
mutation($id: ID!) {
  minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) {
    minimizedComment { isMinimized }
  }
}"""


class _Comment(msgspec.Struct):
    id: int
    node_id: str
    html_url: str
    body: str | None = None
    user: User | None = None


class GitHubComments:
    """A ``sticky.CommentStore``; ``root`` is ``/repos/OWNER/NAME``."""

    def __init__(self, client: ForgeClient, root: str, number: int, identity: Identity) -> None:
        self._client = client
        self._root = root
        self._listing = f"{root}/issues/{number}/comments"
        self._identity = identity
        self._node_ids: dict[int | str, str] = {}

    def check(self, body: str) -> None:
        """Refuse what is longer than a comment may be."""
        if len(body) > MAX_COMMENT_CHARACTERS:
            raise ForgeError(
                f"The comment has {len(body):,} characters; GitHub takes "
                f"{MAX_COMMENT_CHARACTERS:,}.",
                hint="Lower `report.max_bytes` in modelci.yaml.",
            )

    def list_ours(self, marker: str) -> list[StickyComment]:
        """Read every page; GitHub lists the oldest comment first."""
        ours = [
            one
            for one in self._list()
            if has_marker(one.body or "", marker) and self._identity.owns(one.user)
        ]
        self._node_ids = {one.id: one.node_id for one in ours}
        return [StickyComment(key=one.id, url=one.html_url, body=one.body or "") for one in ours]

    def create(self, body: str) -> str:
        """Post a comment."""
        reply = self._client.send("POST", self._listing, {"body": body}, needs=_NEEDS)
        return self._client.decode(reply, _Comment).html_url

    def update(self, comment: StickyComment, body: str) -> str:
        """Edit a comment."""
        reply = self._client.send("PATCH", self._path(comment), {"body": body}, needs=_NEEDS)
        return self._client.decode(reply, _Comment).html_url

    def delete(self, comment: StickyComment) -> None:
        """Delete a comment; one that is gone is no error."""
        try:
            self._client.send("DELETE", self._path(comment), needs=_NEEDS)
        except NotFoundError:
            return

    def hide(self, comment: StickyComment, *, marker: str) -> None:
        """Minimise a comment as outdated, or fold its text away where that is not allowed."""
        try:
            variables: dict[str, object] = {"id": self._node_ids[comment.key]}
            ask_graphql(self._client, _MINIMIZE, variables, kind=dict)
        except ForgeError:
            self.update(comment, retire(comment.body, marker, collapse=True))
        else:
            self.update(comment, retire(comment.body, marker, collapse=False))

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause out of the client's budget."""
        self._client.wait(error, tries=tries)

    def warn(self, text: str) -> None:
        """Say it to whoever watches."""
        self._client.warn(text)

    def _path(self, comment: StickyComment) -> str:
        return f"{self._root}/issues/comments/{comment.key}"

    def _list(self) -> Iterator[_Comment]:
        listed = f"{self._listing}?per_page=100"
        found = pages(self._client, listed, _Comment, needs=_NEEDS, most=MAX_PAGES, what="comments")
        return chain.from_iterable(found)
