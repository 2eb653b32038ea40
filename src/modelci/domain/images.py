"""What images are called: repositories, tags and digests, by the grammar of OCI registries."""

import re
from dataclasses import dataclass

ARTIFACT = "{artifact}"
"""Where it stands in a repository's name, each artifact has a repository of its own."""

LAYOUT = "oci:"
PINNED = "NAME@sha256:DIGEST, or oci:FOLDER:TAG for an image layout on this machine"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(
    rf"(?:[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?)(?:/{_PART})+"
)
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The image that others stand on.

    At a registry by ``name`` and ``digest``, or in a layout: the folder ``name``, maybe a ``tag``.
    """

    name: str
    digest: str | None = None
    tag: str | None = None

    @property
    def is_layout(self) -> bool:
        """Whether it lies on this machine."""
        return self.digest is None


def parse_base(text: str) -> Base:
    """Read ``name[:tag]@sha256:…`` or ``oci:folder[:tag]``; ValueError for what moves.

    A tag beside a digest only tells people what it was: it is left out.
    """
    if text.startswith(LAYOUT):
        folder, colon, tag = text.removeprefix(LAYOUT).rpartition(":")
        if not colon or "/" in tag:
            folder, tag = text.removeprefix(LAYOUT), ""
        if not folder:
            raise ValueError(f"base is {text!r}, which names no folder: {PINNED}")
        return Base(name=folder, tag=tag or None)
    named, _, digest = text.removeprefix("docker://").partition("@")
    if not _DIGEST.fullmatch(digest):
        raise ValueError(
            f"base is {text!r}, which can become another image: write {PINNED}. "
            f"`skopeo inspect --format '{{{{.Digest}}}}' docker://{named}` tells today's digest"
        )
    name, colon, tag = named.rpartition(":")
    return Base(name=name if colon and "/" not in tag else named, digest=digest)


def repository_of(template: str, artifact: str) -> str:
    """Return the repository of an artifact's images; ValueError where that is no such name.

    Registries know lower case alone; the ``:`` behind a folder's name becomes a slash.
    """
    name = artifact.lower().replace(":", "/").replace("=", "/")
    repository = template.replace(ARTIFACT, name)
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(
            f"repository is {repository!r} for {artifact}, which no registry takes: write "
            "HOST/PATH, such as registry.example.com/models/{artifact}"
        )
    return repository


def version_tag(version: str) -> str:
    """Return the tag of a version: ``+`` may not stand in one, and becomes ``_``."""
    return version.replace("+", "_")


def release_tag(release_id: str) -> str:
    """Return the tag of a release."""
    return release_id.replace("+", "_")


def release_of(tag: str) -> str:
    """Return the release that a tag is of: no version has an underscore."""
    return tag.replace("_", "+")


def stage_tag(stage: str) -> str:
    """Return the tag of a stage: a slash becomes two dots, which no stage's name has."""
    return stage.replace("/", "..")


def is_tag(text: str) -> bool:
    """Whether an image can be tagged so."""
    return _TAG.fullmatch(text) is not None


def is_release_tag(tag: str) -> bool:
    """Whether a tag is that of a release."""
    return _RELEASE.fullmatch(tag) is not None


def digest_of(reference: str | None) -> str | None:
    """Return the digest of a reference such as ``host/name@sha256:…``."""
    return (reference or "").partition("@")[2] or None
