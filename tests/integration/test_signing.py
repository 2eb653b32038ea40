"""Signed tags on a real remote, with real SSH and GPG keys, made and checked by Git itself."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from gto import api
from tests.integration.promoting import Site

from modelci.adapters.git import GitRepository
from modelci.cli import main
from modelci.config.load import load
from modelci.domain.promotion import PlannedTag
from modelci.domain.signatures import Standing
from modelci.errors import ConfigError, PromotionError, TagTakenError
from modelci.workflows.signing import verify_registry

SECONDS = 1_700_000_000
WHY = ("--reason", "recall fell")
RULES = "registry: {allowed_signers: .signers, signers: {m: [anna@example.com]}}\n"


@dataclass(frozen=True)
class Project:
    """A bare remote and a clone of it; people's keys are ``FOLDER/NAME``."""

    folder: Path

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    def run(self, *command: str, stdin: bytes = b"", where: str = "clone", **env: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder / where,
            env={**os.environ, **env},
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def git(self, *arguments: str, stdin: bytes = b"", where: str = "clone") -> str:
        return self.run("git", *arguments, stdin=stdin, where=where)

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.clone / name.replace("_", ".")).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "c")
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def key(self, who: str) -> str:
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", who, where=".")
        public = (self.folder / f"{who}.pub").read_text().split()
        return f"{who}@example.com {public[0]} {public[1]}\n"

    def sign_as(self, who: str) -> None:
        self.git("config", "tag.gpgSign", "true")
        self.git("config", "gpg.format", "ssh")
        self.git("config", "user.signingKey", str(self.folder / who))

    def tag(
        self, name: str, commit: str = "HEAD", *, seconds: int = 0, signed: bool = True
    ) -> None:
        made = PlannedTag(
            name=name,
            artifact="m",
            commit=self.git("rev-parse", commit),
            seconds=SECONDS + seconds,
            subject="Register",
            trailers=(("Modelci-Hash", "md5:x"),),
        )
        GitRepository(self.clone, sign=lambda: signed).push([made], remote="origin")

    def modelci(self, *arguments: str, code: int = 0) -> str:
        runner = CliRunner()
        with chdir(self.clone):
            done = runner.invoke(main, arguments, prog_name="modelci")
        assert done.exit_code == code, f"{done.stdout}\n{done.stderr}\n{done.exception!r}"
        return done.stderr if code > 1 else done.stdout

    def verify(self, *arguments: str, code: int = 0) -> dict[str, tuple[str, str | None]]:
        out = self.modelci("registry", "verify", *arguments, "--json", code=code)
        document: Any = json.loads(out)
        assert document["schema"] == "modelci.verification/1"
        assert document["ok"] is (code == 0)
        return {one["tag"]: (one["standing"], one["signer"]) for one in document["tags"]}

    def oid(self, name: str, where: str = "origin.git") -> str:
        return self.git("rev-parse", f"refs/tags/{name}", where=where)

    def tags(self, where: str) -> list[str]:
        return self.git(
            "for-each-ref", "--format=%(refname:short)", "refs/tags", where=where
        ).split()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.git("init", "--quiet", "--bare", "origin.git", where=".")
    project.git("clone", "--quiet", str(tmp_path / "origin.git"), "clone", where=".")
    project.commit(_signers=project.key("anna") + project.key("ben"), modelci_yaml=RULES)
    project.key("eve")
    return project


ANNA = ("good", "anna@example.com")


def test_an_ssh_signed_tag_is_gits_own_and_gto_reads_it(project: Project) -> None:
    project.sign_as("anna")
    project.tag("m@v1.0.0")
    project.tag("m#prod#1", seconds=1)
    (project.folder / "allowed").write_text((project.clone / ".signers").read_text())
    allowed = ("-c", f"gpg.ssh.allowedSignersFile={project.folder}/allowed")
    project.git(*allowed, "verify-tag", "m@v1.0.0", where="origin.git")
    assert project.verify() == {"m@v1.0.0": ANNA, "m#prod#1": ANNA}
    assert api.show(str(project.clone))["m"]["stage"] == {"prod": "v1.0.0"}
    text = project.git("cat-file", "tag", "refs/tags/m@v1.0.0")
    assert f"tagger Test Author <author@example.com> {SECONDS} +0000" in text
    assert "\n\nRegister\n\nModelci-Hash: md5:x\n-----BEGIN SSH SIGNATURE-----\n" in text


