"""Runs a workflow's own ``run:`` steps in bash, and the actions it uses by small stand-ins."""

import io
import json
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


_ABOUT_OUTPUT = re.compile(r"(needs\.(\w+)\.outputs\.(\w+) (==|!=) '([^']*)')")
_ABOUT_STEP = re.compile(r"\$\{\{ !cancelled\(\) && steps\.\w+\.outputs\.(\w+) == '([^']*)' \}\}")
_WHATEVER_CAME = re.compile(r"\$\{\{ !cancelled\(\) && (.*) \}\}")


@dataclass(kw_only=True)
class Ended:
    """What came of a job; ``log`` is all that its steps printed."""

    result: str
    log: str = ""
    checkout: Checkout | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class WorkflowRun:
    """One run of a workflow file, job after job."""

    site: World
    event: Job
    api_url: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    jobs: dict[str, Ended] = field(default_factory=dict)

    def play(self, path: Path) -> dict[str, Ended]:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, job in workflow["jobs"].items():
            if not self._wanted(job):
                self.jobs[name] = Ended(result="skipped")
            elif "uses" in job:
                self.jobs[name] = self._call(job, path.parent)
            else:
                self.jobs[name] = self._run_job(name, job)
        return self.jobs

    def _wanted(self, job: Mapping[str, Any]) -> bool:
        needed = [self.jobs[name].result for name in _listed(job.get("needs"))]
        condition = job.get("if", "")
        if anyway := _WHATEVER_CAME.fullmatch(condition):
            condition = anyway[1]
        elif any(result != "success" for result in needed):
            return False
        if found := _ABOUT_OUTPUT.findall(condition):
            assert " && ".join(one[0] for one in found) == condition
            return all(
                (self.jobs[name].outputs[output] == value) is (sign == "==")
                for _, name, output, sign, value in found
            )
        return not condition or _CONDITIONS[condition](self.event.event)

    def _call(self, job: Mapping[str, Any], folder: Path) -> Ended:
        """Run another workflow of the folder in this run, once for each value of the matrix."""
        ((name, listed),) = job["strategy"]["matrix"].items()
        ended = Ended(result="success")
        for value in json.loads(self._fill(listed, ended)):
            given = {
                key: text.replace(f"${{{{ matrix.{name} }}}}", value)
                for key, text in job["with"].items()
            }
            called = WorkflowRun(
                site=self.site, event=self.event, api_url=self.api_url, inputs=given
            )
            for one in called.play(folder / Path(job["uses"]).name).values():
                ended.log += one.log
                ended.result = "failure" if one.result == "failure" else ended.result
        return ended

    def _run_job(self, name: str, job: Mapping[str, Any]) -> Ended:
        ended = Ended(result="success")
        for step in job["steps"]:
            if self._is_meant(step, ended):
                self._run_step(name, step, ended)
        ended.outputs = {
            key: self._fill(value, ended) for key, value in job.get("outputs", {}).items()
        }
        return ended

    def _is_meant(self, step: Mapping[str, Any], ended: Ended) -> bool:
        condition = step.get("if", "")
        goes_on = ended.result == "success" or "always()" in condition or "!canc" in condition
        if found := _ABOUT_STEP.fullmatch(condition):
            assert ended.checkout is not None
            return ended.checkout.outputs.get(found[1], "") == found[2]
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
        elif action == "actions/cache/restore":
            assert ended.checkout is not None
            cache = (_cached(self.site) or self.site.laptop.folder) / given["path"]
            shutil.copytree(cache, ended.checkout.folder / given["path"], dirs_exist_ok=True)
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
            "github.event.repository.default_branch": "main",
            "github.server_url": "https://github.com",
            "inputs.tag": self.inputs.get("tag", ""),
            "inputs.window": self.inputs.get("window", ""),
        }
        for name, job in self.jobs.items():
            known |= {f"needs.{name}.outputs.{key}": text for key, text in job.outputs.items()}
        if ended.checkout is not None:
            known["runner.temp"] = ended.checkout.variables["RUNNER_TEMP"]
            # All steps of a job write into one file here; only one of them has outputs that count.
            for key, text in ended.checkout.outputs.items():
                known |= {
                    f"steps.{step}.outputs.{key}": text for step in ("plan", "promote", "watch")
                }
        if "pull_request" in self.event.event:
            base = self.event.event["pull_request"]["base"]["sha"]
            known["github.event.pull_request.base.sha"] = base
        # Nobody has set the secret.
        value = str(value).replace("secrets.MODELCI_TOKEN || github.token", "github.token")
        # What a step has not said is empty.
        return re.sub(
            r"\$\{\{ (?:fromJSON\()?([\w.]+)\)? \}\}",
            lambda one: known.get(one[1], "") if one[1].startswith("steps.") else known[one[1]],
            value,
        )


def _cached(site: World) -> Path | None:
    """Return the checkout of the last job that ran the pipeline, whose cache was saved."""
    runs = sorted(site.root.glob("run-*[0-9]"), key=lambda one: int(one.name.split("-")[1]))
    return runs[-1] if runs else None


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
