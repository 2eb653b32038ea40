"""Promotion, the registry, signatures and releases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from modelci.domain.registry import Holder


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteConfig:
    """``artifacts`` (default: all) are versioned on merge and ``assign``ed to these stages.

    ``commit_results`` lets a merge commit the ``dvc.lock`` and metrics that its own run made.
    ``stages`` are those that a version passes one by one: each accepts only what the one before it
    holds. ``remote`` is the Git remote to promote on (default: the branch's). ``require_remote``
    refuses versions whose bytes cannot be looked for in a DVC remote. ``starts_workflows`` says
    that the token which pushes is an app's or a person's: GitHub starts nothing for a job's own.
    ``dispatch`` is the workflow's file, such as deploy.yml, that is started for each assignment.
    ``deploy`` deploys each assignment in the same run: to the target that takes its stage (true),
    or to the one named. ``sign_models`` signs the bytes of each new version (see ``signing``).
    """

    artifacts: tuple[str, ...] | None = None
    assign: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    commit_results: bool = True
    releases: bool = False
    remote: str | None = None
    require_remote: bool = False
    starts_workflows: bool = False
    dispatch: str | None = None
    deploy: bool | str = False
    sign_models: bool = False

    @property
    def deploys(self) -> bool:
        """Whether what is assigned is deployed in the same run."""
        return self.deploy not in _NO

    @property
    def deploy_target(self) -> str | None:
        """The target to deploy to; None: the one that takes the stage."""
        is_name = isinstance(self.deploy, str) and self.deploy not in {*_NO, "true"}
        return str(self.deploy) if is_name else None


_NO = (False, "", "false")  # a variable of the environment holds a text


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """``sign`` signs our tags, or never does (default: as Git's ``tag.gpgSign`` says).

    ``require_signed`` refuses versions whose tags nobody signed who may. ``allowed_signers`` is the
    path of an SSH allowed-signers file, read on the default branch; ``signers`` says who may sign
    which artifact (or glob of artifacts): principals, addresses or fingerprints.

    ``holder`` says which of the versions assigned to a stage holds it: the ``newest`` assignment
    (as GTO has it, unless it is told otherwise), or ``semver``, the greatest version.
    """

    holder: Holder = Holder.NEWEST
    sign: bool | None = None
    require_signed: bool = False
    allowed_signers: str | None = None
    signers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class SigningMethod(StrEnum):
    """What a version's bytes are signed by."""

    KEY = "key"
    CERTIFICATE = "certificate"
    SIGSTORE = "sigstore"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedSignerConfig:
    """Somebody whose signatures count: by a key, by a certificate, or by an identity.

    ``public_key`` is the path of a key (PEM), ``certificates`` those of an authority, of which the
    signing certificate bears the name ``subject`` (default: any). ``identity`` is what ``issuer``
    vouches for to Sigstore; ``trust_config`` describes a private instance of it. The files are
    read, as this section is, on the default branch.
    """

    public_key: str | None = None
    certificates: tuple[str, ...] = ()
    subject: str | None = None
    identity: str | None = None
    issuer: str | None = None
    trust_config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningConfig:
    """How a version's bytes are signed, and whose signatures count.

    By a ``private_key`` (a path, or MODELCI_SIGNING_KEY_PEM; MODELCI_SIGNING_PASSWORD opens it), by
    it and its ``certificate`` with the ``certificate_chain`` above that, or by the identity that
    the job has for Sigstore (``trust_config``: a private instance). ``trusted`` are those whose
    signatures count, by a name of your choice; ``signers`` says which of them may sign which
    artifact (or glob of artifacts).
    """

    method: SigningMethod = SigningMethod.KEY
    private_key: str | None = None
    certificate: str | None = None
    certificate_chain: tuple[str, ...] = ()
    trust_config: str | None = None
    trusted: Mapping[str, TrustedSignerConfig] = field(default_factory=dict)
    signers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseConfig:
    """What a version's release holds, where ``promote.releases`` wants one.

    ``max_bytes`` bounds its notes; forges take at least 125,000 characters.
    """

    max_bytes: int = 60_000
