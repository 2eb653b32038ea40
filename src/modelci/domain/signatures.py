"""Who signed a registry's tags, and whether they may: decided from what Git made of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from modelci.domain.tags import TagName


class Standing(StrEnum):
    """What a tag's signature is worth."""

    GOOD = "good"
    UNSIGNED = "unsigned"
    UNKNOWN = "unknown"
    BAD = "bad"
    MISNAMED = "misnamed"
    NOT_ALLOWED = "not-allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What Git says of one tag object, before anybody asks who may sign what.

    ``tag`` is the name inside the object, None where the ref leads to no tag object; ``kind`` is
    ssh, openpgp or x509, None without signature. ``signer`` is the principal of an allowed-signers
    file, or a key's own address; ``key`` is its fingerprint. ``reason`` says what is wrong.
    """

    ref: str
    tag: str | None
    kind: str | None = None
    standing: Standing = Standing.UNSIGNED
    signer: str | None = None
    key: str | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """The ref's short name."""
        return self.ref.partition("/tags/")[2] or self.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSignature:
    """One tag of the registry, and what its signature is worth."""

    tag: str
    artifact: str
    standing: Standing
    kind: str | None = None
    signer: str | None = None
    key: str | None = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the tag is signed by somebody who may."""
        return self.standing is Standing.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Every tag that was looked at; ``allowed_signers`` says which list of SSH keys counts."""

    required: bool
    tags: tuple[TagSignature, ...]
    remote: str | None = None
    allowed_signers: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every tag is good, or none has to be."""
        return not self.required or all(one.ok for one in self.tags)


def judge(
    signatures: Iterable[Signature], signers: Mapping[str, Sequence[str]]
) -> tuple[TagSignature, ...]:
    """Return the verdict on each tag; ``signers`` says who may sign which artifact.

    Its keys are artifacts or globs of them, its values principals, addresses or fingerprints. Of
    all keys that match an artifact the values count together; where none matches, anyone may whom
    Git knows.
    """
    return tuple(_judge(one, signers) for one in signatures)


def _judge(one: Signature, signers: Mapping[str, Sequence[str]]) -> TagSignature:
    name = TagName.parse(one.name)
    artifact = name.artifact if name else one.name
    standing, reason = one.standing, one.reason
    if one.tag is not None and one.tag != one.name:
        # A signed tag copied to another ref still verifies: only its own name was signed.
        standing, reason = Standing.MISNAMED, f"the object says {one.tag}"
    elif standing is Standing.GOOD and not _may_sign(one, artifact, signers):
        standing = Standing.NOT_ALLOWED
        reason = f"{one.signer or one.key} may not sign {artifact}"
    return TagSignature(
        tag=one.name,
        artifact=artifact,
        standing=standing,
        kind=one.kind,
        signer=one.signer,
        key=one.key,
        reason=reason,
    )


def _may_sign(one: Signature, artifact: str, signers: Mapping[str, Sequence[str]]) -> bool:
    who = allowed(artifact, signers)
    return who is None or not {one.signer, one.key}.isdisjoint(who)


def allowed(artifact: str, signers: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """Return who may sign the artifact's tags; None: anyone whom Git knows."""
    lists = [who for pattern, who in signers.items() if fnmatchcase(artifact, pattern)]
    return tuple(dict.fromkeys(one for who in lists for one in who)) if lists else None
