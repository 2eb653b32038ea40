"""Runs a composite action's own ``run:`` steps in bash, and the actions it uses by stand-ins."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.e2e.world import Checkout, read_outputs

_EXPRESSION = re.compile(r"\$\{\{ ([\w.-]+) \}\}")
_COMPARISON = re.compile(r"([\w.-]+) (==|!=) '([^']*)'")


@dataclass(frozen=True, kw_only=True)
class Acted:
    """What came of the action; ``caches`` are the keys that it restored and kept."""

    result: str
    log: str
    outputs: Mapping[str, str]
    restored: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(kw_only=True)
class CompositeRun:
    """One step of a job that uses the action at ``path``, in the job's checkout.

    ``caches`` is the folder that stands for GitHub's store of caches, ``python`` for what
    setup-python brings, and ``variables`` are those of the step's ``env:``.
    """

    path: Path
    checkout: Checkout
    caches: Path
    python: Path
    inputs: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    result: str = "success"
    log: str = ""
    restored: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def play(self) -> Acted:
        action = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        self.known = self._start(action["inputs"])
        for number, step in enumerate(action["runs"]["steps"]):
            if self._is_meant(step.get("if", "success()")):
                told = self._run_step(step, f"step-{number}")
                self.known |= {f"steps.{step.get('id')}.outputs.{key}": told[key] for key in told}
        return Acted(
            result=self.result,
            log=self.log,
            outputs={name: self._fill(one["value"]) for name, one in action["outputs"].items()},
            restored=tuple(self.restored),
            kept=tuple(self.kept),
        )

    def _start(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        assert set(self.inputs) <= set(inputs)
        told = self.checkout.variables
        return {
            **{
                f"inputs.{key}": self.inputs.get(key, one["default"]) for key, one in inputs.items()
            },
            "github.ref": told["GITHUB_REF"],
            "github.sha": told["GITHUB_SHA"],
            "github.run_attempt": told.get("GITHUB_RUN_ATTEMPT", "1"),
            "github.event.repository.default_branch": "main",
            "runner.os": "Linux",
            "runner.arch": "X64",
        }

    def _is_meant(self, condition: str) -> bool:
        terms = condition.split(" && ")
        if "always()" not in terms and self.result != "success":
            return False
        return all(self._holds(term) for term in terms if term not in {"always()", "success()"})

    def _holds(self, term: str) -> bool:
        compared = _COMPARISON.fullmatch(term)
        assert compared, f"no such condition here: {term}"
        return (self._value(compared[1]) == compared[3]) is (compared[2] == "==")

    def _value(self, name: str) -> str:
        # What a step has not said is empty; anything else that nobody knows is a mistake.
        return self.known.get(name, "") if name.startswith("steps.") else self.known[name]

    def _fill(self, value: str) -> str:
        return _EXPRESSION.sub(lambda one: self._value(one[1]), value)

    def _run_step(self, step: Mapping[str, Any], name: str) -> dict[str, str]:
        given = {key: self._fill(value) for key, value in step.get("with", {}).items()}
        match step.get("uses", "").partition("@")[0]:
            case "":
                return self._run_shell(step, name)
            case "actions/setup-python":
                return {"python-version": f"{given['python-version']}.0"}
            case "actions/cache/restore":
                return self._restore(given)
            case "actions/cache/save":
                return self._keep(given)
            case other:
                raise AssertionError(f"no stand-in for {other}")

    def _run_shell(self, step: Mapping[str, Any], name: str) -> dict[str, str]:
        assert step["shell"] == "bash"
        output = Path(self.checkout.variables["RUNNER_TEMP"]) / f"{name}-output"
        output.write_text("")
        environment = {
            **os.environ,
            **self.checkout.variables,
            **self.variables,
            **{key: self._fill(value) for key, value in step.get("env", {}).items()},
            "GITHUB_ACTION_PATH": str(self.path.parent),
            "GITHUB_OUTPUT": str(output),
        }
        environment["PATH"] = f"{self.python}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=self.checkout.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=100,
        )
        self.log += done.stdout.decode()
        if done.returncode:
            self.result = "failure"
        plain = [
            line.partition("=") for line in output.read_text().splitlines() if "<<" not in line
        ]
        return {**{key: text for key, sign, text in plain if sign}, **read_outputs(output)}

    def _restore(self, given: Mapping[str, str]) -> dict[str, str]:
        """Take the cache of the key, or else the newest that begins as one of ``restore-keys``."""
        prefixes = given.get("restore-keys", "").split()
        stored = sorted(self.caches.iterdir(), key=lambda one: one.stat().st_mtime_ns, reverse=True)
        fitting = [one for one in stored if one.name == _named(given["key"])]
        for prefix in prefixes:
            fitting += [one for one in stored if one.name.startswith(_named(prefix))]
        if not fitting:
            return {}
        shutil.copytree(fitting[0], self._place(given["path"]), symlinks=True, dirs_exist_ok=True)
        self.restored.append(fitting[0].name)
        return {"cache-hit": str(fitting[0].name == _named(given["key"])).lower()}

    def _keep(self, given: Mapping[str, str]) -> dict[str, str]:
        place = self.caches / _named(given["key"])
        if self._place(given["path"]).exists() and not place.exists():
            shutil.copytree(self._place(given["path"]), place, symlinks=True)
            place.touch()
            self.kept.append(place.name)
        return {}

    def _place(self, path: str) -> Path:
        return self.checkout.folder / path


def _named(key: str) -> str:
    return key.replace("/", "+")
