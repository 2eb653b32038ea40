"""A forge in memory, held to the same contract as the real ones."""

from dataclasses import dataclass, field

from modelci.adapters.forge.sticky import has_marker, mark, normalize
from modelci.ports import PostedComment, PostedRelease


@dataclass(kw_only=True)
class FakeComment:
    number: int
    author: str
    body: str


@dataclass(kw_only=True)
class FakeForge:
    """Comments in the order written; releases (title, body) and tags (commit, message) by name."""

    name: str = "the fake forge"
    login: str = "modelci"
    comments: list[FakeComment] = field(default_factory=list)
    releases: dict[str, tuple[str, str]] = field(default_factory=dict)
    tags: dict[str, tuple[str, str]] = field(default_factory=dict)

    def upsert_comment(self, number: int, body: str, *, marker: str) -> PostedComment:
        body = mark(body, marker)
        for index, comment in enumerate(self.comments):
            mine = (comment.number, comment.author) == (number, self.login)
            if not mine or not has_marker(comment.body, marker):
                continue
            action = "unchanged" if normalize(comment.body) == normalize(body) else "updated"
            comment.body = body
            return PostedComment(url=_url(number, index), action=action)
        self.comments.append(FakeComment(number=number, author=self.login, body=body))
        return PostedComment(url=_url(number, len(self.comments) - 1), action="created")

    def publish_release(self, tag: str, *, title: str, body: str) -> PostedRelease:
        self.releases[tag] = (title, body)
        return PostedRelease(tag=tag, url=f"https://forge.example/releases/{tag}")

    def record_tag(self, tag: str, *, commit: str, message: str) -> None:
        self.tags[tag] = (commit, message)


def _url(number: int, index: int) -> str:
    return f"https://forge.example/pull/{number}#comment-{index}"
