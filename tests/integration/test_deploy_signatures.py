"""What is deployed is what somebody signed who may: tags by SSH, bytes by model-signing."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.progress import RecordedProgress
from tests.integration.certificates import Key, make_key, private, public
from tests.integration.deploying import Site
from tests.integration.promoting import git

from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.adapters.dvc.stored import DvcBytes
from modelci.adapters.modelsigning import OpenSsfReader, OpenSsfSigner, SignerSettings
from modelci.config.load import load
from modelci.config.model import Config
from modelci.domain.deployment import Deployment, DeployOutcome
from modelci.domain.modelsignatures import ModelSigning, place
from modelci.domain.provenance import CheckState, Finding
from modelci.domain.tags import TagName
from modelci.errors import ConfigError, DeploymentError, PromotionError, UsageError
from modelci.workflows.modelsigning import SignatureCheck, VersionSigner
from modelci.workflows.verify import verify_version

SIGNERS = ("anna", "ben")


@dataclass(kw_only=True)
class Signing:
    """A site whose default branch says that ``anna`` may sign credit's bytes, and knows ben too."""

    site: Site
    keys: Mapping[str, Key] = field(default_factory=lambda: {who: make_key() for who in SIGNERS})

    def rule(self, *, required: bool = True, **more: Any) -> None:
        """Let the default branch require signatures of bytes, from now on."""
        settings = {
            "deploy": {"require_signature": required},
            "signing": {
                "trusted": {who: {"public_key": f"{who}.pub"} for who in SIGNERS},
                "signers": {"credit": ["anna"]},
            },
            **more,
        }
        (self.site.work / "modelci.yaml").write_text(json.dumps(settings))
        for who, key in self.keys.items():
            (self.site.work / f"{who}.pub").write_bytes(public(key))

    def signer(self, who: str) -> OpenSsfSigner:
        return OpenSsfSigner(SignerSettings(pem=private(self.keys[who]).decode()))

    def sign(self, name: str, *, by: str = "anna") -> ModelSigning:
        """Sign as ``modelci sign --pull`` does, in a clone of one commit."""
        repository = self.site.clone()
        signing = VersionSigner(
            git=repository,
            snapshots=DvcSnapshotReader(repository.root),
            stored=DvcBytes(repository.root),
            signer=self.signer(by),
            reader=OpenSsfReader(),
            config=Config(),
        )
        return signing.sign(name, progress=RecordedProgress(), pull=True)

    def put(self, tag: str, *, subject: str, content: str, by: str = "anna") -> None:
        """Push a signature by hand to where a tag's belong: anybody who can push can do that."""
        files = {"credit.skops": sha256(content.encode()).hexdigest()}
        data = self.signer(by).sign(subject, files)
        self.site.clone().keep({place(tag): [data]}, remote="origin")

    def deploy(self, wanted: str = "credit#prod", **given: Any) -> Deployment:
        return self.site.deploy(wanted, signatures=OpenSsfReader(), **given)

    def refused(self, wanted: str = "credit#prod", **given: Any) -> str:
        before = self.site.runs
        with pytest.raises(DeploymentError) as caught:
            self.deploy(wanted, **given)
        assert self.site.runs == before
        return f"{caught.value} {caught.value.hint}"

    def verify(self, name: str) -> Finding | None:
        repository = self.site.clone()
        check = SignatureCheck(git=repository, reader=OpenSsfReader(), config=Config(), remote=True)
        found = verify_version(
            name,
            git=repository,
            reader=DvcSnapshotReader(repository.root),
            stored=DvcBytes(repository.root),
            progress=RecordedProgress(),
            signature=check,
            remote=True,
            pull=True,
        )
        return next((one for one in found.findings if one.subject == "signature"), None)


@pytest.fixture
def signing(tmp_path: Path) -> Signing:
    return Signing(site=Site.create(tmp_path))


def version_of(tag: str) -> str:
    """Return the version that ``Site.promote`` registers just before an assignment."""
    name = TagName.parse(tag)
    assert name is not None
    return f"credit@v{int(tag.rpartition('#')[2]) - 1}.0.0"


# -- bytes -----------------------------------------------------------------------------------------


def test_unsigned_bytes_are_refused_and_signed_ones_run(signing: Signing) -> None:
    signing.rule()
    version = version_of(signing.site.promote("one"))
    said = signing.refused()
    assert f"The bytes of {version} are not signed by anybody who may: unsigned" in said
    assert f"modelci sign '{version}'" in said

    made = signing.sign(version)
    assert (made.signers, made.made, made.remote) == (("anna",), True, "origin")
    done = signing.deploy()

    assert (done.outcome, signing.site.runs) == (DeployOutcome.DEPLOYED, "one")
    (found,) = [one for one in done.findings if one.subject == "signature"]
    assert (found.state, found.found) == (CheckState.OK, "key of anna")


def test_signed_twice_is_signed_once(signing: Signing) -> None:
    signing.rule()
    version = version_of(signing.site.promote("one"))
    first = signing.sign(version)
    second = signing.sign("credit#prod")
    assert (second.made, second.ref) == (False, first.ref)
    refs = git(signing.site.bare, "for-each-ref", "--format=%(refname)", "refs/modelci")
    assert refs == first.ref


def test_a_signature_copied_from_another_version_is_refused(signing: Signing) -> None:
    signing.rule()
    old = version_of(signing.site.promote("one"))
    signing.sign(old)
    new = version_of(signing.site.promote("two"))
    (copied,) = signing.site.clone().kept(place(old), remote="origin").values()
    signing.site.clone().keep({place(new): [copied]}, remote="origin")
    assert f"misnamed: it is of {old}" in signing.refused()


def test_a_signature_copied_from_another_artifact_is_refused_for_the_same_bytes(
    signing: Signing,
) -> None:
    signing.rule()
    version = version_of(signing.site.promote("one"))
    signing.put(version, subject="fraud@v1.0.0", content="one")
    assert "misnamed: it is of fraud@v1.0.0" in signing.refused()


def test_who_may_not_sign_the_artifact_counts_nothing(signing: Signing) -> None:
    signing.rule()
    version = version_of(signing.site.promote("one"))
    with pytest.raises(PromotionError, match="ben may not sign credit") as caught:
        signing.sign(version, by="ben")
    assert "anna may sign it" in (caught.value.hint or "")
    signing.put(version, subject=version, content="one", by="ben")
    assert "not-allowed: ben may not sign credit" in signing.refused()


def test_a_key_that_nobody_trusts_counts_nothing(signing: Signing) -> None:
    signing.rule()
    version = version_of(signing.site.promote("one"))
    stranger = Signing(site=signing.site)
    with pytest.raises(PromotionError, match="unknown"):
        stranger.sign(version)
    stranger.put(version, subject=version, content="one")
    assert "unknown" in signing.refused()


def test_a_signature_of_other_bytes_is_refused_before_the_switch(signing: Signing) -> None:
    signing.rule()
    version = version_of(signing.site.promote("one"))
    signing.put(version, subject=version, content="two")
    done = signing.deploy()
    assert (done.outcome, signing.site.runs) == (DeployOutcome.FAILED, None)
    assert "other bytes were signed" in (done.reason or "")


def test_bytes_that_contradict_a_signature_are_refused_though_none_is_required(
    signing: Signing,
) -> None:
    signing.rule(required=False)
    version = version_of(signing.site.promote("one"))
    signing.put(version, subject=version, content="two")
    assert "other bytes were signed" in (signing.deploy().reason or "")


def test_where_none_is_required_it_is_only_shown(signing: Signing) -> None:
    signing.rule(required=False)
    signing.site.promote("one")
    done = signing.deploy()
    assert done.outcome is DeployOutcome.DEPLOYED
    (found,) = [one for one in done.findings if one.subject == "signature"]
    assert (found.state, found.detail) == (
        CheckState.UNCHECKED,
        "unsigned: nobody signed its bytes",
    )


