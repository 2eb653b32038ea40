"""What stands in the way of deploying to a target from this machine, found without deploying.

Nothing is written, started or told to anybody: a folder is looked at, a program looked for, and an
address tried.
"""

import errno
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.switching import control, processes, supervisor, switches
from modelci.adapters.targets.switching.control import UnreachableError
from modelci.config.model import SwitchKind, TargetKind, split_address
from modelci.domain.checks import Check, Health
from modelci.errors import DeploymentError

NEEDED = ("httptools", "starlette", "uvicorn")
"""The packages that serving needs."""

_ASK_SECONDS = 5.0
_TOOLS = {TargetKind.IMAGE: ("umoci", "skopeo"), TargetKind.KSERVE: ("umoci", "skopeo")}


def _can_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def examine(
    settings: TargetSettings, *, can_write: Callable[[Path], bool] = _can_write
) -> Iterator[Check]:
    """Yield what is not well of a target; ``can_write`` says whether files can be made in a folder.

    What another machine may have, from which it is deployed, is a warning.
    """
    if settings.config.path is not None:
        yield from _check_folder(settings, can_write)
    yield from _check_tools(settings)
    if settings.config.kind is TargetKind.SERVER:
        yield from _check_packages(settings)
        yield from _check_address(settings)


def _check_folder(settings: TargetSettings, can_write: Callable[[Path], bool]) -> Iterator[Check]:
    path = settings.path
    found = next(one for one in (path, *path.resolve().parents) if one.exists())
    other = f"Set deploy.targets.{settings.name}.path to another folder"
    if not found.is_dir():
        yield _problem(settings, f"{found} is a file, and releases want a folder", f"{other}.")
    elif not can_write(found):
        at = "" if found == path else f", and {found} cannot be written"
        what = "cannot be written" if found == path else "is not there"
        yield _warning(
            settings,
            f"{path} {what}{at}: from here nothing can be deployed",
            f"Make it, and let whoever deploys own it: `sudo install -d -o USER {path}`. {other}, "
            "or deploy from another machine.",
        )


def _check_tools(settings: TargetSettings) -> Iterator[Check]:
    config, path = settings.config, settings.environment.get("PATH")
    wanted = [*_TOOLS.get(config.kind, ())]
    wanted += ["kubectl"] if config.kind is TargetKind.KSERVE and config.kserve.apply else []
    missing = [tool for tool in wanted if shutil.which(tool, path=path) is None]
    if missing:
        yield _warning(
            settings,
            f"{' and '.join(missing)} not found: from here nothing can be deployed",
            f"`apt-get install {' '.join(missing)}`, or whatever has them for your system.",
        )


def _check_packages(settings: TargetSettings) -> Iterator[Check]:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        yield _warning(
            settings,
            f"{', '.join(missing)} not installed: from here nothing can be served",
            "`pip install 'modelci[serve]'`",
        )
    wants_haproxy = settings.config.server.switch is SwitchKind.HAPROXY
    if wants_haproxy and switches.find_haproxy() is None:
        yield _warning(
            settings,
            "server.switch is haproxy, which is not installed",
            "`apt-get install haproxy`, or set it to auto or builtin.",
        )


def _check_address(settings: TargetSettings) -> Iterator[Check]:
    listen = settings.config.server.listen
    if _is_ours(settings, listen):
        return
    host, port = split_address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        why = "is taken by something else" if is_taken else f"is not to be had: {error.strerror}"
        yield _warning(
            settings,
            f"the address {listen} {why}",
            f"Set deploy.targets.{settings.name}.server.listen to another one"
            + (f", or end what has it (`ss -ltnp 'sport = :{port}'`)." if is_taken else "."),
        )


def _is_ours(settings: TargetSettings, listen: str) -> bool:
    """Whether this very target listens there, with a supervisor or after one was killed."""
    run = settings.path / supervisor.RUN
    try:
        status = control.call(run / supervisor.CONTROL, {"do": "status"}, seconds=_ASK_SECONDS)
    except (UnreachableError, DeploymentError):
        return any(processes.find(one) is not None for one in run.glob("*.pid"))
    return bool(status["listen"] == listen)


def _warning(settings: TargetSettings, detail: str, fix: str) -> Check:
    return Check(name=f"target {settings.name}", health=Health.WARNING, detail=detail, fix=fix)


def _problem(settings: TargetSettings, detail: str, fix: str) -> Check:
    return Check(name=f"target {settings.name}", health=Health.PROBLEM, detail=detail, fix=fix)