def test_the_same_tag_again_is_the_same_object_also_for_keys_that_sign_the_time(
    project: Project,
) -> None:
    project.sign_as("anna")
    project.tag("m@v1.0.0")
    first = project.oid("m@v1.0.0")
    # Another signature of the same words: who was first stands, and both have what they wanted.
    project.sign_as("ben")
    project.tag("m@v1.0.0")
    project.tag("m@v1.0.0", signed=False)
    # In a clone that has no tags, what was read of the remote says that it is there.
    project.git("tag", "--delete", "m@v1.0.0")
    GitRepository(project.clone).tags(["m"], remote="origin")
    project.tag("m@v1.0.0")
    assert project.oid("m@v1.0.0") == first
    with pytest.raises(TagTakenError):
        project.tag("m@v1.0.0", seconds=1)


def test_no_tag_is_left_where_signing_or_the_push_fails(project: Project) -> None:
    project.sign_as("nobody")
    with pytest.raises(ConfigError, match=r"Git could not sign m@v1\.0\.0") as caught:
        project.tag("m@v1.0.0")
    assert "user.signingKey" in str(caught.value.hint)
    project.sign_as("anna")
    hook = project.folder / "origin.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PromotionError):
        project.tag("m@v1.0.0")
    assert project.tags("clone") == project.tags("origin.git") == []


@pytest.mark.parametrize("kind", ["shallow", "worktree", "sha256"])
def test_it_signs_in_every_kind_of_clone(project: Project, tmp_path: Path, kind: str) -> None:
    project.commit()
    url = (project.folder / "origin.git").as_uri()
    if kind == "shallow":
        project.git("clone", "--quiet", "--depth=1", "--branch=main", url, "other", where=".")
    elif kind == "worktree":
        project.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "other"))
    else:
        project.git("init", "--quiet", "--object-format=sha256", "other", where=".")
        project.git("commit", "--quiet", "--allow-empty", "-m", "c", where="other")
    for key, value in (("gpg.format", "ssh"), ("user.signingKey", str(tmp_path / "anna"))):
        project.git("config", key, value, where="other")
    repository = GitRepository(tmp_path / "other", sign=lambda: True)
    commit = project.git("rev-parse", "HEAD", where="other")
    made = PlannedTag(name="m@v1.0.0", artifact="m", commit=commit, seconds=1, subject="x")
    repository.push([made], remote=None if kind == "sha256" else "origin")
    allowed = (project.clone / ".signers").read_bytes()
    (found,) = repository.verify_tags(["refs/tags/m@v1.0.0"], allowed_signers=allowed)
    assert (found.standing, found.signer) == (Standing.GOOD, "anna@example.com")


def test_every_way_to_be_no_good_is_told_apart(project: Project) -> None:
    project.sign_as("anna")
    project.tag("m@v1.0.0")
    project.sign_as("ben")
    project.tag("m@v1.1.0")
    project.sign_as("eve")
    project.tag("m@v1.2.0")
    project.tag("m@v1.3.0", signed=False)
    good = project.git("cat-file", "tag", "refs/tags/m@v1.0.0")
    changed = project.git(
        *("hash-object", "-t", "tag", "-w", "--stdin"),
        stdin=good.replace("v1.0.0", "v1.4.0").encode() + b"\n",
    )
    project.git("update-ref", "refs/tags/m@v1.4.0", changed)
    project.git("update-ref", "refs/tags/m@v1.5.0", project.oid("m@v1.0.0"))
    project.git("update-ref", "refs/tags/m@v1.6.0", "HEAD")
    found = project.verify(code=0)
    assert found == {
        "m@v1.0.0": ANNA,
        "m@v1.1.0": ("not-allowed", "ben@example.com"),
        "m@v1.2.0": ("unknown", None),
        "m@v1.3.0": ("unsigned", None),
        "m@v1.4.0": ("bad", None),
        "m@v1.5.0": ("misnamed", "anna@example.com"),
        "m@v1.6.0": ("unsigned", None),
    }
    said = project.modelci("registry", "verify", "--require-signed", code=1)
    assert "6 of 7 tags not signed by anybody who may" in said
    assert "the object says m@v1.0.0" in said
    lines = project.modelci("registry", "verify", "--plain", "--require-signed", code=1)
    told = {tag: rest for tag, *rest in (line.split("\t") for line in lines.splitlines())}
    assert told["m@v1.0.0"][:4] == ["m", "good", "ssh", "anna@example.com"]
    assert told["m@v1.3.0"] == ["m", "unsigned", "", "", "", ""]
    assert told["m@v1.5.0"][-1] == "the object says m@v1.0.0"
    assert len(told) == 7
    both = project.modelci("registry", "verify", "--plain", "--json", code=2)
    assert "--json and --plain exclude each other." in both
    assert project.verify("m@v1.0.0", "--require-signed") == {"m@v1.0.0": ANNA}
    assert "No tag speaks of n." in project.modelci("registry", "verify", "n", code=2)


