"""Every test runs in the same world, whatever machine or CI job it runs on."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about the code. The same examples each
# time: `--hypothesis-profile=search` looks for new ones.
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", QUIET)
settings.register_profile("modelci", QUIET, derandomize=True)
settings.load_profile("modelci")


def pytest_xdist_auto_num_workers() -> int | None:
    """One more than there are processors: a third of the time, tests wait for processes."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1) + 1


def pytest_collection(session: pytest.Session) -> None:
    """Let each worker of a fresh clone begin with other modules than its neighbours.

    To rewrite their assertions takes longer than to import them, and is done once for all
    workers who come later. What cannot be imported now says so when it is collected.
    """
    config = session.config
    worker = getattr(config, "workerinput", None)
    if worker is None:
        return
    gc.disable()  # what is imported stays
    folders = [Path(one) for one in config.args if Path(one).is_dir()]
    modules = sorted(path for folder in folders for path in folder.resolve().rglob("test_*.py"))
    begin = int(worker["workerid"][2:]) * len(modules) // worker["workercount"]
    for path in modules[begin:] + modules[:begin]:
        with suppress(Exception, pytest.skip.Exception):
            import_module(".".join(path.relative_to(config.rootpath).with_suffix("").parts))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left alone with it in the end."""
    items.sort(key=is_short)


def is_short(item: pytest.Item) -> bool:
    """Whether a test was not given the time that a long one needs."""
    allowed = item.get_closest_marker("timeout")
    return allowed is None or allowed.args[0] < 200


def pytest_collection_finish() -> None:
    """Let Python look for cycles among what tests make, not among thousands of tests each time."""
    gc.collect()
    gc.freeze()
    gc.enable()


FOREIGN = tuple(
    "GIT_ GITHUB_ GITLAB_ GITEA_ FORGEJO_ CI RUNNER_ ACTIONS_ MODELCI_ DVC_ XDG_".split()
)
# Nothing of a test outlives the machine's power, and nobody shall tidy up behind its back.
GIT_CONFIG = """\
[core]
	fsync = none
[gc]
	auto = 0
[maintenance]
	auto = false
[receive]
	autogc = false
[user]
	name = Test Author
	email = author@example.com
[init]
	defaultBranch = main
[protocol "file"]
	allow = always
"""


@pytest.fixture(scope="session", autouse=True)
def untouched_by_the_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take away what the machine set; session-wide fixtures see the same as tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(FOREIGN):
                patch.delenv(name)
        # Pipeline stages say `python`, and mean this one.
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_TERMINAL_PROMPT", "0")
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("NO_COLOR", "1")
        patch.delenv("FORCE_COLOR", raising=False)
        patch.setenv("COLUMNS", "100")
        patch.setenv("TZ", "UTC")
        patch.setenv("LC_ALL", "C.UTF-8")
        move_into(tmp_path_factory.mktemp("home"), patch)
        yield


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New folders. ``mktemp`` looks through all that there are for each: thousands, in the end."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / f"{number}" for number in count())


@pytest.fixture(autouse=True)
def home(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own, apart from its ``tmp_path``."""
    path = next(homes)
    path.mkdir()
    move_into(path, monkeypatch)
    return path


def move_into(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / ".gitconfig").write_text(GIT_CONFIG, encoding="utf-8")
    patch.setenv("HOME", str(home))
    patch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    for name, folder in (
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_CACHE_HOME", ".cache"),
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_STATE_HOME", ".local/state"),
        ("DVC_SYSTEM_CONFIG_DIR", ".config/dvc-system"),
        ("DVC_SITE_CACHE_DIR", ".cache/dvc-site"),
    ):
        patch.setenv(name, str(home / folder))
