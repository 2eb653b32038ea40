"""Plays release.yml: its ``run:`` steps in bash, and the actions that it uses by stand-ins."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
_EXPRESSION = re.compile(r"\$\{\{ ([\w.]+) \}\}")


def copy_project(folder: Path) -> None:
    """Lay the files of this work tree into a repository of their own, committed to main."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    git(folder, "init", "--quiet")
    commit(folder)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "work")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@dataclass(kw_only=True)
class ReleaseRun:
    """One run for a tag of the repository at ``origin``; all else lies in ``root``."""

    origin: Path
    root: Path
    tag: str
    published: list[str] = field(default_factory=list)
    attested: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    def play(self, name: str) -> bool:
        """Run a job on a machine of its own; return whether it succeeded."""
        workflow = yaml.safe_load((PROJECT / ".github/workflows/release.yml").read_text("utf-8"))
        machine = self.root / name
        (machine / "temp").mkdir(parents=True)
        (machine / "output").touch()
        (machine / "work").mkdir()
        return all(self._step(step, machine) for step in workflow["jobs"][name]["steps"])

    def _step(self, step: Mapping[str, Any], machine: Path) -> bool:
        given = {key: self._fill(value, machine) for key, value in step.get("with", {}).items()}
        work = machine / "work"
        match step.get("uses", "").partition("@")[0]:
            case "actions/checkout":
                self._check_out(work)
            case "actions/setup-python":
                pass
            case "actions/upload-artifact":
                assert given["if-no-files-found"] == "error"
                shutil.copytree(work / given["path"], self.artifacts / given["name"])
            case "actions/download-artifact":
                source = self.artifacts / given.get("name", "")
                shutil.copytree(source, work / given["path"], dirs_exist_ok=True)
            case "actions/attest":
                assert (work / given.get("sbom-path", ".")).exists()
                self.attested += sorted(path.name for path in work.glob(given["subject-path"]))
            case "pypa/gh-action-pypi-publish":
                self.published += sorted(path.name for path in (work / "dist").iterdir())
            case "":
                return step["run"] == "make setup" or self._shell(step, machine)
            case other:
                raise AssertionError(f"no stand-in for {other}")
        return True

    def _check_out(self, work: Path) -> None:
        work.rmdir()
        git(self.root, "clone", "--quiet", str(self.origin), str(work))
        git(work, "checkout", "--quiet", self.tag)
        # This environment stands for the one that `make setup` makes.
        (work / ".venv").mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (work / ".venv" / name).symlink_to(Path(sys.prefix) / name)
        (work / ".venv" / ".ready").touch()

    def _shell(self, step: Mapping[str, Any], machine: Path) -> bool:
        extra = {key: self._fill(value, machine) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=machine / "work",
            env={
                **os.environ,
                "GITHUB_OUTPUT": str(machine / "output"),
                "GITHUB_REF_NAME": self.tag,
                "GITHUB_REPOSITORY": "owner/modelci",
                "GITHUB_STEP_SUMMARY": str(machine / "summary"),
                "RUNNER_TEMP": str(machine / "temp"),
                **extra,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.log += done.stdout.decode()
        written = (machine / "output").read_text("utf-8").splitlines()
        self.outputs |= dict(line.split("=", 1) for line in written)
        return not done.returncode

    def _fill(self, value: object, machine: Path) -> str:
        known = {
            "github.token": "token",
            "needs.build.outputs.bill": self.outputs.get("name", ""),
            "runner.temp": str(machine / "temp"),
        }
        return _EXPRESSION.sub(lambda found: known[found[1]], str(value))
