"""Serves releases on this machine: a process for each, and one switch that listens in front.

What is to answer is ``state.json`` of the artifact's folder; it is written first, and that is the
switch. A supervisor (``switching``) makes the processes follow, at once when it is told to, and
by itself where whoever wrote was killed before they could. So a deployment that was cut short
leaves either the old state or the new one, and a run after it finds which.
"""

import ipaddress
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import NoReturn

import msgspec

from modelci import __version__
from modelci.adapters.targets.examining import NEEDED
from modelci.adapters.targets.layout import Layout, no_folder, replace_file
from modelci.adapters.targets.probing import Probe, ProcessProbe
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.shelves import ShelvedTarget
from modelci.adapters.targets.switching import control, processes, supervisor, switches
from modelci.adapters.targets.switching.control import Message, UnreachableError
from modelci.adapters.targets.switching.keeping import Condition
from modelci.adapters.targets.switching.settings import ServerSettings, write_settings
from modelci.config.model import SwitchKind, split_address
from modelci.domain.deployment import (
    Observation,
    Release,
    Running,
    Trial,
)
from modelci.domain.golden import Environment, Health
from modelci.errors import DeploymentError

_START_SECONDS = 30.0
_LOOK_SECONDS = 5.0
_ASK_SECONDS = 60.0
_SPARE_SECONDS = 5.0
_LAST_LINES = 8
SERVING_SETTINGS = "serving.json"


def connect(settings: TargetSettings) -> "ServerTarget":
    """Return the target of the settings' folder; nothing is started before it is needed."""
    return ServerTarget(
        settings,
        probe=ProcessProbe(
            environment_variables=settings.bare, timeout_seconds=settings.config.timeout_seconds
        ),
    )


