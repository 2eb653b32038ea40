"""The project's own command deploys: one call for each step, told what to do by its environment.

The releases lie in the target's folder, where ``state.json`` remembers what runs: the command is
told, and believed. Each step can be called again, for whoever was interrupted begins anew.
"""

import json
import os
import tempfile
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from modelci.adapters.dvc.commands import ProcessGroups, TimedOutError, clean_tail
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.shelves import ShelvedTarget
from modelci.documents import codec
from modelci.domain.deployment import Observation, Release, Running, Trial
from modelci.domain.golden import Environment, Health
from modelci.domain.pipeline import StageRun, StageStatus
from modelci.errors import ConfigError, DeploymentError

PREFIX = "MODELCI_DEPLOY_"
_OBSERVE = "observe"
_KEPT_BYTES = 16 * 1024
_MOST_ANSWER = 16 * 1024 * 1024


def connect(settings: TargetSettings) -> "CommandTarget":
    """Return the target that runs the settings' command."""
    return CommandTarget(settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """How a step ended: the exit code, its last words, and what it wrote for us."""

    code: int
    tail: str
    answer: bytes

    @property
    def last(self) -> str:
        lines = self.tail.splitlines()
        return lines[-1] if lines else "it said nothing"


class CommandTarget(ShelvedTarget):
    """The ``Target`` that a shell command is."""

    kind = "command"

    def environment(self) -> Environment | None:
        """Return None: only the command knows where releases run."""
        return None

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> None:
        """Keep the folder, and let the command bring it to where it belongs."""
        super().stage(release, folder, python=python)
        self._require("stage", release, {})

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        """Let the command say whether the staged release does what it should.

        It may write a ``modelci.health/1`` document; else its exit code is the answer.
        """
        if not self._shelves.of(release.artifact).is_whole(release):
            return Health(ok=False, problems=(f"{release.id} has other bytes than were staged",))
        limit = "" if latency_ms is None else f"{latency_ms:g}"
        said = self._call("check", release, {"LATENCY_MS": limit})
        if not said.answer:
            problem = f"`{self._command}` ended with {said.code}: {said.last}"
            return Health(ok=said.code == 0, problems=(problem,) if said.code else ())
        try:
            health = codec.decode(Health, said.answer, source=f"{PREFIX}OUT of the check")
        except ConfigError as error:
            raise DeploymentError(str(error), hint=error.hint) from error
        if said.code and health.ok:
            problem = f"`{self._command}` ended with {said.code}: {said.last}"
            return replace(health, ok=False, problems=(problem,))
        return health

    def switch(self, running: Running) -> None:
        """Let the command switch, and remember that it did."""
        release = self._shelves.require(running)
        more = {
            "TAG": running.tag,
            "BY": running.by,
            "RUN_URL": running.run_url or "",
            "REASON": running.reason or "",
        }
        self._require("switch", release, more)
        self._shelves.of(running.artifact).switch(running)

    def try_out(self, release: Release, *, share: float, shadow: bool) -> None:
        """Let the command give the release its part of the traffic."""
        trial = Trial(release=release.id, share=share, shadow=shadow) if share or shadow else None
        shelf = self._shelves.of(release.artifact)
        if trial is not None:
            # Written first: what is killed in between is ended by the next deployment.
            shelf.set_trial(release.artifact, trial)
        more = {"SHARE": f"{share:g}", "SHADOW": "true" if shadow else "false"}
        self._require("try", release, more)
        if trial is None:
            shelf.set_trial(release.artifact, None)

    def observe(self, release: Release, *, seconds: float) -> Observation | None:
        """Return what the command wrote of the release's traffic; None where it wrote nothing."""
        said = self._require(_OBSERVE, release, {"SECONDS": f"{seconds:g}"})
        if not said.answer.strip():
            return None
        try:
            found = json.loads(said.answer)
            return msgspec.convert({"seconds": seconds, **found}, Observation)
        except (ValueError, TypeError, msgspec.ValidationError) as error:
            raise DeploymentError(
                f"`{self._command}` wrote no observation to ${PREFIX}OUT: {error}.",
                hint='Such as {"requests": 120, "errors": 0, "p99_ms": 8.5}.',
            ) from error

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        """Remove the oldest releases, and tell the command of each."""
        gone = super().prune(artifact, keep=keep)
        for release_id in gone:
            self._run("prune", {"ARTIFACT": artifact, "RELEASE": release_id})
        return gone

    @property
    def _command(self) -> str:
        return self._settings.config.cmd or ""

    def _require(self, step: str, release: Release, more: Mapping[str, str]) -> _Said:
        said = self._call(step, release, more)
        if said.code:
            raise DeploymentError(
                f"`{self._command}` ended with {said.code} at the step {step}: {said.last}",
                hint=f"It can be tried by hand: {PREFIX}STEP={step} and the variables of "
                "docs/targets.md.",
            )
        return said

    def _call(self, step: str, release: Release, more: Mapping[str, str]) -> _Said:
        shelf = self._shelves.of(release.artifact)
        folder, python = shelf.path(release.id), shelf.python(release.id)
        running = shelf.read(release.artifact).running
        told = {
            "ARTIFACT": release.artifact,
            "RELEASE": release.id,
            "VERSION": release.version or "",
            "COMMIT": release.commit,
            "FOLDER": str(folder),
            "MODEL": str(folder / release.model),
            "PYTHON": str(python or self._settings.config.python or ""),
            "PREVIOUS": running.release if running else "",
            **more,
        }
        return self._run(step, told)

    def _run(self, step: str, told: Mapping[str, str]) -> _Said:
        with tempfile.TemporaryDirectory(prefix="modelci-deploy-") as scratch:
            out = Path(scratch, "out.json")
            variables = {"STEP": step, "TARGET": self.name, "OUT": str(out), **told}
            code, tail = self._follow(
                step, {f"{PREFIX}{name}": value for name, value in variables.items()}
            )
            answer = b""
            if out.is_file():
                with out.open("rb") as file:
                    answer = file.read(_MOST_ANSWER)
        return _Said(code=code, tail=tail, answer=answer)

    def _follow(self, step: str, variables: Mapping[str, str]) -> tuple[int, str]:
        """Run the command; return its exit code and the end of what it said."""
        said, hear = bytearray(), self._listener(step)

        def keep(data: bytes) -> None:
            said.extend(data)
            del said[:-_KEPT_BYTES]
            hear(data)

        began, code = time.monotonic(), -1
        try:
            with ProcessGroups(
                keep,
                cwd=str(self._settings.root),
                environment={**self._settings.environment, **variables},
                timeout=self._settings.config.timeout_seconds,
            ) as groups:
                code = groups.run(self._command)
        except TimedOutError as error:
            raise DeploymentError(
                f"`{self._command}` took longer than "
                f"{self._settings.config.timeout_seconds:g} s at the step {step}.",
                hint="timeout_seconds of the target says how long a step may take.",
            ) from error
        finally:
            self._end(step, code, time.monotonic() - began)
        return code, clean_tail(os.fsdecode(bytes(said)))

    def _listener(self, step: str) -> Callable[[bytes], None]:
        """Say that a step starts, and return what passes its output on."""
        if step == _OBSERVE:  # again and again: nobody wants to read that
            return lambda _: None
        name, decoder = f"{self.name}: {step}", getincrementaldecoder("utf-8")("replace")
        self._settings.progress.stage_started(name, [self._command], 0, 1)
        return lambda data: self._settings.progress.stage_output(name, decoder.decode(data))

    def _end(self, step: str, code: int, seconds: float) -> None:
        if step == _OBSERVE:
            return
        run = StageRun(
            name=f"{self.name}: {step}",
            status=StageStatus.FAILED if code else StageStatus.RAN,
            seconds=round(seconds, 3),
            exit_code=code,
        )
        self._settings.progress.stage_ended(run, 1, 1)