def test_no_reason_lifts_it(signing: Signing) -> None:
    signing.rule()
    signing.site.promote("one")
    assert "unsigned" in signing.refused(allowed="in a hurry")


def test_what_was_staged_before_is_held_to_it_too(signing: Signing) -> None:
    signing.site.promote("one")
    signing.deploy()
    old = version_of("credit#prod#2")
    signing.site.promote("two")
    signing.deploy()
    signing.rule()
    commit = signing.site.merge("two")
    signing.site.tag("credit#prod#9", git(signing.site.work, "rev-parse", f"{old}^{{commit}}"))
    assert commit
    assert "unsigned" in signing.refused("credit#prod#9")
    signing.put(old, subject=old, content="three")
    assert "which is staged, is not what was signed" in signing.refused("credit#prod#9")
    signing.sign(old)
    assert signing.deploy("credit#prod#9").outcome is DeployOutcome.DEPLOYED
    assert signing.site.runs == "one"


def test_the_default_branch_decides_whatever_is_checked_out(signing: Signing) -> None:
    signing.rule()
    signing.site.promote("one")
    repository = signing.site.clone()
    # A clone of the tag's own commit, which says nothing of signatures, and knows no branch.
    git(repository.root, "rm", "--quiet", "modelci.yaml")
    git(repository.root, "commit", "--quiet", "-m", "no rules")
    git(repository.root, "switch", "--quiet", "--detach")
    for branch in ("main", "--remotes origin/main", "--remotes origin/HEAD"):
        git(repository.root, "branch", "--quiet", "-D", *branch.split())
    assert "unsigned" in signing.refused(repository=repository)


def test_a_commit_without_version_is_signed_by_nobody(signing: Signing) -> None:
    signing.rule()
    signing.site.tag("credit#prod#1", signing.site.merge("one"))
    assert "bears no version that could be signed" in signing.refused()


def test_a_key_that_the_default_branch_does_not_have_is_named(signing: Signing) -> None:
    signing.rule()
    (signing.site.work / "ben.pub").unlink()
    signing.site.promote("one")
    with pytest.raises(ConfigError, match=r"trusted\.ben names ben\.pub"):
        signing.deploy()


def test_bytes_that_are_not_those_tagged_are_not_signed(signing: Signing) -> None:
    signing.rule()
    version = version_of(signing.site.promote("one"))
    signing.site.stored("one").write_bytes(b"evil")
    with pytest.raises(PromotionError, match="cannot be signed"):
        signing.sign(version)


def test_verify_shows_what_the_signature_is_worth(signing: Signing) -> None:
    signing.rule(required=False)
    version = version_of(signing.site.promote("one"))
    found = signing.verify(version)
    assert found is not None
    assert found.state is CheckState.UNCHECKED
    signing.sign(version)
    found = signing.verify(version)
    assert found is not None
    assert (found.state, found.found) == (CheckState.OK, "key of anna")
    signing.rule()
    version = version_of(signing.site.promote("two"))
    found = signing.verify(version)
    assert found is not None
    assert found.state is CheckState.FAILED


def test_verify_says_nothing_of_signatures_where_nobody_signs(signing: Signing) -> None:
    assert signing.verify(version_of(signing.site.promote("one"))) is None


