"""Environments by an installer that is a script: what it is asked, and what is made of its words.

Real ones are made in tests/integration/test_environments.py.
"""

import json
import os
import shlex
import stat
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.fakes.progress import RecordedProgress

from modelci.adapters.environments import READY, VirtualEnvironments
from modelci.domain.golden import Environment
from modelci.errors import DeploymentError

RECORDED = Environment(
    python=".".join(map(str, sys.version_info[:3])),
    packages={"scikit-learn": "1.8.0", "numpy": "2.4.6"},
    needs=("scikit-learn",),
)
HAS = {"python": RECORDED.python, "packages": dict(RECORDED.packages)}


class ScriptedUv:
    """A ``uv`` whose environments hold a ``python`` that only says what it has."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "uv"
        self._folder = folder
        self.set()

    def set(self, install: str = "", *, has: Mapping[str, object] = HAS, create: str = "") -> None:
        """``create`` and ``install`` are shell that the two commands begin with."""
        answer = self._folder / "answer.json"
        answer.write_text(json.dumps(has), encoding="utf-8")
        python = f"#!/bin/sh\ncat {shlex.quote(str(answer))}\n"
        script = f"""#!/bin/sh
echo "$@" >> {shlex.quote(str(self._folder / "asked"))}
pwd >> {shlex.quote(str(self._folder / "where"))}
env > {shlex.quote(str(self._folder / "env"))}
for last; do :; done
case "$*" in
*" venv "*)
  {create or ":"}
  mkdir -p "$last/bin" "$last/lib/python3.11/site-packages"
  printf %s {shlex.quote(python)} > "$last/bin/python"
  chmod +x "$last/bin/python" ;;
*)
  cat "$last" > {shlex.quote(str(self._folder / "requirements"))}
  {install or ":"} ;;
