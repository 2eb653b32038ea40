"""Who signed a version's bytes, and whether they may: decided from what their signatures say.

A signature says which files (by sha256) a ``subject`` is made of. The subject is the version's own
tag: the same signature beside another version, or another artifact, is a copy, and counts nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelci.domain.provenance import CheckState, FileBytes, Finding
from modelci.domain.signatures import Standing, allowed
from modelci.domain.tags import TagName

UNDER = "refs/modelci/signatures/"
"""Where the signatures of a version lie: a ref each, below the version's tag."""

SIGNATURE = "signature"
"""What a check of it is called."""

Files = Mapping[str, str]
"""The sha256 of each of a version's files, by its path from the folder that the model lies in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedSigner:
    """Somebody whose signatures count, by one of three means.

    A key: ``public_key`` (PEM). A certificate: ``certificates`` are the authority's (PEM), and
    ``subject`` is whom the signing certificate is of. An identity: what ``issuer`` vouches for to
    Sigstore, whose own or a private instance (``trust_config``, JSON) is believed.
    """

    name: str
    public_key: bytes | None = None
    certificates: bytes | None = None
    subject: str | None = None
    identity: str | None = None
    issuer: str | None = None
    trust_config: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesSignature:
    """What one signature says, and whose it is.

    ``signers`` are those of the trusted whom it verifies with. ``subject`` and ``files`` are worth
    nothing unless it is good.
    """

    ref: str = ""
    standing: Standing = Standing.UNKNOWN
    method: str | None = None
    signers: tuple[str, ...] = ()
    subject: str | None = None
    files: Files = field(default_factory=dict)
    reason: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether somebody who may has signed just these bytes."""
        return self.standing is Standing.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSigning:
    """The document ``modelci.model-signing/1``: a version whose bytes were signed.

    ``ref`` has the signature. ``made`` is false where the same one was there already. ``remote`` is
    the Git remote that has it, None: only this clone.
    """

    tag: str
    artifact: str
    commit: str
    files: Files
    ref: str
    method: str
    made: bool
    signers: tuple[str, ...] = ()
    remote: str | None = None
    notes: tuple[str, ...] = ()


_UNSIGNED = BytesSignature(standing=Standing.UNSIGNED, reason="nobody signed its bytes")
_WORTH = (
    *(Standing.GOOD, Standing.BAD, Standing.NOT_ALLOWED, Standing.MISNAMED, Standing.UNKNOWN),
    Standing.UNSIGNED,
)


def place(tag: str) -> str:
    """Return the folder of refs that the signatures of a version lie in."""
    return f"{UNDER}{tag}/"


def name_files(files: Iterable[FileBytes], path: str) -> dict[str, str]:
    """Return the sha256 of a version's files, as signatures name them; ``path`` is the artifact's.

    ValueError names a file whose bytes are not known to be the right ones.
    """
    above = path.rpartition("/")[0]
    found = {}
    for file in files:
        if file.sha256 is None or not file.is_right:
            raise ValueError(file.refusal or f"{file.path} has no sha256")
        found[file.path[len(above) + 1 :] if above else file.path] = file.sha256
    return dict(sorted(found.items()))


def judge_claims(
    signatures: Sequence[BytesSignature], *, tag: str, signers: Mapping[str, Sequence[str]]
) -> tuple[BytesSignature, ...]:
    """Return the signatures with what each is worth for ``tag``, whatever its bytes; best first.

    ``signers`` says who of the trusted may sign which artifact (or glob of artifacts); where no
    pattern matches, all of them may. Nothing signed is one that is unsigned.
    """
    judged = [_judge(one, tag, signers) for one in signatures] or [_UNSIGNED]
    return tuple(sorted(judged, key=lambda one: _WORTH.index(one.standing)))


def _judge(one: BytesSignature, tag: str, signers: Mapping[str, Sequence[str]]) -> BytesSignature:
    if not one.is_good:
        return one
    if one.subject != tag:
        # A signature that is copied to another version's place still verifies.
        return replace(one, standing=Standing.MISNAMED, reason=f"it is of {one.subject}")
    name = TagName.parse(tag)
    artifact = name.artifact if name else tag
    may = allowed(artifact, signers)
    if may is not None and set(may).isdisjoint(one.signers):
        who = ", ".join(one.signers)
        return replace(one, standing=Standing.NOT_ALLOWED, reason=f"{who} may not sign {artifact}")
    return one


def hold_against(judged: Sequence[BytesSignature], files: Files) -> BytesSignature:
    """Return what judged signatures are worth for these bytes: the best of them."""
    held = [_hold(one, files) for one in judged]
    return min(held, key=lambda one: _WORTH.index(one.standing))


def _hold(one: BytesSignature, files: Files) -> BytesSignature:
    if not one.is_good or one.files == files:
        return one
    return replace(one, standing=Standing.BAD, reason="; ".join(_differences(one.files, files)))


def _differences(signed: Files, found: Files) -> Iterator[str]:
    yield "other bytes were signed"
    for path in sorted(signed.keys() | found.keys()):
        was, now = signed.get(path), found.get(path)
        if was != now:
            yield f"{path}: sha256 {_short(was)} signed, {_short(now)} here"


def _short(digest: str | None) -> str:
    return f"{digest[:12]}…" if digest else "none"


def as_finding(best: BytesSignature, *, is_required: bool) -> Finding:
    """Return a signature's worth as a check of the version; what is not required may be missing.

    Other bytes than somebody signed who may are never right.
    """
    said = f"{best.method} of {', '.join(best.signers)}" if best.signers else None
    if best.is_good:
        return Finding(subject=SIGNATURE, state=CheckState.OK, found=said)
    fails = is_required or best.standing is Standing.BAD
    return Finding(
        subject=SIGNATURE,
        state=CheckState.FAILED if fails else CheckState.UNCHECKED,
        detail=describe(best),
        found=said,
    )


def describe(one: BytesSignature) -> str:
    """Return what is wrong with a signature, in a few words."""
    return f"{one.standing}: {one.reason}" if one.reason else str(one.standing)
