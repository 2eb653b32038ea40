from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote

from modelci.config.model import RegistryConfig
from modelci.domain.allowance import Liftable
from modelci.domain.promotion import PlannedTag
from modelci.domain.signatures import Standing
from modelci.errors import ConfigError, PromotionError, UsageError
from modelci.workflows.signing import (
    Policy,
    policy_in_force,
    read_policy,
    require_good,
    require_signed,
    require_signed_versions,
    verify_registry,
)

ANNA, BEN = "anna@example.com", "ben@example.com"
RULES = b"registry: {require_signed: true, allowed_signers: .s, signers: {m: [anna@example.com]}}"
STRICT = RegistryConfig(require_signed=True)
FREE = RegistryConfig()


def planned(name: str, commit: str, seconds: int = 10) -> PlannedTag:
    artifact = name.partition("@")[0].partition("#")[0]
    return PlannedTag(name=name, artifact=artifact, commit=commit, seconds=seconds, subject="x")


@pytest.fixture
def remote() -> FakeRemote:
    remote = FakeRemote()
    sha = remote.commit({"modelci.yaml": RULES, ".s": f"{ANNA} {BEN}".encode()})
    for name in ("m@v1.0.0", "m#prod#1", "n@v1.0.0"):
        remote.tags[name] = planned(name, sha)
    return remote


@pytest.fixture
def git(remote: FakeRemote, tmp_path: Path) -> FakeGit:
    git = FakeGit(tmp_path, remote)
    git.tag_objects = dict(remote.tags)
    git.signers = dict.fromkeys(remote.tags, ANNA)
    return git


def standings(git: FakeGit, *names: str) -> dict[str, Standing]:
    found = verify_registry(git, FREE, names=names)
    return {one.tag: one.standing for one in found.tags}


def test_all_tags_are_checked_or_those_of_artifacts_or_these(git: FakeGit) -> None:
    assert standings(git) == dict.fromkeys(["m@v1.0.0", "m#prod#1", "n@v1.0.0"], Standing.GOOD)
    assert set(standings(git, "n")) == {"n@v1.0.0"}
    assert set(standings(git, "m#prod#1", "n")) == {"m#prod#1", "n@v1.0.0"}