esac
"""
        self.path.write_text(script, encoding="utf-8")
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def read(self, name: str) -> str:
        file = self._folder / name
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    @property
    def made(self) -> int:
        return sum(" venv " in line for line in self.read("asked").splitlines())


@pytest.fixture
def uv(tmp_path: Path) -> ScriptedUv:
    (tmp_path / "tools").mkdir()
    return ScriptedUv(tmp_path / "tools")


def environments(uv: ScriptedUv | None, **variables: str) -> VirtualEnvironments:
    path = uv.path if uv else None
    seen = {"PATH": os.defpath, "HOME": "/nonexistent", **variables}
    return VirtualEnvironments(variables=seen, find_uv=lambda _: path, timeout_seconds=100)


def build(found: VirtualEnvironments, folder: Path, recorded: Environment = RECORDED) -> Path:
    return found.build(recorded, folder, progress=RecordedProgress())


def test_an_environment_is_made_once_and_then_found(uv: ScriptedUv, tmp_path: Path) -> None:
    folder = tmp_path / "envs"
    python = build(environments(uv), folder)
    assert python.is_relative_to(folder)
    assert {"scikit-learn==1.8.0", "numpy==2.4.6"} <= set(uv.read("requirements").split())
    assert build(environments(uv), folder) == python
    assert uv.made == 1


def test_the_running_modelci_is_copied_into_it(uv: ScriptedUv, tmp_path: Path) -> None:
    place = build(environments(uv), tmp_path / "envs").parents[1]
    assert (place / "lib/python3.11/site-packages/modelci/serving/__init__.py").is_file()


def test_other_versions_have_another_environment(uv: ScriptedUv, tmp_path: Path) -> None:
    other = Environment(python=RECORDED.python, packages={"scikit-learn": "1.9.1"})
    first = build(environments(uv), tmp_path / "envs")
    uv.set(has={"python": other.python, "packages": dict(other.packages)})
    assert build(environments(uv), tmp_path / "envs", other) != first


def test_a_half_built_one_is_made_again(uv: ScriptedUv, tmp_path: Path) -> None:
    folder = tmp_path / "envs"
    place = build(environments(uv), folder).parents[1]
    (place / READY).unlink()  # as a builder leaves it that was killed
    (place / "bin/leftover").touch()
    assert build(environments(uv), folder).parents[1] == place
    assert (uv.made, (place / "bin/leftover").exists()) == (2, False)


def test_one_whose_interpreter_is_gone_is_made_again(uv: ScriptedUv, tmp_path: Path) -> None:
    python = build(environments(uv), tmp_path / "envs")
    python.unlink()
    python.symlink_to("/nonexistent/python3.11")
    build(environments(uv), tmp_path / "envs")
    assert uv.made == 2


def test_two_builders_at_once_make_one(uv: ScriptedUv, tmp_path: Path) -> None:
    goes_on = tmp_path / "go"
    uv.set(install=f"until test -e {shlex.quote(str(goes_on))}; do sleep 0.02; done")
    found: list[Path] = []
    progress = RecordedProgress()

    def work() -> None:
        made = environments(uv).build(RECORDED, tmp_path / "envs", progress=progress)
        found.append(made)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for one in threads:
        one.start()
    deadline = time.monotonic() + 60
    while not any("Waiting" in note for note in progress.notes) and time.monotonic() < deadline:
        time.sleep(0.01)
    goes_on.touch()
    for one in threads:
        one.join(60)
    assert (len(found), len(set(found)), uv.made) == (3, 1, 1)
    assert any("Waiting" in note for note in progress.notes)


@pytest.mark.parametrize(
    "said",
    [
        (
            "error: Failed to fetch: `https://anna:s3cret@index.example/simple/numpy/`\n"
            "  Caused by: error sending request for url\n  Caused by: dns error"
        ),
        "ERROR: Could not find a version\nProxyError('Cannot connect to proxy.')",
        (
            "error: Network connectivity is disabled, but the requested data wasn't in the cache\n"
            "No solution found when resolving dependencies"
        ),
    ],
)
def test_an_index_out_of_reach_is_said_to_be_that(
    uv: ScriptedUv, tmp_path: Path, said: str
) -> None:
    uv.set(install=f"echo {shlex.quote(said)} >&2; exit 1")
    with pytest.raises(DeploymentError, match="cannot be fetched") as caught:
        build(environments(uv), tmp_path / "envs")
    assert "HTTPS_PROXY" in str(caught.value.hint)
    assert "s3cret" not in str(caught.value)
    assert not list((tmp_path / "envs").glob("py*"))  # nothing half-built is left


def test_a_package_that_is_not_to_be_had_is_named(uv: ScriptedUv, tmp_path: Path) -> None:
    said = (
        "× No solution found when resolving dependencies:\n╰─▶ there is no version of credit==0.1"
    )
    uv.set(install=f"echo {shlex.quote(said)} >&2; exit 1")
    with pytest.raises(DeploymentError, match=r"cannot be made again.*credit==0\.1") as caught:
        build(environments(uv), tmp_path / "envs")
    assert "environment: current" in str(caught.value.hint)


def test_serving_gives_way_where_our_own_versions_do_not_go_with_the_models(
    uv: ScriptedUv, tmp_path: Path
) -> None:
    uv.set(install='grep -q "^msgspec==" "$last" && { echo "No solution found" >&2; exit 1; }; :')
    build(environments(uv), tmp_path / "envs")
    assert "msgspec>=" in uv.read("requirements")
    assert "numpy==2.4.6" in uv.read("requirements")  # what was recorded never does


def test_what_is_not_as_recorded_is_not_used(uv: ScriptedUv, tmp_path: Path) -> None:
    has = {"python": RECORDED.python, "packages": {"scikit-learn": "1.9.1", "numpy": "2.4.6"}}
    uv.set(has=has)
    with pytest.raises(DeploymentError, match=r"scikit-learn 1\.9\.1, not 1\.8\.0"):
        build(environments(uv), tmp_path / "envs")
    assert not list((tmp_path / "envs").glob("py*"))


def test_one_that_takes_too_long_is_ended(uv: ScriptedUv, tmp_path: Path) -> None:
    uv.set(install="sleep 600")
    found = VirtualEnvironments(
        variables={"PATH": os.defpath}, find_uv=lambda _: uv.path, timeout_seconds=0.3
    )
    began = time.monotonic()
    with pytest.raises(DeploymentError, match=r"longer than 0\.3 s"):
        build(found, tmp_path / "envs")
    assert time.monotonic() - began < 100


def test_installers_see_what_they_were_given_and_no_project(uv: ScriptedUv, tmp_path: Path) -> None:
    build(environments(uv, HTTPS_PROXY="http://proxy", PIP_TARGET="/srv"), tmp_path / "envs")
    seen = uv.read("env")
    assert "HTTPS_PROXY=http://proxy" in seen
    assert "PIP_TARGET" not in seen
    assert str(Path.cwd()) not in uv.read("where").split()


def test_a_python_that_is_not_here_is_named_with_those_that_are(
    uv: ScriptedUv, tmp_path: Path
) -> None:
    here = tmp_path / "pythons"
    here.mkdir()
    (here / "python3").write_text("#!/bin/sh\necho 3.11.2\n", encoding="utf-8")
    (here / "python3").chmod(0o755)
    (here / "python3.99").write_text("#!/bin/sh\necho no such version; exit 127\n")
    (here / "python3.99").chmod(0o755)  # what pyenv puts there
    found = VirtualEnvironments(
        variables={"PATH": os.defpath}, pythons=[here], find_uv=lambda _: uv.path
    )
    recorded = Environment(python="3.99.1", packages={"numpy": "2.4.6"})
    with pytest.raises(DeploymentError, match=r"Python 3\.99\.1.*it has 3\.11\.2") as caught:
        build(found, tmp_path / "envs", recorded)
    assert "python3.99" in str(caught.value.hint)


@pytest.mark.parametrize("python", ["3.9.18", "2.7.18"])
def test_a_python_that_modelci_cannot_serve_with_is_refused(
    uv: ScriptedUv, tmp_path: Path, python: str
) -> None:
    with pytest.raises(DeploymentError, match=rf"{python}.* 3\.11 or newer"):
        build(environments(uv), tmp_path / "envs", Environment(python=python))


def test_golden_requests_of_no_python_are_refused(uv: ScriptedUv, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="no version of Python"):
        build(environments(uv), tmp_path / "envs", Environment(python="unknown"))


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(
    uv: ScriptedUv, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeploymentError, match="No environment can be made"):
        build(environments(uv), tmp_path / "file" / "envs")


def pip_configured(tmp_path: Path, *, said: str) -> Path:
    """Return a Python whose pip tells that configuration, and whose venv says that it ran."""
    folder = tmp_path / "base"
    folder.mkdir()
    minor = ".".join(map(str, sys.version_info[:2]))
    python = folder / f"python{minor}"
    python.write_text(
        f"""#!/bin/sh
