"""Signatures of a version's bytes: made when it is promoted or by hand, asked for by who deploys.

They lie beside the tags, each a blob at a ref of its own below the version's tag: no forge is
needed, a shallow clone fetches those of one version, and what was signed once is never moved.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelci.config.model import Config, SigningConfig, TrustedSignerConfig
from modelci.domain.holds import trailers
from modelci.domain.modelsignatures import (
    SIGNATURE,
    BytesSignature,
    Files,
    ModelSigning,
    TrustedSigner,
    as_finding,
    describe,
    hold_against,
    judge_claims,
    name_files,
    place,
)
from modelci.domain.promotion import PlannedTag
from modelci.domain.provenance import (
    CheckState,
    FileBytes,
    Finding,
    check_digest,
    check_lock,
)
from modelci.domain.signatures import Standing, allowed
from modelci.domain.tags import Action, TagName
from modelci.errors import ConfigError, ForgeError, PromotionError
from modelci.ports import (
    NO_BLOBS,
    Blobs,
    Git,
    ModelSigner,
    Progress,
    SignatureReader,
    SnapshotReader,
    StoredBytes,
)
from modelci.workflows.provenance import find_artifact, read_files
from modelci.workflows.signing import DefaultBranch, read_default_branch
from modelci.workflows.verify import HASH, SHA256, bring_commit, find_version_named


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningPolicy:
    """Whose signatures of bytes count, and whether every version needs one; ``source`` says so."""

    required: bool
    source: str
    trusted: tuple[TrustedSigner, ...] = ()
    signers: Mapping[str, Sequence[str]]


def read_signing_policy(git: Git, config: Config, *, fresh: bool) -> SigningPolicy:
    """Return whose signatures count, as the default branch has it: no branch lets itself in.

    With ``fresh`` that is the remote's default branch now. What the caller's own ``config``
    requires is required in any case.
    """
    default = read_default_branch(git, fresh=fresh, configured=config.default_branch)
    return signing_policy_of(default, config)


def signing_policy_of(default: DefaultBranch, config: Config) -> SigningPolicy:
    """Return whose signatures count, as that branch has it."""
    theirs = default.config or config
    return SigningPolicy(
        required=config.deploy.require_signature or theirs.deploy.require_signature,
        source=default.name,
        trusted=tuple(_trusted(default, theirs.signing)),
        signers=theirs.signing.signers,
    )


def _trusted(default: DefaultBranch, settings: SigningConfig) -> Iterator[TrustedSigner]:
    for name, one in settings.trusted.items():
        certificates = [_read(default, name, path) for path in one.certificates]
        yield TrustedSigner(
            name=name,
            public_key=_read(default, name, one.public_key) if one.public_key else None,
            certificates=b"\n".join(certificates) if certificates else None,
            subject=one.subject,
            identity=one.identity,
            issuer=one.issuer,
            trust_config=_trust_config(default, name, one),
        )


def _trust_config(default: DefaultBranch, name: str, one: TrustedSignerConfig) -> bytes | None:
    return _read(default, name, one.trust_config) if one.trust_config else None


def _read(default: DefaultBranch, name: str, path: str) -> bytes:
    found = default.read(path)
    if found is None:
        raise ConfigError(
            f"signing.trusted.{name} names {path}, which {default.name} does not have.",
            hint="Commit the file (a public one: PEM) on the default branch.",
        )
    return found


def find_claims(
    git: Git, reader: SignatureReader, tag: str, policy: SigningPolicy, *, remote: str | None
) -> tuple[BytesSignature, ...]:
    """Return what a version's signatures are worth, whatever its bytes; the best first.

    They are the Git ``remote``'s, fetched now, or (None) those that are here.
    """
    kept = git.kept(place(tag), remote=remote)
    read = reader.read if policy.trusted else _believe_nobody
    found = [replace(read(data, policy.trusted), ref=ref) for ref, data in kept.items()]
    return judge_claims(found, tag=tag, signers=policy.signers)


def _believe_nobody(_data: bytes, _trusted: Sequence[TrustedSigner]) -> BytesSignature:
    return BytesSignature(standing=Standing.UNKNOWN, reason="signing.trusted names nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureCheck:
    """Checks the signature of a version's bytes, by the remote's refs (``remote``) or those here.

    For ``modelci verify``: what cannot be read of a signature that nobody requires is a finding.
    """

    git: Git
    reader: SignatureReader
    config: Config
    remote: bool

    def __call__(self, tag: str, files: Sequence[FileBytes], path: str) -> Finding | None:
        """Return what was found; None where no signature is wanted, and there is none."""
        remote = self.git.remote() if self.remote else None
        policy = read_signing_policy(self.git, self.config, fresh=self.remote)
        try:
            claims = find_claims(self.git, self.reader, tag, policy, remote=remote)
        except (ConfigError, ForgeError) as error:
            if policy.required:
                raise
            return Finding(subject=SIGNATURE, state=CheckState.UNCHECKED, detail=str(error))
        is_wanted = policy.required or policy.trusted
        if not is_wanted and claims[0].standing is Standing.UNSIGNED:
            return None
        return about_signature(claims, files, path, is_required=policy.required)


def about_signature(
    claims: Sequence[BytesSignature], files: Sequence[FileBytes], path: str, *, is_required: bool
) -> Finding:
    """Return what a version's signatures are worth for its files; ``path`` is the artifact's."""
    try:
        best = hold_against(claims, name_files(files, path))
    except ValueError as error:
        said = "it could not be held against the bytes" if claims[0].is_good else ""
        why = said or describe(claims[0])
        state = CheckState.FAILED if is_required else CheckState.UNCHECKED
        return Finding(subject=SIGNATURE, state=state, detail=f"{why} ({error})")
    return as_finding(best, is_required=is_required)


# -- signing ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A signature of ours, and whose of the trusted it is."""

    data: bytes
    signers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSigner:
    """Signs versions of the repository by ``signer``; bytes are those that ``stored`` reads."""

    git: Git
    snapshots: SnapshotReader
    stored: StoredBytes
    signer: ModelSigner
    reader: SignatureReader
    config: Config
    _signed: dict[tuple[str, str], bytes] = field(default_factory=dict, init=False, compare=False)

    def sign(self, name: str, *, progress: Progress, pull: bool = False) -> ModelSigning:
        """Sign the bytes of a version that there is, and keep the signature beside its tag.

        The tag is the Git remote's, where there is one, and so is the place of the signature. With
        ``pull`` the bytes are the DVC remote's, else the cache's. One that is there already and as
        good stays. Raises PromotionError where the bytes are not those that were tagged, or whoever
        signs may not.
        """
        remote = self.git.remote()
        state, version = find_version_named(self.git, name, remote=remote is not None)
        bring_commit(self.git, version)
        progress.note(f"Reading the bytes of {version.tag}")
        said = trailers(version.message)
        files = self._read_files(version.tag, version.commit, state.name, said=said, pull=pull)
        policy = read_signing_policy(self.git, self.config, fresh=remote is not None)
        made = self._make(version.tag, files, policy)
        ref = self._find_same(version.tag, files, made, policy, remote)
        done = ModelSigning(
            tag=version.tag,
            artifact=state.name,
            commit=version.commit,
            files=files,
            ref=ref or "",
            method=self.signer.method,
            made=ref is None,
            signers=made.signers,
            remote=remote,
            notes=_notes(policy),
        )
        if ref is not None:
            return done
        (ref,) = self.git.keep({place(version.tag): [made.data]}, remote=remote)
        return replace(done, ref=ref)

    def sign_planned(self, planned: Sequence[PlannedTag]) -> Blobs:
        """Return signatures of the versions among planned tags, to be kept by the tags' own push.

        The bytes are the cache's, or else the DVC remote's. Raises PromotionError where they cannot
        be had, or whoever signs may not. The same tag is signed once.
        """
        names = [(tag, TagName.parse(tag.name)) for tag in planned]
        versions = [(tag, name) for tag, name in names if name and name.action is Action.REGISTER]
        if not versions:
            return NO_BLOBS
        unsigned = [one for one in versions if (one[0].name, one[0].commit) not in self._signed]
        if unsigned:
            fresh = self.git.remote() is not None
            policy = read_signing_policy(self.git, self.config, fresh=fresh)
            for tag, name in unsigned:
                files = self._read_files(tag.name, tag.commit, name.artifact, said={}, pull=None)
                self._signed[tag.name, tag.commit] = self._make(tag.name, files, policy).data
        return {place(tag.name): [self._signed[tag.name, tag.commit]] for tag, _ in versions}

    def _read_files(
        self, tag: str, commit: str, artifact: str, *, said: Mapping[str, str], pull: bool | None
    ) -> dict[str, str]:
        """Hash a version's files: of the DVC remote (``pull``), the cache, or (None) either.

        They have to be what ``dvc.lock`` and the tag's message (``said``) name.
        """
        tree = self.git.tree(commit)
        snapshot = self.snapshots.read(tree)
        path = find_artifact(snapshot, artifact).path
        found = read_files(tree, snapshot, path, self.stored, pull=bool(pull))
        if pull is None and not all(one.is_right for one in found):
            found = read_files(tree, snapshot, path, self.stored, pull=True)
        checks = (
            check_lock(snapshot, path, said.get(HASH)),
            check_digest(path, found, said.get(SHA256)),
        )
        wrong = next((one for one in checks if one.state is CheckState.FAILED), None)
        if wrong is not None:
            raise PromotionError(
                f"{tag} cannot be signed: {wrong.subject} differ ({wrong.expected}, not "
                f"{wrong.found}).",
                hint="Find out who changed what; nothing lifts this.",
            )
        try:
            return name_files(found, path)
        except ValueError as error:
            raise PromotionError(
                f"{tag} cannot be signed: {error}.",
                hint="What is signed is hashed first: `dvc pull` the bytes, or let --pull hash the "
                "DVC remote's.",
            ) from error

    def _make(self, tag: str, files: Files, policy: SigningPolicy) -> _Made:
        """Sign, and refuse what nobody would believe, where anybody is to be believed."""
        data = self.signer.sign(tag, files)
        if not policy.trusted:
            return _Made(data=data)
        read = self.reader.read(data, policy.trusted)
        best = hold_against(judge_claims([read], tag=tag, signers=policy.signers), files)
        if not best.is_good:
            raise PromotionError(
                f"{tag} was not signed: the signature would be {describe(best)}.",
                hint=_who_may(tag, policy),
            )
        return _Made(data=data, signers=best.signers)

    def _find_same(
        self, tag: str, files: Files, made: _Made, policy: SigningPolicy, remote: str | None
    ) -> str | None:
        """Return the ref of a signature that is there, and as good as the one just made."""
        there = find_claims(self.git, self.reader, tag, policy, remote=remote)
        for one in there:
            is_same = hold_against([one], files).is_good and set(made.signers) <= set(one.signers)
            if is_same and made.signers:
                return one.ref
        return None


def _who_may(tag: str, policy: SigningPolicy) -> str:
    name = TagName.parse(tag)
    may = allowed(name.artifact, policy.signers) if name else None
    names = ", ".join(one.name for one in policy.trusted if may is None or one.name in may)
    return (
        f"By `signing` of {policy.source} {names or 'nobody'} may sign it: sign as one of them, or "
        "add your public key there."
    )


def _notes(policy: SigningPolicy) -> tuple[str, ...]:
    if policy.trusted:
        return ()
    return (
        f"signing.trusted of {policy.source} names nobody: so far this signature counts nowhere.",
    )
