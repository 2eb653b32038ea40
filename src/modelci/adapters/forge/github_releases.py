"""Releases on GitHub, their drafts and their files."""

from itertools import count
from urllib.parse import quote

import httpx
import msgspec

from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.adapters.forge.http import ForgeClient, RawBody
from modelci.adapters.forge.releasing import Asset, Found, Wanted, publish
from modelci.errors import ForgeError
from modelci.ports import PostedRelease

NEEDS = "contents: write"
PAGE = 100
MAX_PAGES = 50
BYTES = "application/octet-stream"


class _Asset(msgspec.Struct):
    id: int
    name: str
    size: int
    state: str
    digest: str | None = None


class _Release(msgspec.Struct):
    id: int
    html_url: str
    upload_url: str
    tag_name: str
    name: str | None = None
    body: str | None = None
    draft: bool = False
    immutable: bool = False
    assets: list[_Asset] = []


def find_uploads_url(api_url: str) -> str | None:
    """Return where files are uploaded to, where that is another host than the API's.

    https://api.github.com → https://uploads.github.com, https://api.SUB.ghe.com →
    https://uploads.SUB.ghe.com. On Enterprise Server it is https://HOST/api/uploads.
    """
    host = httpx.URL(api_url).host
    return f"https://uploads.{host.removeprefix('api.')}" if host.startswith("api.") else None


class GitHubReleases:
    """The releases of one repository, as ``releasing.publish`` wants them."""

    def __init__(self, client: ForgeClient, root: str) -> None:
        self._client = client
        self._root = root
        self._uploads: dict[int, str] = {}

    def publish(self, wanted: Wanted) -> PostedRelease:
        """Bring the release about: a draft, its files, and only then the public."""
        return publish(self, wanted)

    def find(self, tag: str) -> Found | None:
        """Return the published release of a tag, else the oldest draft of it."""
        published = self._published(tag)
        if published is not None:
            return self._describe(published)
        drafts = [one for one in self._list() if one.draft and one.tag_name == tag]
        return self._describe(min(drafts, key=lambda one: one.id)) if drafts else None

    def create(self, wanted: Wanted) -> Found:
        """Create a release; NotFoundError without its tag, which GitHub would make anew."""
        self._require_tag(wanted.tag)
        body = {"tag_name": wanted.tag, **_fields(wanted), "draft": bool(wanted.assets)}
        reply = self._client.send("POST", f"{self._root}/releases", body, needs=NEEDS)
        return self._describe(self._client.decode(reply, _Release))

    def upload(self, release: Found, name: str, data: bytes) -> None:
        """Send a file to the address that GitHub names for it."""
        where = f"{self._uploads[release.key]}?name={quote(name, safe='')}"
        self._client.send("POST", where, RawBody(data=data, content_type=BYTES), needs=NEEDS)

    def remove(self, release: Found, asset: Asset) -> None:  # noqa: ARG002
        """Delete a file."""
        self._client.send("DELETE", f"{self._root}/releases/assets/{asset.key}", needs=NEEDS)

    def update(self, release: Found, wanted: Wanted) -> Found:
        """Bring a release up to date; a draft becomes public."""
        body: dict[str, object] = {"name": wanted.title, "body": wanted.body}
        if release.is_draft:
            body |= {**_fields(wanted), "draft": False}
        path = f"{self._root}/releases/{release.key}"
        reply = self._client.send("PATCH", path, body, needs=NEEDS)
        return self._describe(self._client.decode(reply, _Release))

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause, out of the time for waiting."""
        self._client.wait(error, tries=tries)

    def read(self, tag: str, name: str, *, max_bytes: int) -> bytes:
        """Return a file of a published release."""
        release = self._published(tag)
        found = [one for one in release.assets if one.name == name] if release else []
        if not found:
            raise ForgeError(
                f"GitHub has no published release of {tag} with a file {name}.",
                hint="`modelci promote` with `promote: {releases: true}` publishes it.",
            )
        path = f"{self._root}/releases/assets/{found[0].id}"
        return self._client.download(
            path, max_bytes=max_bytes, needs="contents: read", accept=BYTES
        )

    def _published(self, tag: str) -> _Release | None:
        path = f"{self._root}/releases/tags/{quote(tag, safe='')}"
        try:
            reply = self._client.send("GET", path, needs=NEEDS)
        except NotFoundError:
            return None
        return self._client.decode(reply, _Release)

    def _list(self) -> list[_Release]:
        """Return all releases; drafts have no other address that their tag would tell."""
        found: list[_Release] = []
        for page in count(1):
            path = f"{self._root}/releases?per_page={PAGE}&page={page}"
            reply = self._client.send("GET", path, needs=NEEDS)
            found += self._client.decode(reply, list[_Release])
            if "next" not in reply.links or page == MAX_PAGES:
                return found
        raise AssertionError  # unreachable: count() never ends

    def _describe(self, found: _Release) -> Found:
        self._uploads[found.id] = found.upload_url.partition("{")[0]
        return Found(
            key=found.id,
            url=found.html_url,
            title=found.name or "",
            body=found.body or "",
            is_draft=found.draft,
            is_immutable=found.immutable and not found.draft,
            assets=tuple(
                Asset(
                    key=one.id,
                    name=one.name,
                    size=one.size,
                    sha256=_sha256(one.digest),
                    is_whole=one.state == "uploaded",
                )
                for one in found.assets
            ),
        )

    def _require_tag(self, tag: str) -> None:
        """Refuse a missing tag: GitHub would make a light one, on the default branch."""
        try:
            self._client.send(
                "GET", f"{self._root}/git/ref/tags/{quote(tag, safe='')}", needs=NEEDS
            )
        except NotFoundError as error:
            raise NotFoundError(
                f"GitHub has no tag {tag} to release, or hides the repository from this token.",
                hint=f"Push it first: git push origin {tag}",
            ) from error


def _fields(wanted: Wanted) -> dict[str, object]:
    newest = wanted.latest and not wanted.prerelease
    return {
        "name": wanted.title,
        "body": wanted.body,
        "prerelease": wanted.prerelease,
        "make_latest": "true" if newest else "false",
    }


def _sha256(digest: str | None) -> str | None:
    kind, _, value = (digest or "").partition(":")
    return value if kind == "sha256" else None
