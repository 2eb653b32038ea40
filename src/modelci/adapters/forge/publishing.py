"""Releases on a forge that receives the pushes, tags and all."""

from collections.abc import Mapping
from typing import Protocol

from modelci.adapters.forge.releasing import NO_FILES, Wanted
from modelci.ports import PostedRelease


class Releases(Protocol):
    """A forge's releases, each made whole before it is public."""

    def publish(self, wanted: Wanted) -> PostedRelease:
        """Bring about a release."""

    def read(self, tag: str, name: str, *, max_bytes: int) -> bytes:
        """Return a file of a published release."""


class Publishing:
    """What the port asks of releases, by a forge's own ``Releases``."""

    _releases: Releases

    def publish_release(
        self,
        tag: str,
        *,
        title: str,
        body: str,
        assets: Mapping[str, bytes] = NO_FILES,
        prerelease: bool = False,
        latest: bool = True,
    ) -> PostedRelease:
        """Bring about the release of a tag that the forge has."""
        wanted = Wanted(
            tag=tag, title=title, body=body, assets=assets, prerelease=prerelease, latest=latest
        )
        return self._releases.publish(wanted)

    def read_release_asset(self, tag: str, name: str, *, max_bytes: int) -> bytes:
        """Return a file of a published release."""
        return self._releases.read(tag, name, max_bytes=max_bytes)

    def record_tag(self, tag: str, *, commit: str, message: str) -> None:
        """Do nothing: the forge has the tag since it was pushed."""
