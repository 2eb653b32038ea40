"""Runs a workflow's own ``run:`` steps in bash, and the actions it uses by small stand-ins."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from tests.e2e.world import Checkout, Job, World
from tests.fakes.github_server import TOKEN, Artifact

_INSTALLS = re.compile(r"make setup|pip install")
_FOLDERS = count(1)

# What the workflows say after ``if:``; whatever else stands there is an error of the test.
_CONDITIONS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "always()": lambda _: True,
    "github.event.action == 'requested'": lambda event: bool(event["action"] == "requested"),
    "github.event.action == 'completed'": lambda event: bool(event["action"] == "completed"),
    "github.event.action == 'completed' && !cancelled()": lambda event: bool(
        event["action"] == "completed"
    ),
    "github.event.workflow_run.event == 'pull_request'": lambda event: bool(
        event["workflow_run"]["event"] == "pull_request"
    ),
}


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
        is_meant = "if" not in job or _CONDITIONS[job["if"]](self.event.event)
        return is_meant and all(result == "success" for result in needed)

    def _run_job(self, name: str, job: Mapping[str, Any]) -> Ended:
        ended = Ended(result="success")
        for step in job["steps"]:
            if self._is_meant(step, ended):
                self._run_step(name, step, ended)
        return ended

    def _is_meant(self, step: Mapping[str, Any], ended: Ended) -> bool:
        condition = step.get("if", "")
        goes_on = ended.result == "success" or "always()" in condition or "!canc" in condition
        return goes_on and (not condition or _CONDITIONS[condition](self.event.event))

    def _run_step(self, name: str, step: Mapping[str, Any], ended: Ended) -> None:
        given = {key: self._fill(value, ended) for key, value in step.get("with", {}).items()}
        action = step.get("uses", "").partition("@")[0]
        artifacts = self.site.root / "artifacts"
        if action == "actions/checkout":
            ended.checkout = self._check_out(name, given.get("ref"))
        elif action == "actions/upload-artifact":
            assert ended.checkout is not None
            assert given["include-hidden-files"] == "True"
            assert given["if-no-files-found"] == "ignore"
            self._upload(ended.checkout.folder / given["path"], given["name"])
        elif action == "actions/download-artifact":
            shutil.copytree(artifacts / given["name"], given["path"])
        elif "run" in step and not _INSTALLS.search(step["run"]):
            self._run_shell(step, ended)
        else:
            assert "run" in step or action in {"actions/setup-python", "actions/cache"}

    def _upload(self, folder: Path, name: str) -> None:
        if not folder.is_dir():
            return
        shutil.copytree(folder, self.site.root / "artifacts" / name, dirs_exist_ok=True)
        if self.site.github is not None:
            run_id = int(self.event.variables.get("GITHUB_RUN_ID", "42"))
            keep(self.site, zipped(folder), run_id=run_id, name=name)

    def _check_out(self, name: str, ref: str | None) -> Checkout:
        place = f"{name}-{next(_FOLDERS)}"
        folder = self.site.checkout(place, ref or self.event.variables["GITHUB_REF"])
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


def zipped(folder: Path) -> bytes:
    """Return a folder as actions/upload-artifact stores it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return data.getvalue()


def keep(site: World, data: bytes, *, run_id: int = 42, name: str = "modelci") -> None:
    """Store an artifact on GitHub."""
    assert site.github is not None
    number = next(site.github.ids)
    site.github.artifacts.append(Artifact(run_id=run_id, id=number, name=name, data=data))


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []
