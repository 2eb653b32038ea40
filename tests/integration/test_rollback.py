"""Rollbacks and their kin on a real remote, and what GTO and DVC make of the tags."""

import json
import os
import subprocess
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from gto import api

from modelci.cli import main

SECONDS = 1_700_000_000
WHY = ("--reason", "recall fell")


@dataclass(frozen=True)
class Project:
    """A bare remote, and a clone in which three versions held prod, one after the other."""

    folder: Path

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    def git(self, *arguments: str, seconds: int = 0, where: str = "clone") -> str:
        date = f"{SECONDS + seconds} +0000"
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder / where,
            env={**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def tag(self, name: str, commit: str, seconds: int) -> None:
        self.git("tag", "--annotate", "--message=x", name, commit, seconds=seconds)
        self.git("push", "--quiet", "origin", f"refs/tags/{name}")

    def modelci(self, *arguments: str, code: int = 0, where: str = "clone") -> str:
        runner = CliRunner()
        with chdir(self.folder / where):
            done = runner.invoke(main, arguments, prog_name="modelci")
        assert done.exit_code == code, f"{done.stdout}\n{done.stderr}\n{done.exception!r}"
        return done.stdout if code == 0 else done.stderr

    def document(self, *arguments: str) -> Any:
        return json.loads(self.modelci(*arguments, "--json"))

    def remote_tags(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:short)", where="origin.git").split()

    def gto(self) -> Any:
        """Return what GTO makes of the remote's tags, in a clone of its own."""
        fresh = self.folder / f"gto{len(list(self.folder.iterdir()))}"
        self.git("clone", "--quiet", str(self.folder / "origin.git"), str(fresh), where=".")
        return api.show(str(fresh)).get("m")

    def holder(self) -> str | None:
        entry = self.gto()
        return entry["stage"].get("prod") if entry else None


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.git("init", "--quiet", "--bare", "origin.git", where=".")
    project.git("clone", "--quiet", str(tmp_path / "origin.git"), "clone", where=".")
    for number in range(3):
        project.git("commit", "--quiet", "--allow-empty", "-m", "c", seconds=100 * number)
        project.tag(f"m@v1.{number}.0", "HEAD", 100 * number + 1)
        project.tag(f"m#prod#{number + 1}", "HEAD", 100 * number + 2)
    project.git("push", "--quiet", "origin", "HEAD:main")
    return project


def test_a_rollback_and_its_release_are_what_gto_sees(project: Project) -> None:
    assert project.holder() == "v1.2.0"
    change = project.document("rollback", "m", "--stage", "prod", *WHY)
    assert change["schema"] == "modelci.change/1"
    assert (change["before"], change["after"], change["done"]) == ("v1.2.0", "v1.1.0", True)
    assert project.holder() == "v1.1.0"
    message = project.git("cat-file", "tag", "refs/tags/m#prod#4", where="origin.git")
    assert "Modelci-Reason: recall fell" in message
    assert "Modelci-By: Test Author <author@example.com>" in message
    assert "Modelci-Rollback-From: v1.2.0" in message
    project.modelci("release-hold", "m", "--stage", "prod", "--reason", "fixed")
    assert project.holder() == "v1.1.0"
    assert "m#prod#5" in project.remote_tags()


def test_dvcs_resolver_sees_a_rollback_too(project: Project) -> None:
    from dvc.repo import Repo

    (project.clone / "dvc.yaml").write_text("artifacts:\n  m:\n    path: m.bin\n")
    with chdir(project.clone):
        Repo.init().close()
    project.git("add", "--all")
    project.git("commit", "--quiet", "-m", "dvc", seconds=300)
    project.tag("m@v1.3.0", "HEAD", 301)
    project.tag("m#prod#9", "HEAD", 302)
    good = project.git("rev-parse", "HEAD")
    project.git("commit", "--quiet", "--allow-empty", "-m", "bad", seconds=400)
    project.tag("m@v1.4.0", "HEAD", 401)
    project.tag("m#prod#10", "HEAD", 402)

    def found() -> str:
        with chdir(project.clone), Repo() as repo:
            rev: str = repo.artifacts.get_rev("m", stage="prod")
            return project.git("rev-parse", f"{rev}^{{commit}}")

    assert found() != good
    project.modelci("rollback", "m", "--stage", "prod", *WHY)
    assert found() == good


def test_a_dry_run_says_what_it_would_do_and_tags_nothing(project: Project) -> None:
    before = project.remote_tags()
    said = project.modelci("rollback", "m#prod", "--dry-run", *WHY)
    assert said == project.modelci("rollback", "m", "--stage", "prod", "--dry-run", *WHY)
    assert "Roll prod of m back to v1.1.0 from v1.2.0." in said
    assert "m#prod#4 to create on origin" in said
    assert "prod: v1.2.0 → v1.1.0" in said
    assert project.remote_tags() == before


def test_it_decides_from_the_remotes_tags_in_a_clone_that_has_none(project: Project) -> None:
    url = (project.folder / "origin.git").as_uri()
    shallow = ("clone", "--quiet", "--depth=1", "--no-tags", "--branch=main", url, "shallow")
    project.git(*shallow, where=".")
    project.modelci("rollback", "m", "--stage", "prod", *WHY, where="shallow")
    assert project.holder() == "v1.1.0"


def test_twice_is_once_and_further_back_takes_a_name(project: Project) -> None:
    project.modelci("rollback", "m", "--stage", "prod", *WHY)
    tags = project.remote_tags()
    said = project.modelci("rollback", "m", "--stage", "prod", *WHY)
    assert "Nothing to do." in said
    assert "--to" in said
    assert project.remote_tags() == tags
    project.modelci("rollback", "m", "--stage", "prod", "--to", "v1.0.0", *WHY)
    assert project.holder() == "v1.0.0"


def test_withdrawals_are_what_gto_sees(project: Project) -> None:
    refusal = project.modelci("deregister", "m@v1.2.0", *WHY, code=6)
    assert "m v1.2.0 holds prod." in refusal
    assert "modelci rollback m --stage prod" in refusal
    project.modelci("rollback", "m", "--stage", "prod", *WHY)
    said = project.modelci("deregister", "m@v1.2.0", *WHY)
    assert "DVC's own resolver" in said
    assert project.gto()["version"] == "v1.1.0"
    said = project.modelci("unassign", "m#prod", *WHY)
    assert "prod falls back to v1.0.0" in said
    assert project.holder() == "v1.0.0"
    project.modelci("deprecate", "m", *WHY)
    assert project.gto() is None
    assert "deprecated already" in project.modelci("deprecate", "m", *WHY)


def test_gto_reads_on_after_a_release_where_nothing_holds_the_stage(project: Project) -> None:
    project.modelci("rollback", "m", "--stage", "prod", *WHY)
    for _ in range(3):
        project.modelci("unassign", "m#prod", *WHY)
    assert project.holder() is None
    project.modelci("release-hold", "m", "--stage", "prod", *WHY)
    assert project.holder() is None
    assert "not held" in project.modelci("release-hold", "m", "--stage", "prod", *WHY)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("rollback", "m", "--stage", "prod"), 2, "--reason"),
        (("rollback", "m", "--stage", "prod", "--reason", " "), 2, "The reason is empty"),
        (("rollback", "m", "--stage", "prod", "--to", "one", *WHY), 2, "is no version"),
        (("rollback", "n", "--stage", "prod", *WHY), 2, "No tag speaks of an artifact 'n'"),
        (("rollback", "m!", "--stage", "prod", *WHY), 2, "cannot be an artifact's name"),
        (("deregister", "m", *WHY), 2, "is not of the form credit@v1.2.3"),
        (("deregister", "m#prod", *WHY), 2, "is not of the form"),
        (("unassign", "m@v1.0.0", *WHY), 2, "is not of the form"),
        (("unassign", "m#stable", *WHY), 2, "Its stages: prod."),
    ],
)
def test_what_makes_no_sense_is_refused(
    project: Project, arguments: tuple[str, ...], code: int, says: str
) -> None:
    before = project.remote_tags()
    assert says in project.modelci(*arguments, code=code)
    assert project.remote_tags() == before