def test_nobody_lets_themselves_in_by_a_branch(project: Project) -> None:
    project.sign_as("eve")
    project.tag("m@v1.0.0")
    project.git("checkout", "--quiet", "-b", "mine")
    public = (project.folder / "eve.pub").read_text()
    (project.clone / ".signers").write_text(f"anna@example.com {public}")
    (project.clone / "modelci.yaml").write_text("registry: {allowed_signers: .signers}\n")
    project.git("commit", "--quiet", "--all", "-m", "me too")
    assert project.verify("--remote", "--require-signed", code=1) == {"m@v1.0.0": ("unknown", None)}


def test_a_key_counts_only_in_its_time(project: Project) -> None:
    project.sign_as("anna")
    project.tag("m@v1.0.0")
    who, *key = (project.clone / ".signers").read_text().splitlines()[0].split()
    project.commit(_signers=f'{who} valid-before="20200101" {" ".join(key)}\n')
    project.git("fetch", "--quiet")
    said = project.modelci("registry", "verify", "--require-signed", code=1)
    assert "the key was not allowed at that time" in " ".join(said.split())


def test_signatures_are_required_of_rollbacks_and_of_what_they_bring_back(
    project: Project,
) -> None:
    project.sign_as("anna")
    for number in range(2):
        project.commit()
        project.tag(f"m@v1.{number}.0", seconds=number)
        project.tag(f"m#prod#{number + 1}", seconds=10 + number)
    project.commit()
    project.tag("m@v1.2.0", seconds=30, signed=False)
    project.tag("m#prod#5", seconds=31)
    project.commit(modelci_yaml=RULES.replace("{", "{require_signed: true, ", 1))
    project.modelci("rollback", "m", "--stage", "prod", "--to", "v1.0.0", *WHY)
    refusal = project.modelci("rollback", "m", "--stage", "prod", "--to", "v1.2.0", *WHY, code=6)
    assert "registry.require_signed refuses m@v1.2.0 (unsigned)" in refusal
    back = ("rollback", "m", "--stage", "prod", "--to", "v1.1.0", *WHY)
    refusal = project.modelci(*back, "--no-sign", code=6)
    assert "this Git signs no tags" in refusal
    project.modelci(*back)
    found = project.verify("--remote", code=1)
    assert found["m#prod#6"] == found["m#prod#7"] == ANNA
    assert api.show(str(project.clone))["m"]["stage"] == {"prod": "v1.1.0"}


