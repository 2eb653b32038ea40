"""Issues that we open: one for a marker while it is open; the same on every forge.

Ours is the one with the marker as a line of its own *and* that we wrote. Two runs that look before
either opens can cross: the next run closes all but the oldest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Protocol

from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.proposing import attempt, clip
from modelci.adapters.forge.sticky import has_marker, normalize
from modelci.ports import Issue, PostedIssue

_CUT = "\n\n… (cut)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIssue:
    """An open issue that a forge has."""

    number: int
    url: str
    title: str = ""
    body: str = ""
    labels: tuple[str, ...] = ()

    def post(self, action: str, notes: Sequence[str] = ()) -> PostedIssue:
        """Return it as the port tells it."""
        return PostedIssue(number=self.number, url=self.url, action=action, notes=tuple(notes))


class IssueStore(Protocol):
    """A forge's issues; a request that may have done its work raises LookAgainError."""

    @property
    def max_characters(self) -> int:
        """How long a text may be."""

    def list_ours(self, marker: str) -> Sequence[KnownIssue]:
        """Return the open issues that we wrote and that have the marker, the oldest first."""

    def create(self, title: str, body: str) -> KnownIssue:
        """Open an issue; labels are set apart."""

    def update(self, known: KnownIssue, *, title: str, body: str) -> None:
        """Replace title and text."""

    def label(self, known: KnownIssue, labels: Sequence[str]) -> None:
        """Add labels, and make those that the repository lacks."""

    def close(self, known: KnownIssue, *, why: str) -> None:
        """Say why, and close it."""

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause before looking again, or raise where the time for that is used up."""


def upsert_issue(store: IssueStore, issue: Issue) -> PostedIssue:
    """Bring our open issue up to date, or open it."""
    wanted = replace(issue, title=clip(issue.title), body=_mark(issue, store.max_characters))
    for tries in count():
        ours = store.list_ours(wanted.marker)
        if ours:
            for one in ours[1:]:
                store.close(one, why=f"The same as #{ours[0].number}.")
            return _update(store, ours[0], wanted)
        try:
            made = store.create(wanted.title, wanted.body)
        except LookAgainError as error:
            store.wait(error, tries=tries)
        else:
            return made.post("created", _label(store, made, wanted))
    raise AssertionError  # unreachable: count() never ends


def close_issue(store: IssueStore, marker: str, why: str) -> PostedIssue | None:
    """Close our open issues with that marker; return the oldest."""
    ours = store.list_ours(marker)
    for one in ours:
        store.close(one, why=why)
    return ours[0].post("closed") if ours else None


def _update(store: IssueStore, known: KnownIssue, wanted: Issue) -> PostedIssue:
    action = "unchanged"
    if (known.title, normalize(known.body)) != (wanted.title, normalize(wanted.body)):
        store.update(known, title=wanted.title, body=wanted.body)
        action = "updated"
    return known.post(action, _label(store, known, wanted))


def _label(store: IssueStore, known: KnownIssue, wanted: Issue) -> list[str]:
    missing = [label for label in wanted.labels if label not in known.labels]
    if not missing:
        return []
    return attempt(f"It has no label {', '.join(missing)}", partial(store.label, known, missing))


def _mark(issue: Issue, limit: int) -> str:
    text = issue.body.encode("utf-8", "replace").decode()
    body = text if has_marker(text, issue.marker) else f"{issue.marker}\n{normalize(text)}"
    return body if len(body) <= limit else body[: limit - len(_CUT)] + _CUT
