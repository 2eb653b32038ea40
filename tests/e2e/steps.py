"""Plays workflows and composite actions: ``run:`` steps in bash, others' actions by stand-ins.

Contexts and conditions are GitHub's (``expressions.py``), and so are its rules for workflows that
call others: what is not declared is not given, and no job has more permissions than its caller.
"""

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from tests.e2e.expressions import Value, as_text, fill, holds
from tests.e2e.world import Checkout, Job, World
from tests.fakes.github_server import TOKEN, Artifact

PROJECT = Path(__file__).parents[2]
_CALLED = ("$/", "./")
_OURS = "/modelci/.github/workflows/"
_FOLDERS = count(1)
_LEVELS = ("none", "read", "write")


@dataclass(kw_only=True)
class Ended:
    """What came of a job; ``log`` is all that its steps printed."""

    result: str
    log: str = ""
    checkout: Checkout | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a job finds on its runner.

    ``caches`` is the folder that stands for GitHub's store of caches. ``python`` is what
    setup-python brings; without it nothing is installed, and the environment is the test's own.
    ``variables`` are those of every step.
    """

    caches: Path
    python: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Steps:
    """The steps of a job, or of an action within one; ``outputs`` are each step's."""

    machine: Machine
    checkout: Callable[[str | None], Checkout]
    site: World | None
    contexts: Mapping[str, Value]
    where: Checkout | None = None
    folder: Path | None = None
    result: str = "success"
    log: str = ""
    outputs: dict[str, Mapping[str, str]] = field(default_factory=dict)
    restored: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    # What a quick run says in place of the steps that install.
    canned: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def play(self, steps: Iterable[Mapping[str, Any]]) -> None:
        for step in steps:
            if self._is_meant(step.get("if", "")):
                self.outputs[step.get("id", "")] = self._run(step)

    @property
    def known(self) -> Mapping[str, Value]:
        temp = self.where.variables["RUNNER_TEMP"] if self.where else None
        runner = {"temp": temp, "os": "Linux", "arch": "X64"}
        steps = {name: {"outputs": one} for name, one in self.outputs.items()}
        return {**self.contexts, "steps": steps, "runner": runner}

    def text(self, value: object) -> str:
        """Fill in a value of the file; a plain one is said as YAML's is."""
        return as_text(fill(value, self.known) if isinstance(value, str) else value)

    def _is_meant(self, condition: str) -> bool:
        return holds(condition, self.known, status_functions([self.result]))

    def _run(self, step: Mapping[str, Any]) -> Mapping[str, str]:
        if step.get("id") in self.canned:
            return self.canned[step["id"]]
        given = {key: self.text(value) for key, value in step.get("with", {}).items()}
        used = step.get("uses", "")
        match used.partition("@")[0]:
            case "":
                return self._shell(step)
            case "$/setup":
                return self.act(PROJECT / "setup", given)
            case "actions/checkout":
                self.where = self.checkout(given.get("ref"))
            case "actions/setup-python":
                return {"python-version": f"{given['python-version']}.0"}
            case "actions/upload-artifact":
                self._upload(given)
            case "actions/download-artifact":
                shutil.copytree(self._artifacts / given["name"], given["path"])
            case "actions/cache/restore":
                return self._restore(given)
            case "actions/cache/save":
                self._keep(given)
            case _:
                raise AssertionError(f"no stand-in for {used}")
        return {}

    def act(self, folder: Path, given: Mapping[str, str]) -> Mapping[str, str]:
        """Play a composite action, which sees its inputs and none of the job's steps or secrets."""
        action = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))
        assert set(given) <= set(action["inputs"])
        inputs = {name: given.get(name, one["default"]) for name, one in action["inputs"].items()}
        hidden = ("needs", "secrets")
        contexts = {name: one for name, one in self.contexts.items() if name not in hidden}
        inner = replace(
            self,
            contexts={**contexts, "inputs": inputs},
            folder=folder,
            outputs={},
            log="",
            canned={} if self.machine.python else _WITHOUT_INSTALLING,
        )
        inner.play(action["runs"]["steps"])
        self.log += inner.log
        self.result = inner.result
        return {name: inner.text(one["value"]) for name, one in action["outputs"].items()}

    def _shell(self, step: Mapping[str, Any]) -> Mapping[str, str]:
        where = self._place
        assert (self.folder is None) or step["shell"] == "bash"
        files = Path(where.variables["RUNNER_TEMP"]) / f"step-{next(_FOLDERS)}"
        files.mkdir()
        names = {f"GITHUB_{name}": files / name for name in ("OUTPUT", "ENV", "PATH")}
        for file in names.values():
            file.touch()
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=where.folder,
            env=self._environment(step.get("env", {}), names),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=100,
        )
        self.log += done.stdout.decode()
        if done.returncode:
            self.result = "failure"
        self.variables |= read_file(names["GITHUB_ENV"])
        self.paths[:0] = reversed(names["GITHUB_PATH"].read_text().splitlines())
        return read_file(names["GITHUB_OUTPUT"])

    def _environment(
        self, extra: Mapping[str, object], files: Mapping[str, Path]
    ) -> Mapping[str, str]:
        told = {
            **os.environ,
            **self._place.variables,
            **self.machine.variables,
            **self.variables,
            **{key: self.text(value) for key, value in extra.items()},
            **{name: str(file) for name, file in files.items()},
        }
        if self.folder is not None:
            told["GITHUB_ACTION_PATH"] = str(self.folder)
        python = [str(self.machine.python)] if self.machine.python else []
        told["PATH"] = os.pathsep.join([*self.paths, *python, told["PATH"]])
        return told

    @property
    def _place(self) -> Checkout:
        assert self.where is not None, "nothing is checked out"
        return self.where

    @property
    def _artifacts(self) -> Path:
        assert self.site is not None
        return self.site.root / "artifacts"

    def _upload(self, given: Mapping[str, str]) -> None:
        assert self.site is not None
        assert given["include-hidden-files"] == "true"
        assert given["if-no-files-found"] == "ignore"
        folder = self._place.folder / given["path"]
        if not folder.is_dir():
            return
        shutil.copytree(folder, self._artifacts / given["name"], dirs_exist_ok=True)
        if self.site.github is not None:
            run_id = int(self._place.variables["GITHUB_RUN_ID"])
            keep(self.site, zipped(folder), run_id=run_id, name=given["name"])

    def _restore(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Take the cache of the key, or else the newest that begins as one of ``restore-keys``."""
        caches = self.machine.caches
        stored = sorted(caches.iterdir(), key=lambda one: one.stat().st_mtime_ns, reverse=True)
        fitting = [one for one in stored if one.name == _named(given["key"])]
        for prefix in given.get("restore-keys", "").split():
            fitting += [one for one in stored if one.name.startswith(_named(prefix))]
        if not fitting:
            return {}
        place = self._place.folder / given["path"]
        shutil.copytree(fitting[0], place, symlinks=True, dirs_exist_ok=True)
        self.restored.append(fitting[0].name)
        return {"cache-hit": str(fitting[0].name == _named(given["key"])).lower()}

    def _keep(self, given: Mapping[str, str]) -> None:
        place = self.machine.caches / _named(given["key"])
        folder = self._place.folder / given["path"]
        if folder.exists() and not place.exists():
            shutil.copytree(folder, place, symlinks=True)
            place.touch()
            self.kept.append(place.name)


_WITHOUT_INSTALLING: Mapping[str, Mapping[str, str]] = {
    "plan": {"environment": sys.prefix, "wanted": "", "key": "none", "keep": "false"},
    "install": {"version": "the test's own"},
    "dvc": {"folder": ".dvc/cache"},
}
# Steps of whole workflows, which `modelci init` writes, that install with pip.
_INSTALL = "Install"


@dataclass(kw_only=True)
class WorkflowRun:
    """One run of a workflow file, job after job, and of the workflows that it calls."""

    site: World
    event: Job
    api_url: str
    inputs: Mapping[str, Value] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    machine: Machine | None = None
    granted: Mapping[str, str] | None = None
    jobs: dict[str, Ended] = field(default_factory=dict)
    inner: dict[str, Ended] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    def play(self, path: Path) -> Mapping[str, Ended]:
        """Return what came of each job; of called workflows' jobs too, where no name is taken."""
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, job in workflow["jobs"].items():
            granted = job.get("permissions", workflow.get("permissions"))
            self._hold_to_what_the_caller_grants(name, granted)
            if not self._is_meant(job):
                self.jobs[name] = Ended(result="skipped")
            elif "uses" in job:
                self.jobs[name] = self._call(job, path, granted)
            else:
                self.jobs[name] = self._run_job(name, job)
        declared = workflow[True].get("workflow_call") if isinstance(workflow[True], dict) else None
        self.outputs = self._say((declared or {}).get("outputs", {}))
        return {**self.inner, **self.jobs}

    def _say(self, outputs: Mapping[str, Any]) -> Mapping[str, str]:
        jobs = {name: {"outputs": one.outputs} for name, one in self.jobs.items()}
        return {
            name: as_text(fill(one["value"], {**self._contexts, "jobs": jobs}))
            for name, one in outputs.items()
        }

    def _hold_to_what_the_caller_grants(self, name: str, wanted: Mapping[str, str]) -> None:
        """GitHub does not start a run in which a called job asks for more."""
        for scope, level in (wanted or {}).items() if self.granted is not None else ():
            given = (self.granted or {}).get(scope, "none")
            assert _LEVELS.index(level) <= _LEVELS.index(given), f"{name}: {scope}: {level}"

    @cached_property
    def _contexts(self) -> Mapping[str, Value]:
        github = github_context(self.event)
        return {"github": github, "inputs": self.inputs, "secrets": self.secrets}

    def _needs(self, job: Mapping[str, Any]) -> Mapping[str, Value]:
        needed = _listed(job.get("needs"))
        return {
            name: {"result": self.jobs[name].result, "outputs": self.jobs[name].outputs}
            for name in needed
        }

    def _is_meant(self, job: Mapping[str, Any]) -> bool:
        needs = self._needs(job)
        contexts = {**self._contexts, "needs": needs}
        status = status_functions([one["result"] for one in needs.values()])
        return holds(job.get("if", ""), contexts, status)

    def _call(self, job: Mapping[str, Any], path: Path, granted: Mapping[str, str] | None) -> Ended:
        """Run another workflow in this run, once for each value of the matrix."""
        called = _called(job["uses"], path)
        declared = yaml.safe_load(called.read_text(encoding="utf-8"))[True]["workflow_call"]
        contexts = {**self._contexts, "needs": self._needs(job)}
        ended = Ended(result="success")
        for row in _rows(job, contexts):
            given = {
                key: fill(value, {**contexts, "matrix": row}) if isinstance(value, str) else value
                for key, value in job.get("with", {}).items()
            }
            secrets = {
                key: as_text(fill(value, contexts)) for key, value in job.get("secrets", {}).items()
            }
            assert set(secrets) <= set(declared.get("secrets", {}))
            run = replace(
                self,
                inputs=take_inputs(declared.get("inputs", {}), given),
                secrets=secrets,
                granted=granted,
                jobs={},
                inner={},
            )
            jobs = run.play(called)
            self.inner |= jobs
            ended.log += "".join(one.log for one in jobs.values())
            results = {one.result for one in run.jobs.values()}
            if "failure" in results or results == {"skipped"}:
                ended.result = "failure" if "failure" in results else "skipped"
            ended.outputs = run.outputs
        return ended

    def _run_job(self, name: str, job: Mapping[str, Any]) -> Ended:
        contexts = {**self._contexts, "needs": self._needs(job)}
        steps = Steps(
            machine=self.machine or Machine(caches=self._caches()),
            checkout=lambda ref: self._check_out(name, ref),
            site=self.site,
            contexts=contexts,
        )
        for key in (
            "runs-on",
            "environment",
        ):  # nothing comes of them here
            assert fill(job.get(key, key), contexts)
        steps.play(step for step in job["steps"] if step.get("name") != _INSTALL)
        return Ended(
            result=steps.result,
            log=steps.log,
            checkout=steps.where,
            outputs={key: steps.text(value) for key, value in job.get("outputs", {}).items()},
        )

    def _caches(self) -> Path:
        folder = self.site.root / "caches"
        folder.mkdir(exist_ok=True)
        return folder

    def _check_out(self, name: str, ref: str | None) -> Checkout:
        place = f"{name}-{next(_FOLDERS)}"
        folder = self.site.checkout(place, ref or self.event.variables["GITHUB_REF"])
        variables = {
            "GITHUB_RUN_ID": "42",
            **self.event.variables,
            "GITHUB_JOB": name,
            "GITHUB_API_URL": self.api_url,
        }
        return self.site.runner(folder, replace(self.event, variables=variables))


def github_context(job: Job) -> Mapping[str, Value]:
    """Return the context ``github``, in the fields that any file here reads."""
    told = job.variables
    return {
        "event": job.event,
        "event_name": told["GITHUB_EVENT_NAME"],
        "ref": told["GITHUB_REF"],
        "sha": told["GITHUB_SHA"],
        "run_attempt": told.get("GITHUB_RUN_ATTEMPT", "1"),
        "server_url": "https://github.com",
        "token": TOKEN,
    }


def take_inputs(declared: Mapping[str, Any], given: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the inputs of a called workflow, as GitHub takes them from ``with:``."""
    assert set(given) <= set(declared)
    kinds = {"string": str, "boolean": bool, "number": int}
    empty: Mapping[str, Value] = {"string": "", "boolean": False, "number": 0}
    taken = {}
    for name, one in declared.items():
        assert name in given or not one.get("required")
        value = given.get(name, one.get("default", empty[one["type"]]))
        # An expression that gives nothing is an empty text.
        taken[name] = "" if value is None and one["type"] == "string" else value
        assert isinstance(taken[name], kinds[one["type"]]), name
    return taken


def status_functions(results: Iterable[str]) -> Mapping[str, Callable[[], bool]]:
    """Say how it went: for a step the steps before it, for a job those it needs."""
    results = [*results]
    return {
        "success": lambda: all(one == "success" for one in results),
        "failure": lambda: "failure" in results,
        "always": lambda: True,
        "cancelled": lambda: False,
    }


def _called(uses: str, path: Path) -> Path:
    """Find the workflow that a job calls: beside this one, or one of ours by its commit."""
    reference, _, commit = uses.partition("@")
    if reference.startswith(_CALLED):
        return path.parent / Path(reference).name
    assert len(commit) == 40
    assert _OURS in reference
    return PROJECT / ".github" / "workflows" / Path(reference).name


def _rows(job: Mapping[str, Any], contexts: Mapping[str, Value]) -> Iterable[Mapping[str, Value]]:
    if "strategy" not in job:
        return [{}]
    ((name, values),) = job["strategy"]["matrix"].items()
    return [{name: value} for value in fill(values, contexts)]


def read_file(path: Path) -> Mapping[str, str]:
    """Read what a step wrote for the runner, a value a line or between marks."""
    found = {}
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        name, sign, mark = line.partition("<<")
        if not sign:
            name, _, found_value = line.partition("=")
            found[name] = found_value
            continue
        value = []
        for part in lines:
            if part == mark:
                break
            value.append(part)
        found[name] = "\n".join(value)
    return found


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


def _named(key: str) -> str:
    return key.replace("/", "+")