def test_a_version_from_before_signatures_is_gone_back_to_by_a_tag_that_is_signed(
    project: Project,
) -> None:
    project.sign_as("anna")
    for number in range(3):
        project.commit()
        project.tag(f"m@v1.{number}.0", seconds=number, signed=number > 0)
        project.tag(f"m#prod#{number + 1}", seconds=10 + number, signed=number > 0)
    project.commit(modelci_yaml=RULES.replace("{", "{require_signed: true, ", 1))
    back = ("rollback", "m", "--stage", "prod", *WHY)
    refusal = " ".join(project.modelci(*back, "--to", "v1.0.0", code=6).split())
    assert "refuses m@v1.0.0 (unsigned)" in refusal
    assert "--to v1.0.0 --reason … --allow REASON` goes back nevertheless" in refusal
    allow = ("--allow", "prod is down")
    assert "Name it with --to" in project.modelci(*back, *allow, code=2)
    for who, wrong in (("ben", "not-allowed, of ben@example.com"), ("eve", "unknown")):
        project.sign_as(who)
        refusal = " ".join(project.modelci(*back, *allow, "--to", "v1.0.0", code=6).split())
        assert f"refuses m#prod#4 ({wrong}" in refusal
    project.sign_as("anna")
    done = json.loads(project.modelci(*back, *allow, "--to", "v1.0.0", "--json"))
    assert (done["allowed"], done["allowed_rules"]) == ("prod is down", ["signature"])
    assert project.verify("m#prod#4", "--remote", "--require-signed") == {"m#prod#4": ANNA}
    text = project.git("cat-file", "tag", "refs/tags/m#prod#4", where="origin.git")
    assert "Modelci-Allowed-Rules: signature\n-----BEGIN SSH SIGNATURE-----\n" in text
    assert api.show(str(project.clone))["m"]["stage"] == {"prod": "v1.0.0"}


def test_a_signature_that_is_wrong_is_lifted_by_no_reason(project: Project) -> None:
    for number, who in enumerate(("eve", "ben", "anna")):
        project.sign_as(who)
        project.commit()
        project.tag(f"m@v1.{number}.0", seconds=number)
        project.tag(f"m#prod#{number + 1}", seconds=10 + number)
    project.commit(modelci_yaml=RULES.replace("{", "{require_signed: true, ", 1))
    back = ("rollback", "m", "--stage", "prod", *WHY, "--allow", "prod is down", "--to")
    for version, wrong in (("v1.0.0", "unknown"), ("v1.1.0", "not-allowed, of ben@example.com")):
        refusal = " ".join(project.modelci(*back, version, code=6).split())
        assert f"refuses m@{version} ({wrong}" in refusal
    assert "m#prod#4" not in project.tags("origin.git")


def test_keys_that_may_not_sign_push_nothing(project: Project) -> None:
    project.sign_as("anna")
    for number in range(2):
        project.commit()
        project.tag(f"m@v1.{number}.0", seconds=number)
        project.tag(f"m#prod#{number + 1}", seconds=10 + number)
    project.commit(modelci_yaml=RULES.replace("{", "{require_signed: true, ", 1))
    back = ("rollback", "m", "--stage", "prod", "--to", "v1.0.0", *WHY)
    assign = ("promote", "m@v1.0.0", "--assign", "stage")
    before = project.tags("origin.git")
    for who, wrong in (("ben", "not-allowed, of ben@example.com"), ("eve", "unknown")):
        project.sign_as(who)
        for command, tag in ((back, "m#prod#3"), (assign, "m#stage#3")):
            refusal = " ".join(project.modelci(*command, code=6).split())
            assert f"refuses {tag} ({wrong}" in refusal
            assert "m's tags may be signed by anna@example.com" in refusal
    assert project.tags("origin.git") == project.tags("clone") == before
    project.sign_as("anna")
    project.modelci(*back)
    assert set(project.verify("--remote").values()) == {ANNA}