class ServerTarget(ShelvedTarget):
    """The ``Target`` that serves. ``server`` are Python's arguments that make it a server."""

    kind = "server"

    def __init__(
        self,
        settings: TargetSettings,
        *,
        probe: Probe,
        server: Sequence[str] = ("-m", "modelci.serving"),
    ) -> None:
        super().__init__(settings)
        self._probe = probe
        self._server = tuple(server)
        self._run = settings.path / supervisor.RUN

    # What is known

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder, and have everything running that is to run, whoever died before.

        A supervisor that was started meanwhile for nothing, as a first deployment that fails
        leaves it, is ended again.
        """
        with self._shelves.lock():
            is_kept = processes.find(self._run / supervisor.PID_FILE) is not None
            if self.artifacts():
                self._have_supervisor()
            try:
                yield
            finally:
                if not is_kept and not self._has_anything_to_run():
                    with suppress(DeploymentError):
                        self._end()

    def answers(self, artifact: str) -> bool:
        """Whether the switch takes clients and what runs is ready, with a supervisor or without."""
        running = self.read(artifact).running
        if running is None or not control.is_ready(self._run / f"{running.release}.sock"):
            return False
        try:
            address = split_address(self._settings.config.server.listen)
            socket.create_connection(address, timeout=_LOOK_SECONDS).close()
        except OSError:
            return False
        return True

    def environment(self) -> Environment:
        """Return what the target's Python has."""
        return self._probe.environment(self._python)

    def observe(self, release: Release, *, seconds: float) -> Observation | None:
        """Return what the switch saw of the release's predictions: errors are answers of 500 on.

        None where no switch runs, and so nothing is answered.
        """
        asked = {"do": "observe", "release": release.id, "seconds": seconds}
        try:
            seen = self._ask(asked)["observation"]
        except UnreachableError:
            return None
        return None if seen is None else msgspec.convert(seen, Observation)

    # Acting

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        """Read every byte again, replay the golden requests, and start the release's process.

        It is ready when it has replayed them, too: twice in all, on purpose. The first time, in a
        process of its own, finds what is wrong before anything is kept up, within the latency that
        is allowed; the second is every start's, also years later in other packages. Raises
        DeploymentError where no server can run here, whatever the release.
        """
        self._have_supervisor()
        layout = self._shelves.of(release.artifact)
        if not layout.is_whole(release):
            return Health(ok=False, problems=(f"{release.id} has other bytes than were staged",))
        python = layout.python(release.id) or self._python
        health = self._probe.check(layout.path(release.id), python=python, latency_ms=latency_ms)
        if not health.ok:
            return health
        problem = self._bring_up(release)
        return health if problem is None else Health(ok=False, problems=(problem,))

    def switch(self, running: Running) -> None:
        """Let the release answer: its process is up first, then the state says so."""
        layout = self._shelves.of(running.artifact)
        self._require_up(layout.release(running.release))
        before = layout.read_state()
        layout.switch(running)
        try:
            self._apply(running.artifact, running=running.release)
        except DeploymentError:
            layout.write_state(before)
            self._follow_again(running.artifact)
            raise

    def try_out(self, release: Release, *, share: float, shadow: bool) -> None:
        """Let the release answer a share of the requests, or copies; with neither, end the trial.

        HAProxy makes no copies: where it is what the configuration asks for, that is refused.
        """
        layout = self._shelves.of(release.artifact)
        if not share and not shadow:
            layout.set_trial(release.artifact, None)
            self._ask_surely({"do": "apply", "artifact": release.artifact})
            return
        self._require_sense(layout, release, share=share, shadow=shadow)
        self._require_up(release)
        trial = Trial(release=release.id, share=share, shadow=shadow)
        before = layout.read_state()
        layout.set_trial(release.artifact, trial)
        try:
            self._apply(release.artifact, trial=trial)
        except DeploymentError:
            layout.write_state(before)
            self._follow_again(release.artifact)
            raise

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        """Remove the oldest releases, having stopped what still runs of them."""
        with suppress(UnreachableError):
            self._ask({"do": "apply", "artifact": artifact})
        return super().prune(artifact, keep=keep)

    # Running without deploying

    def serve(self) -> NoReturn:
        """Become the target's supervisor, until SIGTERM: for systemd, or a container.

        One that `modelci deploy` has started leaves everything to us.
        """
        self._prepare()
        found = processes.find(self._run / supervisor.PID_FILE)
        with suppress(UnreachableError):
            self._ask({"do": "leave"})
            if found is not None:
                found.wait(_ASK_SECONDS)
        bare = dict(self._settings.bare)
        os.execve(sys.executable, self._supervising, bare)  # noqa: S606 - no shell: a list of words

    def status(self) -> Message | None:
        """Return what the supervisor says of its processes; None where there is none."""
        try:
            return self._ask({"do": "status"})
        except UnreachableError:
            return None

    def stop(self) -> bool:
        """End the supervisor and all that it keeps, and wait for it; False where nothing ran.

        What is asked already is answered. Raises TargetBusyError while somebody deploys here.
        """
        if not self._run.is_dir():
            return False
        with self._shelves.lock():
            if self.status() is None and self._has_processes():
                self._have_supervisor()  # it takes over what another one has left
            return self._end()

    def _end(self) -> bool:
        found = processes.find(self._run / supervisor.PID_FILE)
        try:
            self._ask({"do": "stop"})
        except UnreachableError:
            return False
        most = self._drain_seconds + _ASK_SECONDS
        if found is not None and not found.wait(most):
            raise DeploymentError(
                f"The supervisor of {self.name} (process {found.pid}) has not ended in {most:g} s.",
                hint=f"Its log is {self._run / 'log' / 'supervisor.log'}.",
            )
        return True

    def _has_processes(self) -> bool:
        return any(processes.find(one) is not None for one in self._run.glob("*.pid"))

    def _has_anything_to_run(self) -> bool:
        return any(self.read(artifact).running is not None for artifact in self.artifacts())

    # The supervisor

    def _have_supervisor(self) -> None:
        """Have a supervisor of this version, that knows the settings."""
        is_changed = self._prepare()
        try:
            status = self._ask({"do": "status"})
        except UnreachableError:
            self._start_supervisor()
            return
        if status["version"] != __version__:
            self._ask({"do": "renew", "python": sys.executable})
            self._await_supervisor()
        elif is_changed:
            self._ask({"do": "reload"})

    def _prepare(self) -> bool:
        """Make the folder and the settings; whether those are new."""
        self._require_programs()
        try:
            self._run.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._run / "log").mkdir(exist_ok=True)
            path = self._run / SERVING_SETTINGS
            serving = msgspec.json.encode(self._settings.serving)
            if not path.exists() or path.read_bytes() != serving:
                replace_file(path, serving, mode=0o600)
            is_changed = write_settings(self._server_settings(), self._run)
        except OSError as error:
            raise no_folder(self.name, self._run, error) from error
        if is_changed:
            self._warn()
        return is_changed

    def _warn(self) -> None:
        host, _ = split_address(self._settings.config.server.listen)
        with suppress(ValueError):
            is_open = not ipaddress.ip_address(host).is_loopback
            if is_open and not self._settings.serving.get("token_sha256"):
                self._settings.progress.warn(f"Whoever reaches {host} may ask: there is no token.")

    def _require_programs(self) -> None:
        wanted = self._settings.config.server
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise DeploymentError(
                f"Serving needs packages that are not installed: {', '.join(missing)}.",
                hint="Run `pip install 'modelci[serve]'`.",
            )
        if wanted.switch == SwitchKind.HAPROXY and switches.find_haproxy() is None:
            raise DeploymentError(
                f"deploy.targets.{self.name}.server.switch is haproxy, which is not installed.",
                hint="Run `apt-get install haproxy`, or set it to auto or builtin.",
            )

    def _server_settings(self) -> ServerSettings:
        config, serving = self._settings.config, self._settings.serving
        strategy = config.strategy or self._settings.strategy
        return ServerSettings(
            name=self.name,
            listen=config.server.listen,
            switch=config.server.switch,
            workers=config.server.workers,
            python=str(self._python or sys.executable),
            server=self._server,
            environment=dict(self._settings.bare),
            serving=str((self._run / SERVING_SETTINGS).resolve()) if serving else None,
            compares=strategy.compares,
            body_bytes=serving.get("max_body", 10_000_000),
            answer_seconds=serving.get("timeout_seconds", 30.0) + _SPARE_SECONDS,
            drain_seconds=self._drain_seconds,
            ready_seconds=config.timeout_seconds,
        )

    @property
    def _drain_seconds(self) -> float:
        serving = self._settings.serving
        waits = serving.get("timeout_seconds", 30.0) + serving.get("drain_seconds", 0.5)
        return float(waits + _SPARE_SECONDS)

    @property
    def _supervising(self) -> list[str]:
        folder = str(self._settings.path.resolve())
        return [sys.executable, "-P", "-m", supervisor.__name__, folder]

    def _start_supervisor(self) -> None:
        processes.start(
            self._supervising,
            pid_file=self._run / supervisor.PID_FILE,
            log=self._run / "log" / "supervisor.log",
            folder=self._run,
            environment=self._settings.bare,
            detach=True,
        )
        self._await_supervisor()

    def _await_supervisor(self) -> None:
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends:
            with suppress(UnreachableError):
                if self._ask({"do": "status"})["version"] == __version__:
                    return
            time.sleep(0.02)
        log = self._run / "log" / "supervisor.log"
        said = " ".join(processes.tail(log).splitlines()[-1:])
        raise DeploymentError(
            f"The supervisor of {self.name} does not start: {said or 'it said nothing'}",
            hint=f"Its log is {log}.",
        )

    # Asking it

    def _ask(self, message: Message, *, seconds: float = _ASK_SECONDS) -> Message:
        return control.call(self._run / supervisor.CONTROL, message, seconds=seconds)

    def _ask_surely(self, message: Message, *, seconds: float = _ASK_SECONDS) -> Message:
        """Ask a supervisor, and have one if there is none."""
        try:
            return self._ask(message, seconds=seconds)
        except UnreachableError:
            self._have_supervisor()
            return self._ask(message, seconds=seconds)

    def _bring_up(self, release: Release) -> str | None:
        """Have the release's process running; return why it is not ready, None where it is."""
        most = self._settings.config.timeout_seconds
        asked = {"do": "up", "artifact": release.artifact, "release": release.id, "seconds": most}
        said = self._ask_surely(asked, seconds=most + _ASK_SECONDS)
        if said["condition"] == Condition.READY:
            return None
        reason = said["reason"] or f"it was not ready within {most:g} s"
        lines = said["log"].splitlines()[-_LAST_LINES:]
        return "\n".join([f"its server does not start: {reason}", *lines])

    def _require_up(self, release: Release) -> None:
        problem = self._bring_up(release)
        if problem is not None:
            log = self._run / "log" / f"{release.id}.log"
            raise DeploymentError(
                f"{release.id} cannot answer on {self.name}: {problem}", hint=f"Its log is {log}."
            )

    def _apply(
        self, artifact: str, *, running: str | None = None, trial: Trial | None = None
    ) -> None:
        """Have the switch do what the state says, or raise DeploymentError."""
        route = self._ask({"do": "apply", "artifact": artifact})["route"] or {}
        found = route.get("trial")
        if running is not None and route.get("running") != running:
            raise DeploymentError(
                f"{self.name} has not let {running} answer; {route.get('running')} does.",
                hint=f"See the logs in {self._run / 'log'}.",
            )
        if trial is not None and (found is None or msgspec.convert(found, Trial) != trial):
            raise DeploymentError(
                f"{self.name} has not begun the trial of {trial.release}.",
                hint=f"See the logs in {self._run / 'log'}.",
            )

    def _follow_again(self, artifact: str) -> None:
        """Have the state followed that was put back; the supervisor sees it by itself, too."""
        with suppress(DeploymentError):
            self._ask({"do": "apply", "artifact": artifact})

    def _require_sense(
        self, layout: Layout, release: Release, *, share: float, shadow: bool
    ) -> None:
        running = layout.read_state().place(release.artifact).running
        if running is None:
            raise DeploymentError(
                f"Nothing of {release.artifact} runs on {self.name} that {release.id} could be "
                "tried against.",
                hint="Deploy the first release with --strategy all.",
            )
        if running.release == release.id:
            raise DeploymentError(f"{release.id} answers everything on {self.name} already.")
        if not 0 <= share < 1:
            raise DeploymentError(f"{share:g} is no share of the requests.", hint="Such as 0.05.")
        if shadow and self._settings.config.server.switch == SwitchKind.HAPROXY:
            raise DeploymentError(
                f"{self.name} is switched by HAProxy, which makes no copies of requests.",
                hint=f"Set deploy.targets.{self.name}.server.switch to builtin (or auto), or use "
                "--strategy canary.",
            )
