"""Comments that stay: what makes one ours, who wrote it last, and who may overwrite it.

A comment of ours has two lines that nobody sees: the marker, which says which report it is, and
below it the state, which says which run wrote it. ``post`` holds the rules for every forge; a
forge brings a ``CommentStore``, which knows how to list, write and delete.

Two runs that read before either writes can still cross: no forge offers a conditional edit.
"""

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Annotated, Protocol

import msgspec

from modelci.adapters.forge.failures import LookAgainError
from modelci.config.model import CommentMode
from modelci.errors import ForgeError
from modelci.ports import PostedComment, Writer

NOBODY = Writer()
RETIRED = "<!-- modelci: outdated -->"
"""Stands for the marker in a comment that was hidden, so that it is never looked at again."""

_LINE_END = re.compile(r"\r+\n")
_STATE = re.compile(r"<!-- modelci-state: (\{[ -~]{0,300}\}) -->")


class _State(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    run: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    attempt: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1
    head: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z]{1,64}\Z")] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StickyComment:
    """A comment of ours; ``key`` is what its store finds it by."""

    key: int | str
    url: str
    body: str


class CommentStore(Protocol):
    """The comments of one pull request on one forge."""

    def check(self, body: str) -> None:
        """Raise ForgeError where the forge would not take the text."""

    def list_ours(self, marker: str) -> Sequence[StickyComment]:
        """Return all comments that we wrote and that have the marker, the oldest first."""

    def create(self, body: str) -> str:
        """Create a comment and return its URL; LookAgainError where it may have been created."""

    def update(self, comment: StickyComment, body: str) -> str:
        """Replace a comment's text and return its URL."""

    def delete(self, comment: StickyComment) -> None:
        """Delete a comment; one that is gone is no error."""

    def hide(self, comment: StickyComment, *, marker: str) -> None:
        """Put a comment out of sight, as ``retire`` has it."""

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause before looking again, or raise where the time for that is used up."""

    def warn(self, text: str) -> None:
        """Say that tidying up did not work."""


def post(
    store: CommentStore,
    body: str,
    *,
    marker: str,
    writer: Writer = NOBODY,
    mode: CommentMode = CommentMode.UPDATE,
    create: bool = True,
) -> PostedComment | None:
    """Write the comment as ``ports.Forge.upsert_comment`` promises.

    Of several of ours the oldest is kept up to date, and the others are deleted; in the modes
    that write anew, the newest is the one that ``create=False`` updates.
    """
    body = mark(body, marker, writer)
    store.check(body)
    ours = store.list_ours(marker)
    anew = create and mode is not CommentMode.UPDATE
    if ours and not anew:
        return _update(store, ours, body, marker=marker, writer=writer, mode=mode)
    if not create:
        return None
    if mode is CommentMode.HIDE_AND_NEW:
        newer = _find_newer(ours, marker=marker, writer=writer)
        if newer is not None:
            return newer
    url = _create(store, body, marker=marker, known=frozenset(one.key for one in ours))
    if mode is CommentMode.HIDE_AND_NEW:
        _tidy(store, "hide", [partial(store.hide, one, marker=marker) for one in ours])
    return PostedComment(url=url, action="created")


def mark(body: str, marker: str, writer: Writer = NOBODY) -> str:
    """Return the body with the ``marker`` as one of its lines and the state below it.

    Lines that look like a state are dropped first: a report must not say who wrote it. Names of
    files that are no UTF-8 reach us with surrogates, which no forge takes.
    """
    if not marker.strip() or marker != "".join(marker.splitlines()):
        raise ValueError(f"a marker is one line, not {marker!r}")
    lines = [
        marker if line.rstrip() == marker else line
        for line in _without_state(body.encode("utf-8", "replace").decode())
    ]
    if marker not in lines:
        lines.insert(0, marker)
    if writer.run_id is not None or writer.head_sha is not None:
        lines.insert(lines.index(marker) + 1, _write_state(writer))
    return "\n".join(lines)


def has_marker(body: str, marker: str) -> bool:
    """Whether a line is exactly the marker; quoted or indented, it is somebody's quotation."""
    return marker in normalize(body).split("\n")