# -- tags ------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class SignedTags:
    """A site whose tags are signed by SSH keys: anna may sign credit's, ben fraud's."""

    site: Site

    def __post_init__(self) -> None:
        listed = [self._key(who) for who in SIGNERS]
        rules = {
            "require_signed": True,
            "allowed_signers": ".signers",
            "signers": {"credit": ["anna@x"], "fraud": ["ben@x"]},
        }
        (self.site.work / "modelci.yaml").write_text(json.dumps({"registry": rules}))
        (self.site.work / ".signers").write_text("".join(listed))
        self.sign_as("anna")

    def _key(self, who: str) -> str:
        file = self.site.folder / who
        command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file))
        subprocess.run(command, check=True, capture_output=True)
        kind, key, *_ = file.with_suffix(".pub").read_text().split()
        return f"{who}@x {kind} {key}\n"

    def sign_as(self, who: str | None) -> None:
        """``git tag -a`` signs from now on, as somebody or not at all."""
        git(self.site.work, "config", "tag.gpgSign", "true" if who else "false")
        git(self.site.work, "config", "gpg.format", "ssh")
        git(self.site.work, "config", "user.signingKey", str(self.site.folder / (who or "")))

    def copy(self, tag: str, to: str) -> None:
        """Push a tag's object under another name: it still verifies."""
        oid = git(self.site.bare, "rev-parse", f"refs/tags/{tag}")
        git(self.site.work, "push", "--quiet", "origin", f"{oid}:refs/tags/{to}")
        git(self.site.bare, "-c", f"gpg.ssh.allowedSignersFile={self.signers}", "verify-tag", to)

    @property
    def signers(self) -> Path:
        return self.site.work / ".signers"

    @property
    def config(self) -> Config:
        return load((self.site.work / "modelci.yaml").read_bytes()).config


@pytest.fixture
def tags(tmp_path: Path) -> SignedTags:
    return SignedTags(site=Site.create(tmp_path))


def test_a_signed_tag_is_deployed_and_an_unsigned_one_refused(tags: SignedTags) -> None:
    tags.site.promote("one")
    assert tags.site.deploy().outcome is DeployOutcome.DEPLOYED
    tags.sign_as(None)
    commit = tags.site.merge("two")
    tags.site.tag("credit@v7.0.0", commit)
    tags.site.tag("credit#prod#7", commit)
    with pytest.raises(DeploymentError, match=r"credit#prod#7 \(unsigned\)"):
        tags.site.deploy()
    assert tags.site.runs == "one"


def test_a_tag_of_somebody_who_may_not_sign_this_artifact_is_refused(tags: SignedTags) -> None:
    tags.site.promote("one")
    tags.site.deploy()
    tags.sign_as("ben")
    tags.site.promote("two")
    with pytest.raises(DeploymentError, match="ben@x may not sign credit"):
        tags.site.deploy()
    assert tags.site.runs == "one"


def test_a_version_registered_by_somebody_who_may_not_is_refused_though_its_stage_is_signed(
    tags: SignedTags,
) -> None:
    commit = tags.site.merge("one")
    tags.sign_as("ben")
    tags.site.tag("credit@v1.0.0", commit)
    tags.sign_as("anna")
    tags.site.tag("credit#prod#1", commit)
    with pytest.raises(DeploymentError, match=r"credit@v1\.0\.0 \(not-allowed"):
        tags.site.deploy()


@pytest.mark.parametrize("copied", ["credit#prod#2", "fraud#prod#1"])
def test_a_copied_signed_tag_is_refused_by_its_name_and_decides_nothing(
    tags: SignedTags, copied: str
) -> None:
    """The older version's signed assignment, or what ben may sign of fraud, under a new name."""
    tags.site.promote("one")
    tags.site.promote("two")
    tags.site.deploy()
    tags.sign_as("ben")
    old = git(tags.site.bare, "rev-parse", "credit#prod#2^{commit}")
    tags.site.tag("fraud#prod#1", old)
    tags.copy(copied, "credit#prod#9")

    with pytest.raises(DeploymentError, match=rf"has another name, {copied}: it was copied"):
        tags.site.deploy("credit#prod#9")

    assert tags.site.deploy().outcome is DeployOutcome.UNCHANGED
    assert tags.site.runs == "two"


def test_a_copied_signed_registration_makes_no_version(tags: SignedTags) -> None:
    """An old, signed version named anew, on a commit that a stage's signed tag leads to."""
    tags.site.promote("one")
    commit = tags.site.merge("two")
    tags.copy("credit@v1.0.0", "credit@v9.0.0")
    tags.site.tag("credit#prod#9", commit)
    with pytest.raises(DeploymentError, match="bears no version that could be signed"):
        tags.site.deploy("credit#prod#9")
    with pytest.raises(UsageError):
        tags.site.deploy("credit@v9.0.0")
