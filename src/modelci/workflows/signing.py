"""``modelci registry verify``: who signed the registry's tags, and whether they may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelci.config.load import FILE, load
from modelci.config.model import Config, RegistryConfig
from modelci.domain.allowance import Liftable, Objection
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import TagRecord
from modelci.domain.signatures import Standing, TagSignature, Verification, allowed, judge
from modelci.domain.tags import Action, TagName, is_artifact_name
from modelci.errors import ConfigError, PromotionError, UsageError
from modelci.ports import FileTree, Git

_DEFAULT_REF = "refs/modelci/default"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may sign what; ``allowed_signers`` is the file's text, None: Git's own is asked.

    ``source`` says where it was read.
    """

    required: bool
    source: str
    allowed_signers: bytes | None = None
    signers: Mapping[str, Sequence[str]]


def verify_registry(
    git: Git,
    settings: RegistryConfig,
    *,
    names: Sequence[str] = (),
    remote: bool = False,
    default_branch: str | None = None,
) -> Verification:
    """Check the tags of these artifacts, or these tags (default: all), here or on the remote."""
    where = git.remote() if remote else None
    wanted = _wanted(names)
    artifacts = sorted({_artifact(name) for name in wanted}) if wanted else None
    tags = [
        tag
        for tag in git.tags(artifacts, remote=where)
        if not wanted or {_short(tag), tag.name.artifact} & wanted
    ]
    _require_found(wanted, tags)
    policy = read_policy(git, settings, fresh=remote, default_branch=default_branch)
    return Verification(
        required=policy.required,
        tags=_check(git, tags, policy),
        remote=where,
        allowed_signers=policy.source,
    )


def require_signed(git: Git, tags: Sequence[TagRecord], policy: Policy) -> None:
    """Refuse, where signatures are required, tags that nobody signed who may: PromotionError."""
    if policy.required:
        _refuse([one for one in _check(git, tags, policy) if not one.ok])


def require_signed_versions(
    git: Git,
    planned: Sequence[PlannedTag],
    tags: Sequence[TagRecord],
    policy: Policy,
    *,
    vouch: str | None = None,
) -> tuple[Objection, ...]:
    """Refuse to assign a version whose registration nobody signed who may: PromotionError.

    ``tags`` are the registry's before ``planned`` are added. With ``vouch``, which says what else
    one can do, a version without any signature is an objection that a reason lifts: it may be from
    before there were any, and who signs its assignment answers for it.
    """
    if not git.signs_tags:
        raise PromotionError(
            "registry.require_signed is true, and this Git signs no tags.",
            hint="Set tag.gpgSign and user.signingKey (for SSH keys also gpg.format: ssh) in Git's "
            "configuration here, or `registry: {sign: true}`.",
        )
    names = [name for one in planned if (name := TagName.parse(one.name))]
    stages = {name.artifact for name in names if name.action is Action.ASSIGN}
    assigned = {(one.artifact, one.commit) for one in planned if one.artifact in stages}
    versions = [
        tag
        for tag in tags
        if tag.name.action is Action.REGISTER and (tag.name.artifact, tag.commit) in assigned
    ]
    bad = [one for one in _check(git, versions, policy) if not one.ok]
    unsigned = [one for one in bad if vouch and one.standing is Standing.UNSIGNED]
    _refuse([one for one in bad if one not in unsigned])
    return tuple(
        Objection(
            rule=Liftable.SIGNATURE,
            message=f"registry.require_signed refuses {describe(one)}.",
            hint=vouch,
            artifact=one.artifact,
        )
        for one in unsigned
    )


def require_good(git: Git, planned: Sequence[PlannedTag], policy: Policy) -> None:
    """Refuse to push what ``registry verify`` would not find good afterwards: PromotionError.

    What is ``planned`` is signed here, and pushed as it is.
    """
    made = git.try_signing(planned, allowed_signers=policy.allowed_signers)
    bad = [one for one in judge(made, policy.signers) if not one.ok]
    if bad:
        raise PromotionError(
            f"registry.require_signed refuses {'; '.join(map(describe, bad[:_MOST_NAMED]))}. "
            "Nothing was tagged.",
            hint=f"{_who_may(bad[0].artifact, policy)} Sign with such a key (user.signingKey).",
        )


def _who_may(artifact: str, policy: Policy) -> str:
    who = allowed(artifact, policy.signers)
    if who is None:
        return f"{artifact}'s tags are signed by a key that {policy.source} knows."
    names = ", ".join(who) or "nobody"
    return f"{artifact}'s tags may be signed by {names}, with a key that {policy.source} knows."


def policy_in_force(
    git: Git, settings: RegistryConfig, *, default_branch: str | None = None
) -> Policy | None:
    """Return who may sign, as the remote has it now; None where nobody has to."""
    # Where it is not wanted nobody shall wait for the remote.
    if not read_policy(git, settings, fresh=False, default_branch=default_branch).required:
        return None
    return read_policy(git, settings, fresh=True, default_branch=default_branch)