def normalize(body: str) -> str:
    """Return the text that forges keep: editing in a browser changes line ends."""
    return _LINE_END.sub("\n", body).rstrip()


def read_writer(body: str, marker: str) -> Writer:
    """Return who wrote the comment: the state is the line below the marker, else unknown."""
    lines = normalize(body).split("\n")
    below = lines[lines.index(marker) + 1 :][:1] if marker in lines else []
    found = _STATE.fullmatch(below[0]) if below else None
    if found is None:
        return NOBODY
    try:
        state = msgspec.json.decode(found[1], type=_State)
    except msgspec.DecodeError:
        return NOBODY
    return Writer(run_id=state.run, attempt=state.attempt, head_sha=state.head)


def supersedes(known: Writer, writer: Writer) -> bool:
    """Whether ``known`` is of a later run, or a later attempt at the same, than ``writer``.

    Without both runs' ids nothing is known, and who comes last writes.
    """
    if known.run_id is None or writer.run_id is None:
        return False
    return (known.run_id, known.attempt) > (writer.run_id, writer.attempt)


def retire(body: str, marker: str, *, collapse: bool) -> str:
    """Return the text of a comment that is no longer looked for; with ``collapse`` folded away."""
    lines = [line for line in _without_state(normalize(body)) if line != marker]
    text = "\n".join(lines)
    if collapse:
        text = f"<details>\n<summary>Outdated report</summary>\n\n{text}\n\n</details>"
    return f"{RETIRED}\n{text}"


def _create(store: CommentStore, body: str, *, marker: str, known: AbstractSet[int | str]) -> str:
    for tries in count():
        try:
            return store.create(body)
        except LookAgainError as error:
            store.wait(error, tries=tries)
        for one in store.list_ours(marker):
            # After a reply that got lost, finding it is the proof that it was created.
            if one.key not in known and _is_same(one.body, body):
                return one.url
    raise AssertionError  # unreachable: count() never ends


def _update(
    store: CommentStore,
    ours: Sequence[StickyComment],
    body: str,
    *,
    marker: str,
    writer: Writer,
    mode: CommentMode,
) -> PostedComment:
    newer = _find_newer(ours, marker=marker, writer=writer)
    if newer is not None:
        return newer
    kept = ours[0] if mode is CommentMode.UPDATE else ours[-1]
    posted = PostedComment(url=kept.url, action="unchanged")
    if not _is_same(kept.body, body):
        posted = PostedComment(url=store.update(kept, body), action="updated")
    if mode is CommentMode.UPDATE:
        _tidy(store, "delete", [partial(store.delete, one) for one in ours[1:]])
    return posted


def _tidy(store: CommentStore, verb: str, steps: Sequence[Callable[[], None]]) -> None:
    """Take the steps; the report is posted by now, so that none of them is worth failing for."""
    for step in steps:
        try:
            step()
        except ForgeError as error:
            store.warn(f"An older comment of ours stays as it is; could not {verb} it: {error}")


def _find_newer(
    ours: Sequence[StickyComment], *, marker: str, writer: Writer
) -> PostedComment | None:
    for one in reversed(ours):
        if supersedes(read_writer(one.body, marker), writer):
            return PostedComment(url=one.url, action="outdated")
    return None


def _is_same(one: str, other: str) -> bool:
    return normalize(one) == normalize(other)


def _without_state(body: str) -> list[str]:
    # A forge cuts off what is blank at the end: a state with a space behind it becomes one there.
    return [line for line in body.split("\n") if not _STATE.fullmatch(line.rstrip())]


def _write_state(writer: Writer) -> str:
    state = _State(run=writer.run_id, attempt=writer.attempt, head=writer.head_sha)
    line = f"<!-- modelci-state: {msgspec.json.encode(state).decode()} -->"
    if read_writer(f"m\n{line}", "m") != writer:
        raise ValueError(f"no run of a forge is {writer}")
    return line
