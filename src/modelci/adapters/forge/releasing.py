"""How a release is made whole: a draft, its files, and only then the public; the same everywhere.

Some forges let nothing of a published release be changed, and keep its tag's name for good. What
was cut short is found again and completed: a file counts by its name, size and, where the forge
tells it, digest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Protocol

from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.sticky import normalize
from modelci.ports import PostedRelease

NO_FILES: Mapping[str, bytes] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A release as it shall be; ``assets`` are files by name."""

    tag: str
    title: str
    body: str
    assets: Mapping[str, bytes] = field(default_factory=dict)
    prerelease: bool = False
    latest: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file of a release; ``is_whole`` is False for an upload that broke off."""

    key: int
    name: str
    size: int
    sha256: str | None = None
    is_whole: bool = True

    def holds(self, data: bytes) -> bool:
        """Whether these are the bytes, as far as the forge tells."""
        same = self.is_whole and self.size == len(data)
        return same and self.sha256 in {None, sha256(data).hexdigest()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A release as the forge has it; of an immutable one nothing can be changed."""

    key: int
    url: str
    title: str
    body: str
    assets: tuple[Asset, ...] = ()
    is_draft: bool = False
    is_immutable: bool = False

    def asset(self, name: str) -> Asset | None:
        """Return the file of that name."""
        return next((one for one in self.assets if one.name == name), None)


class Store(Protocol):
    """A forge's releases; a request that may have done its work raises LookAgainError."""

    def find(self, tag: str) -> Found | None:
        """Return the published release of a tag, else our draft of it."""

    def create(self, wanted: Wanted) -> Found:
        """Create the release: as a draft where it has files, else published at once."""

    def upload(self, release: Found, name: str, data: bytes) -> None:
        """Add a file."""

    def remove(self, release: Found, asset: Asset) -> None:
        """Delete a file."""

    def update(self, release: Found, wanted: Wanted) -> Found:
        """Bring title and text up to date; publish a draft."""

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause before looking again."""


def publish(store: Store, wanted: Wanted) -> PostedRelease:
    """Bring the release about, whatever an earlier run has left of it."""
    for tries in count():
        try:
            return _complete(store, wanted)
        except LookAgainError as error:
            store.wait(error, tries=tries)
    raise AssertionError  # unreachable: count() never ends


def _complete(store: Store, wanted: Wanted) -> PostedRelease:
    found = store.find(wanted.tag) or store.create(wanted)
    if found.is_immutable:
        return PostedRelease(tag=wanted.tag, url=found.url, notes=_left(found, wanted))
    notes = [note for name in wanted.assets if (note := _bring(store, found, wanted, name))]
    if found.is_draft or not _says(found, wanted):
        found = store.update(found, wanted)
    return PostedRelease(tag=wanted.tag, url=found.url, notes=tuple(notes))


def _bring(store: Store, found: Found, wanted: Wanted, name: str) -> str | None:
    """Upload a file that is missing or broken; return why it is left as it is."""
    known, data = found.asset(name), wanted.assets[name]
    if known is not None and known.holds(data):
        return None
    if known is not None and known.is_whole and not found.is_draft:
        return f"{name} of the release {wanted.tag} holds other bytes; published ones are left."
    if known is not None:
        store.remove(found, known)
    store.upload(found, name, data)
    return None


def _left(found: Found, wanted: Wanted) -> tuple[str, ...]:
    """Say what of a release that cannot be changed is not as it should be."""
    other = [
        name
        for name, data in wanted.assets.items()
        if (known := found.asset(name)) is None or not known.holds(data)
    ]
    parts = [*([] if _says(found, wanted) else ["its text"]), *other]
    if not parts:
        return ()
    what = f"The release {wanted.tag} is immutable and stays as it is"
    return (f"{what}; this run would have it differ in {', '.join(parts)}.",)


def _says(found: Found, wanted: Wanted) -> bool:
    return (found.title, normalize(found.body)) == (wanted.title, normalize(wanted.body))