@pytest.mark.parametrize(
    ("name", "says"),
    [("x", "No tag speaks of x"), ("m@v9.0.0", "No tag speaks"), ("m!", "neither an artifact's")],
)
def test_what_is_not_there_is_named(git: FakeGit, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        verify_registry(git, FREE, names=[name])


def test_the_default_branch_says_who_may_whatever_is_checked_out(
    git: FakeGit, remote: FakeRemote, tmp_path: Path
) -> None:
    mine = remote.commit({"modelci.yaml": b"registry: {}"}, branch="mine", parents=[])
    other = FakeGit(tmp_path, remote, at=mine, branch="mine")
    other.tag_objects = dict(remote.tags)
    other.signers = dict.fromkeys(remote.tags, BEN)
    found = verify_registry(other, FREE)
    assert found.required
    assert found.allowed_signers == ".s of main"
    assert {one.tag: one.standing for one in found.tags} == {
        "m@v1.0.0": Standing.NOT_ALLOWED,
        "m#prod#1": Standing.NOT_ALLOWED,
        "n@v1.0.0": Standing.GOOD,
    }


def test_the_remotes_default_branch_is_fetched_for_its_tags(
    git: FakeGit, remote: FakeRemote
) -> None:
    # Meanwhile Anna left; this clone does not know it yet.
    remote.commit({"modelci.yaml": RULES, ".s": BEN.encode()})
    assert standings(git, "n")["n@v1.0.0"] is Standing.GOOD
    found = verify_registry(git, FREE, names=["n"], remote=True)
    assert [one.standing for one in found.tags] == [Standing.UNKNOWN]


def test_a_tags_shallow_checkout_fetches_the_default_branch(
    remote: FakeRemote, tmp_path: Path
) -> None:
    first = remote.tags["m@v1.0.0"].commit
    remote.commit({"modelci.yaml": RULES, ".s": b"nobody"})
    git = FakeGit(tmp_path, remote, at=first, branch=None, depth=1)
    git.signers = dict.fromkeys(remote.tags, ANNA)
    found = verify_registry(git, FREE, names=["n"], remote=True)
    assert [one.standing for one in found.tags] == [Standing.UNKNOWN]


def test_without_a_list_of_signers_gits_own_counts(remote: FakeRemote, tmp_path: Path) -> None:
    remote.commit({"a": b""})
    policy = read_policy(FakeGit(tmp_path, remote), STRICT, fresh=True)
    assert (policy.required, policy.allowed_signers) == (True, None)
    assert policy.source == "Git's gpg.ssh.allowedSignersFile"


def test_a_list_of_signers_that_is_not_there_is_an_error(
    remote: FakeRemote, tmp_path: Path
) -> None:
    remote.commit({"modelci.yaml": RULES})
    with pytest.raises(ConfigError, match=r"registry\.allowed_signers names \.s, which main"):
        read_policy(FakeGit(tmp_path, remote), FREE, fresh=False)


def test_unsigned_tags_are_refused_where_signatures_are_required(
    git: FakeGit, remote: FakeRemote
) -> None:
    tags = git.tags(["m"])
    require_signed(git, tags, policy(git))
    git.signers = {"m@v1.0.0": BEN}
    with pytest.raises(PromotionError) as caught:
        require_signed(git, tags, policy(git))
    assert str(caught.value) == (
        "registry.require_signed refuses m#prod#1 (unsigned); m@v1.0.0 (not-allowed, of "
        "ben@example.com: ben@example.com may not sign m)."
    )
    remote.commit({"modelci.yaml": b"registry: {}"})
    free = FakeGit(git.root, remote)
    require_signed(free, tags, policy(free))


def policy(git: FakeGit) -> Policy:
    return read_policy(git, FREE, fresh=True)


def test_where_nobody_has_to_sign_there_is_no_policy_in_force(
    git: FakeGit, remote: FakeRemote
) -> None:
    assert policy_in_force(git, FREE) == policy(git)
    remote.commit({"modelci.yaml": b"registry: {}"})
    assert policy_in_force(FakeGit(git.root, remote), FREE) is None
    assert policy_in_force(FakeGit(git.root, remote), STRICT) is not None


def test_what_is_assigned_must_be_signed_and_our_tags_too(git: FakeGit) -> None:
    tags, commit = git.tags(["m"]), git.tag_objects["m@v1.0.0"].commit
    assign = [planned("m#prod#2", commit)]
    with pytest.raises(PromotionError, match="this Git signs no tags"):
        require_signed_versions(git, assign, tags, policy(git))
    git.signs_tags = True
    assert require_signed_versions(git, assign, tags, policy(git)) == ()
    git.signers = {}
    with pytest.raises(PromotionError, match=r"refuses m@v1\.0\.0 \(unsigned\)"):
        require_signed_versions(git, assign, tags, policy(git))
    # A new version, and a withdrawal, bring no unsigned version anywhere.
    new = [planned("m@v1.1.0", "new"), planned("m#prod#2", "new")]
    assert require_signed_versions(git, new, tags, policy(git)) == ()
    withdrawal = [planned("m@v1.0.0!#2", commit)]
    assert require_signed_versions(git, withdrawal, tags, policy(git)) == ()


def test_only_a_version_without_any_signature_can_be_vouched_for(git: FakeGit) -> None:
    tags, commit = git.tags(["m"]), git.tag_objects["m@v1.0.0"].commit
    assign, git.signs_tags = [planned("m#prod#2", commit)], True
    git.signers = {}
    (found,) = require_signed_versions(git, assign, tags, policy(git), vouch="Name it.")
    assert (found.rule, found.artifact, found.hint) == (Liftable.SIGNATURE, "m", "Name it.")
    assert found.message == "registry.require_signed refuses m@v1.0.0 (unsigned)."
    for who, standing in ((BEN, "not-allowed"), ("eve", "unknown")):
        git.signers = {"m@v1.0.0": who}
        with pytest.raises(PromotionError, match=rf"m@v1\.0\.0 \({standing}"):
            require_signed_versions(git, assign, tags, policy(git), vouch="Name it.")


@pytest.mark.parametrize(
    ("who", "wrong"), [(BEN, "not-allowed, of ben@example.com"), ("eve", "unknown")]
)
def test_who_may_not_sign_tags_nothing_and_reads_who_may(
    git: FakeGit, who: str, wrong: str
) -> None:
    git.signs_as = who
    with pytest.raises(PromotionError, match=rf"refuses m@v1\.1\.0 \({wrong}") as caught:
        require_good(git, [planned("m@v1.1.0", "new")], policy(git))
    hint = "m's tags may be signed by anna@example.com, with a key that .s of the default branch"
    assert str(caught.value.hint).startswith(hint)


def test_without_names_for_an_artifact_whoever_is_listed_may_sign(git: FakeGit) -> None:
    git.signs_as = BEN
    wanted = [planned("n@v1.1.0", "new")]
    require_good(git, wanted, policy(git))
    git.signs_as = "eve"
    with pytest.raises(PromotionError, match="unknown") as caught:
        require_good(git, wanted, policy(git))
    assert "signed by a key that .s of the default branch knows" in str(caught.value.hint)
