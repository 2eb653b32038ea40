"""Releases on GitLab, their files, and where these lie: in the project's generic packages.

GitLab knows no drafts. So the files go first, each under a name that follows from the tag, and
the release is made with links to all of them at once: it is there whole, or not at all.
"""

import re
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.adapters.forge.http import ForgeClient, RawBody
from modelci.adapters.forge.releasing import Asset, Wanted
from modelci.errors import ForgeError
from modelci.ports import PostedRelease

if TYPE_CHECKING:
    from modelci.adapters.forge.gitlab import GitLabForge

_PAGE = 100


class _Links(msgspec.Struct):
    self: str


class _Link(msgspec.Struct):
    name: str


class _Assets(msgspec.Struct):
    links: list[_Link] = []


class _Release(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    links: _Links | None = msgspec.field(default=None, name="_links")
    assets: _Assets = msgspec.field(default_factory=_Assets)


class _Package(msgspec.Struct):
    id: int
    name: str
    version: str


class _File(msgspec.Struct):
    id: int
    file_name: str
    size: int
    file_sha256: str | None = None


class GitLabReleases:
    """The releases of one project; ``page`` is where its releases are looked at."""

    def __init__(
        self, forge: "GitLabForge", client: ForgeClient, *, api_url: str, root: str, page: str
    ) -> None:
        self._forge = forge
        self._client = client
        self._api = f"{api_url}{root}"
        self._root = root
        self._page = page

    def publish(self, wanted: Wanted) -> PostedRelease:
        """Bring the release about, whatever an earlier run has left of it."""
        for tries in count():
            try:
                return self._complete(wanted)
            except LookAgainError as error:
                self._client.wait(error, tries=tries)
        raise AssertionError  # unreachable: count() never ends

    def read(self, tag: str, name: str, *, max_bytes: int) -> bytes:
        """Return a file that a release links to."""
        known = self._find(tag)
        if known is None or name not in {one.name for one in known.assets.links}:
            raise ForgeError(
                f"GitLab has no release of {tag} with a file {name}.",
                hint="`modelci promote` with `promote: {releases: true}` publishes it.",
            )
        return self._client.download(self._address(tag, name), max_bytes=max_bytes)

    def _complete(self, wanted: Wanted) -> PostedRelease:
        known = self._find(wanted.tag)
        if known is None:
            self._require_tag(wanted.tag)
        linked = {one.name for one in known.assets.links} if known else frozenset()
        notes = self._upload(wanted, frozenset(linked))
        if known is None:
            known = self._create(wanted)
        else:
            self._update(known, wanted, frozenset(linked))
        url = known.links.self if known.links else f"{self._page}/{quote(wanted.tag, safe='')}"
        return PostedRelease(tag=wanted.tag, url=url, notes=notes)

    def _create(self, wanted: Wanted) -> _Release:
        links = [self._link(wanted.tag, name) for name in wanted.assets]
        body = {
            "tag_name": wanted.tag,
            "name": wanted.title,
            "description": wanted.body,
            **({"assets": {"links": links}} if links else {}),
        }
        return self._forge.ask("post", f"{self._root}/releases", _Release, body)

    def _update(self, known: _Release, wanted: Wanted, linked: frozenset[str]) -> None:
        path = self._path(wanted.tag)
        for name in wanted.assets:
            if name not in linked:
                self._forge.send("post", f"{path}/assets/links", self._link(wanted.tag, name))
        if (known.name, known.description) != (wanted.title, wanted.body):
            body = {"name": wanted.title, "description": wanted.body}
            self._forge.ask("put", path, _Release, body)

    def _upload(self, wanted: Wanted, linked: frozenset[str]) -> tuple[str, ...]:
        """Store what is missing; return what of the files in public is left as it is."""
        stored = self._stored(wanted.tag) if wanted.assets else {}
        notes = []
        for name, data in wanted.assets.items():
            known = stored.get(name)
            if known is not None and known.holds(data):
                continue
            if known is not None and name in linked:
                notes.append(
                    f"{name} of the release {wanted.tag} holds other bytes; "
                    "published ones are left."
                )
                continue
            body = RawBody(data=data, content_type="application/octet-stream")
            self._client.send("PUT", self._address(wanted.tag, name), body)
        return tuple(notes)

    def _stored(self, tag: str) -> dict[str, Asset]:
        """Return the files of the tag's package; of several of a name the newest counts."""
        package, version = package_of(tag)
        query = f"package_type=generic&package_name={package}&package_version={version}"
        path = f"{self._root}/packages?{query}&per_page={_PAGE}"
        packages = self._client.decode(self._client.send("GET", path), list[_Package])
        found: dict[str, Asset] = {}
        for one in packages:
            if (one.name, one.version) == (package, version):
                path = f"{self._root}/packages/{one.id}/package_files?per_page={_PAGE}"
                files = self._client.decode(self._client.send("GET", path), list[_File])
                found |= {file.file_name: _asset(file) for file in sorted(files, key=_by_id)}
        return found

    def _link(self, tag: str, name: str) -> dict[str, str]:
        return {"name": name, "url": self._address(tag, name), "link_type": "other"}

    def _address(self, tag: str, name: str) -> str:
        package, version = package_of(tag)
        return f"{self._api}/packages/generic/{package}/{version}/{quote(name, safe='')}"

    def _path(self, tag: str) -> str:
        return f"{self._root}/releases/{quote(tag, safe='')}"

    def _find(self, tag: str) -> _Release | None:
        try:
            return self._forge.ask("get", self._path(tag), _Release)
        except NotFoundError:
            return None

    def _require_tag(self, tag: str) -> None:
        try:
            self._forge.send("get", f"{self._root}/repository/tags/{quote(tag, safe='')}")
        except NotFoundError as error:
            raise NotFoundError(
                f"GitLab has no tag {tag} to release, or hides the project from this token.",
                hint=f"Push it first: git push origin {tag}",
            ) from error


def package_of(tag: str) -> tuple[str, str]:
    """Return the package and version that keep a tag's files.

    Names may hold letters, digits, dots, hyphens and underscores; a tag that holds more is told
    apart from its like by a few digits of its hash.
    """
    artifact, _, version = tag.rpartition("@")
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", artifact).strip("-") or "release"
    if plain != artifact:
        plain = f"{plain}-{sha256(tag.encode()).hexdigest()[:8]}"
    return plain, re.sub(r"[^A-Za-z0-9_.-]+", "-", version)


def _asset(file: _File) -> Asset:
    return Asset(key=file.id, name=file.file_name, size=file.size, sha256=file.file_sha256)


def _by_id(file: _File) -> int:
    return file.id
