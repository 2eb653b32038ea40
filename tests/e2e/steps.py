"""Runs a workflow's own ``run:`` steps in bash, and the actions it uses by small stand-ins."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from tests.e2e.world import Checkout, Job, World
from tests.fakes.github_server import TOKEN

_INSTALLS = re.compile(r"make setup|pip install")
_SAME_REPOSITORY = (
    "(success() || failure()) && github.event.pull_request.head.repo.full_name == github.repository"
)


@dataclass(kw_only=True)
class Ended:
    """What came of a job; ``log`` is all that its steps printed."""

    result: str
    log: str = ""
    checkout: Checkout | None = None


@dataclass(kw_only=True)
class WorkflowRun:
    """One run of a workflow file, job after job."""

    site: World
    event: Job
    api_url: str
    jobs: dict[str, Ended] = field(default_factory=dict)

    def play(self, path: Path) -> dict[str, Ended]:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, job in workflow["jobs"].items():
            self.jobs[name] = (
                self._run_job(name, job) if self._wanted(job) else Ended(result="skipped")
            )
        return self.jobs

    def _wanted(self, job: Mapping[str, Any]) -> bool:
        needed = [self.jobs[name].result for name in _listed(job.get("needs"))]
        if "if" not in job:
            return all(result == "success" for result in needed)
        assert " ".join(job["if"].split()) == _SAME_REPOSITORY
        whose: str = self.event.event["pull_request"]["head"]["repo"]["full_name"]
        return whose == str(self.event.event["repository"]["full_name"])

    def _run_job(self, name: str, job: Mapping[str, Any]) -> Ended:
        ended = Ended(result="success")
        for step in job["steps"]:
            if ended.result == "success" or step.get("if") == "always()":
                self._run_step(name, step, ended)
        return ended

    def _run_step(self, name: str, step: Mapping[str, Any], ended: Ended) -> None:
        given = {key: self._fill(value, ended) for key, value in step.get("with", {}).items()}
        action = step.get("uses", "").partition("@")[0]
        artifacts = self.site.root / "artifacts"
        if action == "actions/checkout":
            ended.checkout = self._check_out(name, given.get("ref"))
        elif action == "actions/upload-artifact":
            assert ended.checkout is not None
            found = ended.checkout.folder / given["path"]
            assert found.is_dir()
            assert given["include-hidden-files"] == "True"
            shutil.copytree(found, artifacts / given["name"])
        elif action == "actions/download-artifact":
            shutil.copytree(artifacts / given["name"], given["path"])
        elif "run" in step and not _INSTALLS.search(step["run"]):
            self._run_shell(step, ended)
        else:
            assert "run" in step or action in {"actions/setup-python", "actions/cache"}

    def _check_out(self, name: str, ref: str | None) -> Checkout:
        folder = self.site.checkout(name, ref or self.event.variables["GITHUB_REF"])
        (folder / ".venv").symlink_to(sys.prefix)
        variables = {
            **self.event.variables,
            "GITHUB_JOB": name,
            "GITHUB_API_URL": self.api_url,
        }
        return self.site.runner(folder, replace(self.event, variables=variables))

    def _run_shell(self, step: Mapping[str, Any], ended: Ended) -> None:
        assert ended.checkout is not None
        extra = {key: self._fill(value, ended) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=ended.checkout.folder,
            env={**os.environ, **ended.checkout.variables, **extra},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        ended.log += done.stdout.decode()
        if done.returncode:
            ended.result = "failure"

    def _fill(self, value: object, ended: Ended) -> str:
        told = self.event.variables
        known = {
            "github.token": TOKEN,
            "github.ref": told["GITHUB_REF"],
            "github.sha": told["GITHUB_SHA"],
        }
        if ended.checkout is not None:
            known["runner.temp"] = ended.checkout.variables["RUNNER_TEMP"]
        if "pull_request" in self.event.event:
            base = self.event.event["pull_request"]["base"]["sha"]
            known["github.event.pull_request.base.sha"] = base
        return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda one: known[one[1]], str(value))


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []
