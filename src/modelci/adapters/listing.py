"""Starts the ``git for-each-ref`` that ``tags`` reads.

Apart from it, since Git works while Python loads what takes its answer apart.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelci.adapters.gitprocess import start

if TYPE_CHECKING:
    from os import PathLike

LOCAL = "refs/tags/"
FIELDS = (
    "refname",
    "objecttype",
    "tag",
    "type",  # of what the tag itself names; ``*objecttype`` peels further since Git 2.45
    "object",
    "taggerdate:unix",
    "taggername",
    "taggeremail",
)


class Listing:
    """A ``git for-each-ref`` that has been started; ``tags.read_records`` waits for it.

    Only the artifacts asked for are looked at, whatever else there is: Git seeks what it has packed
    by the name's beginning. Messages take as much memory as all the rest, so they are optional.
    A row is FIELDS and the message (or nothing), with zero bytes between them; it ends in a zero
    byte and a newline.
    """

    def __init__(
        self,
        folder: "str | PathLike[str]",
        artifacts: Sequence[str] | None = None,
        *,
        under: str = LOCAL,
        messages: bool = True,
    ) -> None:
        self.folder = folder
        self.under = under
        self.artifacts = artifacts
        self.patterns = _patterns(under, artifacts)
        self.messages = messages
        form = "".join(f"%({name})%00" for name in FIELDS) + f"{'%(contents)' * messages}%00"
        self.process = start(folder, "for-each-ref", f"--format={form}", *self.patterns)


def _patterns(under: str, artifacts: Sequence[str] | None) -> list[str]:
    if artifacts is None:
        return [under]
    names = [name.replace(":", "=", 1) for name in artifacts]
    # A star stops at a slash, and a stage's name may hold some: eu/prod.
    globs = [f"{under}{name}{glob}" for name in names for glob in ("@*", "#*", "#*/**")]
    return globs or [f"{under}@"]  # no pattern would mean every ref