def test_a_promotion_registers_nothing_with_a_key_that_may_not_sign(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    site = Site(folder=tmp_path / "site")
    rules = RULES.replace("{", "{require_signed: true, ", 1)
    (site.work / "modelci.yaml").write_text(rules)
    (site.work / ".signers").write_text((project.clone / ".signers").read_text())
    site.merge()
    clone = site.clone()
    for key, value in (("tag.gpgSign", "true"), ("gpg.format", "ssh")):
        project.git("config", key, value, where=str(clone.root))
    config = load(rules.encode(), source="modelci.yaml").config.registry
    for who in ("ben", "eve"):
        project.git("config", "user.signingKey", str(tmp_path / who), where=str(clone.root))
        with pytest.raises(PromotionError, match="Nothing was tagged"):
            site.promote(GitRepository(clone.root), registry=config)
        assert site.tags == {}
    project.git("config", "user.signingKey", str(tmp_path / "anna"), where=str(clone.root))
    site.promote(GitRepository(clone.root), registry=config)
    found = verify_registry(GitRepository(clone.root), config, remote=True)
    assert [one.signer for one in found.tags] == [ANNA[1]] * 2
    assert found.ok


def test_what_was_checked_is_what_is_pushed(project: Project) -> None:
    project.sign_as("anna")
    commit = project.git("rev-parse", "HEAD")
    made = PlannedTag(name="m@v1.0.0", artifact="m", commit=commit, seconds=SECONDS, subject="x")
    repository = GitRepository(project.clone)
    allowed = (project.clone / ".signers").read_bytes()
    (found,) = repository.try_signing([made], allowed_signers=allowed)
    assert (found.name, found.standing, found.signer) == ("m@v1.0.0", Standing.GOOD, ANNA[1])
    assert project.tags("clone") == project.tags("origin.git") == []
    project.sign_as("eve")
    repository.push([made], remote="origin")
    assert project.verify() == {"m@v1.0.0": ANNA}


def test_a_rollback_signs_as_it_is_told(project: Project) -> None:
    project.sign_as("anna")
    project.git("config", "tag.gpgSign", "false")
    for number in range(3):
        project.commit()
        project.tag(f"m@v1.{number}.0", seconds=number, signed=False)
        project.tag(f"m#prod#{number + 1}", seconds=10 + number, signed=False)
    back = ("rollback", "m", "--stage", "prod", *WHY, "--to")
    project.modelci(*back, "v1.1.0")
    project.modelci(*back, "v1.0.0", "--sign")
    project.commit(modelci_yaml="registry: {sign: true, allowed_signers: .signers}\n")
    project.modelci("release-hold", "m", "--stage", "prod", *WHY)
    found = project.verify("m#prod#4", "m#prod#5", "m#prod#6")
    assert found == {"m#prod#4": ("unsigned", None), "m#prod#5": ANNA, "m#prod#6": ANNA}


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    # The agent's socket has room for a hundred characters or so.
    folder = Path("/tmp") / f"modelci-gpg-{os.getpid()}"  # noqa: S108 - a short path, of one process
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(folder))
    yield folder
    subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def gpg(*arguments: str) -> str:
    done = subprocess.run(
        ["gpg", "--batch", "--quiet", "--no-tty", "--passphrase", "", *arguments],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def new_key(who: str) -> str:
    gpg("--quick-gen-key", f"{who.title()} <{who}@example.com>", "ed25519", "sign", "never")
    listed = gpg("--with-colons", "--list-keys", f"{who}@example.com")
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))


def test_a_gpg_signed_tag_is_known_by_its_keyring(project: Project, keyring: Path) -> None:
    anna, ben = new_key("anna"), new_key("ben")
    project.git("config", "tag.gpgSign", "true")
    project.git("config", "user.signingKey", anna)
    project.tag("m@v1.0.0")
    first = project.oid("m@v1.0.0")
    project.tag("m@v1.0.0")
    assert project.oid("m@v1.0.0") == first
    project.git("config", "user.signingKey", ben)
    project.tag("m@v1.1.0")
    assert project.verify() == {"m@v1.0.0": ANNA, "m@v1.1.0": ("not-allowed", "ben@example.com")}
    by_key = f"registry: {{signers: {{'*': [{ben}]}}}}\n"
    project.commit(modelci_yaml=by_key)
    assert project.verify("m@v1.1.0") == {"m@v1.1.0": ("good", "ben@example.com")}
    assert api.show(str(project.clone))["m"]["version"] == "v1.1.0"
    gpg("--yes", "--delete-secret-and-public-key", ben)
    assert project.verify("m@v1.1.0") == {"m@v1.1.0": ("unknown", None)}
    (one,) = GitRepository(project.clone).verify_tags(["refs/tags/m@v1.1.0"])
    assert (one.standing, one.reason) == (
        Standing.UNKNOWN,
        "the key is not in this machine's keyring",
    )