def _refuse(bad: Sequence[TagSignature]) -> None:
    if bad:
        raise PromotionError(
            f"registry.require_signed refuses {'; '.join(map(describe, bad[:_MOST_NAMED]))}.",
            hint="`modelci registry verify --remote` shows all. A tag is never replaced: let "
            "somebody who may sign register the bytes as a new version.",
        )


def describe(one: TagSignature) -> str:
    """Return a tag and what is wrong with it, in a few words."""
    who = f", of {one.signer or one.key}" if one.signer or one.key else ""
    why = f": {one.reason}" if one.reason else ""
    return f"{one.tag} ({one.standing}{who}{why})"


def read_policy(
    git: Git, settings: RegistryConfig, *, fresh: bool, default_branch: str | None = None
) -> Policy:
    """Return who may sign, as the default branch has it: nobody lets themselves in by a branch.

    With ``fresh`` that is the remote's default branch now. What the caller's own ``settings``
    require is required in any case.
    """
    default = read_default_branch(git, fresh=fresh, configured=default_branch)
    return policy_of(default, settings)


def policy_of(default: "DefaultBranch", settings: RegistryConfig) -> Policy:
    """Return who may sign, as that branch has it; ``settings`` are the caller's own."""
    source, theirs = default.name, default.config.registry if default.config else settings
    path = theirs.allowed_signers
    listed = default.read(path) if path else None
    if path and listed is None:
        raise ConfigError(
            f"registry.allowed_signers names {path}, which {source} does not have.",
            hint="Each line: `anna@example.com ssh-ed25519 AAAA…` (man ssh-keygen, ALLOWED "
            "SIGNERS). Commit the file on the default branch.",
        )
    return Policy(
        required=settings.require_signed or theirs.require_signed,
        source=f"{path} of {source}" if path else "Git's gpg.ssh.allowedSignersFile",
        allowed_signers=listed,
        signers=theirs.signers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultBranch:
    """The default branch's files, what to call it, and what its configuration says, if any."""

    name: str
    tree: FileTree
    config: Config | None

    def read(self, path: str) -> bytes | None:
        """Return a file's contents."""
        return self.tree.read([path]).get(path)


def read_default_branch(git: Git, *, fresh: bool, configured: str | None = None) -> DefaultBranch:
    """Return the default branch: the remote's as it is now (``fresh``), or as it is known here."""
    sha, name = _default(git, fresh=fresh, configured=configured)
    tree = git.tree(sha)
    text = tree.read([FILE]).get(FILE)
    config = load(text, source=f"{FILE} of {name}").config if text else None
    return DefaultBranch(name=name, tree=tree, config=config)


def _default(git: Git, *, fresh: bool, configured: str | None) -> tuple[str, str]:
    """Return the default branch's commit and what to call it."""
    known = git.default_branch(configured)
    if fresh and git.remote() and not (git.is_shallow() and known):
        # Where history is cut, and the branch is here, fetching it again could cut it more.
        wanted = f"refs/heads/{configured}" if configured else "HEAD"
        git.fetch([f"+{wanted}:{_DEFAULT_REF}"], depth=1 if git.is_shallow() else None)
        return git.resolve(_DEFAULT_REF).sha, configured or "the default branch"
    name, ref = known or ("HEAD", "HEAD")
    return git.resolve(ref).sha, name


def _check(git: Git, tags: Sequence[TagRecord], policy: Policy) -> tuple[TagSignature, ...]:
    refs = [tag.ref for tag in tags]
    found = git.verify_tags(refs, allowed_signers=policy.allowed_signers)
    return judge(found, policy.signers)


def _short(tag: TagRecord) -> str:
    return tag.ref.partition("/tags/")[2]


def _wanted(names: Sequence[str]) -> frozenset[str]:
    """Return tags as they stand in refs, and artifacts as commands spell them."""
    for name in names:
        if not is_artifact_name(name) and TagName.parse(name.replace(":", "=", 1)) is None:
            raise UsageError(
                f"{name!r} is neither an artifact's name nor a registry's tag.",
                hint="Such as credit, credit@v1.2.0 or credit#prod#3.",
            )
    return frozenset(
        name if is_artifact_name(name) else name.replace(":", "=", 1) for name in names
    )


def _artifact(name: str) -> str:
    found = TagName.parse(name)
    return found.artifact if found else name


def _require_found(wanted: frozenset[str], tags: Sequence[TagRecord]) -> None:
    missing = wanted - {_short(tag) for tag in tags} - {tag.name.artifact for tag in tags}
    if missing:
        raise UsageError(
            f"No tag speaks of {', '.join(sorted(missing))}.",
            hint="`git fetch --tags` brings the remote's tags, or use --remote.",
        )