case "$*" in
*"config list"*) echo {shlex.quote(said)} ;;
*" venv "*) echo "pip was chosen" >&2; exit 1 ;;
*) echo {RECORDED.python} ;;
esac
""",
        encoding="utf-8",
    )
    python.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("said", "variables", "is_pip"),
    [
        ("global.index-url='https://index.example/simple'", {}, True),
        (":env:.index-url='https://index.example/simple'", {}, True),
        ("install.no-index='true'", {}, True),
        ("global.timeout='60'", {}, False),
        ("global.index-url='https://index.example'", {"UV_DEFAULT_INDEX": "https://x"}, False),
    ],
)
def test_pip_does_it_where_an_index_is_set_up_for_pip_alone(
    uv: ScriptedUv, tmp_path: Path, said: str, variables: dict[str, str], is_pip: bool
) -> None:
    found = VirtualEnvironments(
        variables={"PATH": os.defpath, "HOME": str(tmp_path), **variables},
        pythons=[pip_configured(tmp_path, said=said)],
        find_uv=lambda _: uv.path,
    )
    if is_pip:
        with pytest.raises(DeploymentError, match="pip was chosen"):
            build(found, tmp_path / "envs")
    else:
        build(found, tmp_path / "envs")
    assert (uv.made == 0) is is_pip


def test_what_runs_here_is_told() -> None:
    found = environments(None).current()
    assert found.python == RECORDED.python
    assert found.packages["scikit-learn"].count(".") == 2
