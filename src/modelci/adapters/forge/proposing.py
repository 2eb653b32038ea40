"""Pull requests that we open: one for a branch, found again by it; the same on every forge.

The branch lies in the repository itself, so that only who may write there can have made it. In
the text the marker line and what is below are ours: what people write above stays, and so does
the text of a pull request that they opened themselves.

Two runs that look before either opens can cross; GitHub, GitLab and Gitea then refuse the second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Protocol

from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.sticky import has_marker, normalize
from modelci.errors import ForgeError
from modelci.ports import PostedProposal, Proposal, ProposalState

MAX_TITLE_CHARACTERS = 240
_CUT = "\n\n… (cut)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProposal:
    """A pull request that a forge has; ``key`` is what its store wants to know of it besides."""

    number: int
    url: str
    state: ProposalState
    head_sha: str
    title: str = ""
    body: str = ""
    labels: tuple[str, ...] = ()
    merges_itself: bool = False
    key: str = ""

    def post(self, action: str, notes: Sequence[str] = ()) -> PostedProposal:
        """Return it as the port tells it."""
        return PostedProposal(
            number=self.number,
            url=self.url,
            state=self.state,
            head_sha=self.head_sha,
            action=action,
            notes=tuple(notes),
        )


class ProposalStore(Protocol):
    """A forge's pull requests; a request that may have done its work raises LookAgainError."""

    @property
    def max_characters(self) -> int:
        """How long a text may be."""

    def find(self, branch: str, *, base: str) -> KnownProposal | None:
        """Return the open pull request of the repository's own branch, else the newest."""

    def create(self, wanted: Proposal) -> KnownProposal:
        """Open one; labels are set apart. LookAgainError where the branch has one already."""

    def update(self, known: KnownProposal, *, title: str, body: str, sha: str) -> None:
        """Replace title and text; ``sha`` is the head, for a forge that sees no pushes."""

    def label(self, known: KnownProposal, labels: Sequence[str]) -> None:
        """Add labels, and make those that the repository lacks."""

    def merge_when_ready(self, known: KnownProposal, *, sha: str) -> None:
        """Let the forge merge it at ``sha`` once what it requires has passed, and never before.

        Raises ForgeError with the setting that keeps it from doing so.
        """

    def close(self, known: KnownProposal, *, why: str) -> None:
        """Say why, and close it."""

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause before looking again, or raise where the time for that is used up."""


def find_proposal(store: ProposalStore, branch: str, base: str) -> PostedProposal | None:
    """Return the branch's pull request, however it ended."""
    known = store.find(branch, base=base)
    return None if known is None else known.post("unchanged")


def propose(store: ProposalStore, wanted: Proposal) -> PostedProposal:
    """Open the pull request, or bring the open one up to date."""
    body = wanted.body.encode("utf-8", "replace").decode()
    wanted = replace(wanted, title=clip(wanted.title), body=body)
    for tries in count():
        known = store.find(wanted.branch, base=wanted.base)
        if known is not None and known.state is ProposalState.OPEN:
            return _update(store, known, wanted)
        try:
            made = store.create(
                replace(wanted, body=merge_text("", wanted, limit=store.max_characters))
            )
        except LookAgainError as error:
            store.wait(error, tries=tries)
        else:
            return made.post("created", _complete(store, made, wanted))
    raise AssertionError  # unreachable: count() never ends


def withdraw(store: ProposalStore, branch: str, base: str, why: str) -> PostedProposal | None:
    """Close the branch's pull request, if one is open."""
    known = store.find(branch, base=base)
    if known is None or known.state is not ProposalState.OPEN:
        return None
    store.close(known, why=why)
    return replace(known, state=ProposalState.CLOSED).post("closed")


def merge_text(text: str, wanted: Proposal, *, limit: int) -> str:
    """Return what people wrote in ``text``, and below it the marker and our own."""
    lines = normalize(text).split("\n")
    theirs = lines[: lines.index(wanted.marker)] if has_marker(text, wanted.marker) else lines
    above = "\n".join(theirs).rstrip()
    own = [line for line in normalize(wanted.body).split("\n") if line != wanted.marker]
    ours = "\n".join([wanted.marker, *own])
    whole = f"{above}\n\n{ours}" if above else ours
    return whole if len(whole) <= limit else whole[: limit - len(_CUT)] + _CUT


def clip(title: str) -> str:
    """Return a title on one line that every forge takes."""
    line = " ".join(title.encode("utf-8", "replace").decode().split())
    most = MAX_TITLE_CHARACTERS
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _update(store: ProposalStore, known: KnownProposal, wanted: Proposal) -> PostedProposal:
    body = merge_text(known.body, wanted, limit=store.max_characters)
    action = "unchanged"
    # A forge may take its time until it shows what was pushed: the text alone would not tell.
    is_same = (known.title, normalize(known.body)) == (wanted.title, normalize(body))
    if not is_same or known.head_sha != wanted.head_sha:
        store.update(known, title=wanted.title, body=body, sha=wanted.head_sha)
        action = "updated"
    known = replace(known, head_sha=wanted.head_sha)
    return known.post(action, _complete(store, known, wanted))


def _complete(store: ProposalStore, known: KnownProposal, wanted: Proposal) -> list[str]:
    """Set what the pull request can do without; return what could not be set."""
    missing = [label for label in wanted.labels if label not in known.labels]
    notes = []
    if missing:
        notes += attempt(
            f"It has no label {', '.join(missing)}", partial(store.label, known, missing)
        )
    if wanted.auto_merge and not known.merges_itself:
        merge = partial(store.merge_when_ready, known, sha=wanted.head_sha)
        notes += attempt("It will not merge by itself", merge)
    return notes


def attempt(otherwise: str, step: Callable[[], None]) -> list[str]:
    """Take a step that is not worth failing for; where it fails, return what is so and why."""
    try:
        step()
    except ForgeError as error:
        return [f"{otherwise}: {error}{f' {error.hint}' if error.hint else ''}"]
    return []
