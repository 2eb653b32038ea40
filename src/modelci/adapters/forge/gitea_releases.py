"""Releases on Gitea and Forgejo, their drafts and their attachments."""

from urllib.parse import quote

import httpx
import msgspec

from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.adapters.forge.http import ForgeClient, RawBody
from modelci.adapters.forge.releasing import Asset, Found, Wanted, publish
from modelci.errors import ForgeError
from modelci.ports import PostedRelease

PAGE = 50
MAX_PAGES = 50


class _Asset(msgspec.Struct):
    id: int
    name: str
    size: int
    browser_download_url: str


class _Release(msgspec.Struct):
    id: int
    html_url: str
    tag_name: str
    name: str | None = None
    body: str | None = None
    draft: bool = False
    assets: list[_Asset] = []


class GiteaReleases:
    """The releases of one repository, as ``releasing.publish`` wants them.

    Gitea tells of a file its size and no digest, and which release is the newest is its own to say.
    """

    def __init__(self, client: ForgeClient, root: str) -> None:
        self._client = client
        self._root = root

    def publish(self, wanted: Wanted) -> PostedRelease:
        """Bring the release about: a draft, its files, and only then the public."""
        return publish(self, wanted)

    def find(self, tag: str) -> Found | None:
        """Return the release of a tag, published or a draft."""
        known = self._by_tag(tag)
        if known is None:
            drafts = [one for one in self._drafts() if one.draft and one.tag_name == tag]
            known = min(drafts, key=lambda one: one.id) if drafts else None
        return _describe(known) if known else None

    def create(self, wanted: Wanted) -> Found:
        """Create a release; NotFoundError without its tag, which Gitea would make anew."""
        self._require_tag(wanted.tag)
        body = {
            "tag_name": wanted.tag,
            "name": wanted.title,
            "body": wanted.body,
            "prerelease": wanted.prerelease,
            "draft": bool(wanted.assets),
        }
        reply = self._client.send("POST", f"{self._root}/releases", body)
        return _describe(self._client.decode(reply, _Release))

    def upload(self, release: Found, name: str, data: bytes) -> None:
        """Attach a file."""
        form = httpx.Request(
            "POST", "https://form.invalid", files={"attachment": (name, data, _BYTES)}
        )
        body = RawBody(data=form.read(), content_type=form.headers["content-type"])
        path = f"{self._root}/releases/{release.key}/assets?name={quote(name, safe='')}"
        self._client.send("POST", path, body)

    def remove(self, release: Found, asset: Asset) -> None:
        """Delete an attachment."""
        path = f"{self._root}/releases/{release.key}/assets/{asset.key}"
        self._client.send("DELETE", path)

    def update(self, release: Found, wanted: Wanted) -> Found:
        """Bring a release up to date; a draft becomes public."""
        body: dict[str, object] = {"name": wanted.title, "body": wanted.body}
        if release.is_draft:
            body |= {"draft": False, "prerelease": wanted.prerelease}
        reply = self._client.send("PATCH", f"{self._root}/releases/{release.key}", body)
        return _describe(self._client.decode(reply, _Release))

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause, out of the time for waiting."""
        self._client.wait(error, tries=tries)

    def read(self, tag: str, name: str, *, max_bytes: int) -> bytes:
        """Return an attachment of a published release."""
        release = self._by_tag(tag)
        public = release.assets if release and not release.draft else []
        found = [one for one in public if one.name == name]
        if not found:
            raise ForgeError(
                f"Gitea has no published release of {tag} with a file {name}.",
                hint="`modelci promote` with `promote: {releases: true}` publishes it.",
            )
        return self._client.download(found[0].browser_download_url, max_bytes=max_bytes)

    def _by_tag(self, tag: str) -> _Release | None:
        path = f"{self._root}/releases/tags/{quote(tag, safe='')}"
        try:
            reply = self._client.send("GET", path)
        except NotFoundError:
            return None
        return self._client.decode(reply, _Release)

    def _drafts(self) -> list[_Release]:
        found: dict[int, _Release] = {}
        for page in range(1, MAX_PAGES + 1):
            query = f"draft=true&limit={PAGE}&page={page}"
            reply = self._client.send("GET", f"{self._root}/releases?{query}")
            known = len(found)
            found |= {one.id: one for one in self._client.decode(reply, list[_Release])}
            if len(found) == known:
                break
        return list(found.values())

    def _require_tag(self, tag: str) -> None:
        """Refuse a missing tag: Gitea would make a light one, on the default branch."""
        try:
            self._client.send("GET", f"{self._root}/tags/{quote(tag, safe='')}")
        except NotFoundError as error:
            raise NotFoundError(
                f"Gitea has no tag {tag} to release, or hides the repository from this token.",
                hint=f"Push it first: git push origin {tag}",
            ) from error


_BYTES = "application/octet-stream"


def _describe(found: _Release) -> Found:
    return Found(
        key=found.id,
        url=found.html_url,
        title=found.name or "",
        body=found.body or "",
        is_draft=found.draft,
        assets=tuple(Asset(key=one.id, name=one.name, size=one.size) for one in found.assets),
    )
