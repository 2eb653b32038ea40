"""One repository of an image registry, through skopeo.

skopeo finds credentials as it always does: in the file that ``skopeo login`` and ``docker login``
write, or in the one that ``$REGISTRY_AUTH_FILE`` names. Nothing here reads them.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelci.adapters.targets.tools import ToolError, Tools
from modelci.domain.images import Base
from modelci.errors import DeploymentError

_RETRIES = "--retry-times=2"
_ABSENT = re.compile(
    r"manifest unknown|name unknown|repository name not known|404 \(Not Found\)|"
    r"(?:manifest|repository|tag) .*not found|status code from registry 404"
)
_DENIED = re.compile(
    r"unauthorized|authentication required|denied|forbidden|insufficient_scope|\b40[13]\b",
    re.IGNORECASE,
)
_OTHER_BYTES = re.compile(
    r"Digest did not match|digest mismatch|does not match (?:expected|config digest)"
)
_NO_TLS = "server gave HTTP response to HTTPS client"
_POLICY = "/etc/containers/policy.json"
_UNSUPPORTED = re.compile(r"unsupported|\b405\b", re.IGNORECASE)


class OtherBytesError(Exception):
    """The registry serves other bytes than their digest says, or lacks some."""


class Registry:
    """A repository such as ``registry.example.com/models/credit``."""

    def __init__(self, repository: str, tools: Tools, *, insecure: bool = False) -> None:
        self.repository = repository
        self._tools = tools
        self._insecure = insecure

    def __str__(self) -> str:
        return self.repository

    def tags(self) -> tuple[str, ...]:
        """Return its tags; none where the repository does not exist yet."""
        said = self._ask("list-tags", *self._tls("tls-verify"), f"docker://{self.repository}")
        return () if said is None else tuple(json.loads(said)["Tags"] or ())

    def manifest(self, tag: str) -> bytes | None:
        """Return the manifest that a tag leads to, byte for byte; None where there is no tag."""
        return self._ask("inspect", "--raw", *self._tls("tls-verify"), self._url(tag))

    def digest(self, tag: str) -> str | None:
        """Return the digest of the manifest that a tag leads to; None where there is none."""
        manifest = self.manifest(tag)
        return None if manifest is None else digest_of_bytes(manifest)

    def labels(self, tag: str) -> Mapping[str, str] | None:
        """Return the labels of the image that a tag leads to; None where there is no tag."""
        said = self._ask("inspect", "--config", *self._tls("tls-verify"), self._url(tag))
        return None if said is None else _labels(json.loads(said))

    def push(self, layout: Path, name: str, tag: str) -> str:
        """Copy the layout's image there, its manifest last, and return its digest."""
        return self._copy(f"oci:{layout}:{name}", self._url(tag), f"push {tag} to")

    def retag(self, digest: str, tag: str) -> None:
        """Let a tag lead to an image that is there, from one moment to the next."""
        self._copy(f"docker://{self.repository}@{digest}", self._url(tag), f"set {tag} in")

    def pull(self, digest: str, layout: Path, name: str) -> None:
        """Copy an image into a layout; OtherBytesError where it is not what its digest says."""
        self._copy(f"docker://{self.repository}@{digest}", f"oci:{layout}:{name}", "pull from")

    def delete(self, tag: str) -> None:
        """Delete the image that a tag leads to, with all its tags."""
        self._ask("delete", *self._tls("tls-verify"), self._url(tag))

    def _url(self, tag: str) -> str:
        return f"docker://{self.repository}:{tag}"

    def _tls(self, *options: str) -> list[str]:
        # Said only where it is off: registries.conf of the machine may know better.
        return [f"--{option}=false" for option in options] if self._insecure else []

    def _copy(self, source: str, destination: str, what: str) -> str:
        pairs = (("src", source), ("dest", destination))
        ends = [end for end, one in pairs if one.startswith("docker://")]
        with tempfile.TemporaryDirectory(prefix="modelci-image-") as folder:
            file = Path(folder, "digest")
            options = self._tls(*(f"{end}-tls-verify" for end in ends))
            try:
                self._tools.run(
                    [
                        *("skopeo", "copy", "--quiet", "--preserve-digests", _RETRIES),
                        *(f"--digestfile={file}", *options, source, destination),
                    ]
                )
            except ToolError as error:
                raise self._translate(str(error), what) from error
            return file.read_text(encoding="ascii").strip()

    def _ask(self, verb: str, *arguments: str) -> bytes | None:
        """Run a question of skopeo's; None where what it is about does not exist."""
        try:
            return self._tools.run(["skopeo", verb, _RETRIES, *arguments])
        except ToolError as error:
            if _ABSENT.search(str(error)):
                return None
            raise self._translate(str(error), f"{verb} in") from error

    def _translate(self, said: str, what: str) -> Exception:
        if _OTHER_BYTES.search(said) or ("blob" in said and _ABSENT.search(said)):
            return OtherBytesError(said)
        message = f"skopeo could not {what} {self.repository}: {said}"
        if _NO_TLS in said:
            hint = "The registry speaks no TLS: `image: {insecure: true}` of the target says so."
        elif _POLICY in said:
            hint = f"skopeo wants {_POLICY}, which says whom to trust: install containers-common "
            hint += "(Debian: golang-github-containers-common)."
        elif _UNSUPPORTED.search(said):
            hint = "The registry lets nobody do that; its settings may say otherwise."
        elif _DENIED.search(said):
            host = self.repository.partition("/")[0]
            hint = (
                f"Log in (`skopeo login {host}`, `docker login {host}`), as somebody who may "
                "push there; $REGISTRY_AUTH_FILE names another file of credentials."
            )
        else:
            hint = "Is the registry up, and does this machine reach it? Then deploy again: what "
            hint += "was pushed is found there."
        return DeploymentError(message, hint=hint)


def fetch_base(base: Base, layout: Path, name: str, *, root: Path, tools: Tools) -> None:
    """Copy the base image, of this machine's kind, into a layout under a name."""
    if base.is_layout:
        tag = f":{base.tag}" if base.tag else ""
        source = f"oci:{root / base.name}{tag}"
    else:
        source = f"docker://{base.name}@{base.digest}"
    try:
        tools.run(
            [
                *("skopeo", "copy", "--quiet", "--format=oci", _RETRIES),
                *(source, f"oci:{layout}:{name}"),
            ]
        )
    except ToolError as error:
        raise DeploymentError(
            f"The base image cannot be had: {error}",
            hint="image.base of the target names it: `skopeo inspect` with that name shows what "
            "is wrong.",
        ) from error


def digest_of_bytes(data: bytes) -> str:
    """Return the digest that bytes are called by."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _labels(config: Mapping[str, Any]) -> Mapping[str, str]:
    return dict((config.get("config") or {}).get("Labels") or {})
