"""Makes the commit of a retraining branch, in a clone of its own that is gone afterwards.

The project's command runs there, and sees what a stage's command sees: no token. What it wrote is
tracked by DVC where it is to be, pushed to the DVC remote, and committed. Neither the checkout nor
its branch is touched.
"""

import contextlib
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import dvc.repo
from dvc.config import Config
from dvc.exceptions import CheckoutError, DvcException
from dvc.utils.serialize import MODIFIERS
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from modelci.adapters.clones import cleaned, clone_commit, git
from modelci.adapters.dvc import errors
from modelci.adapters.dvc.commands import ProcessGroups, clean_tail
from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.adapters.dvc.remote import read_config
from modelci.adapters.dvc.talk import dvc_quiet
from modelci.domain.pipeline import RunOptions, StageStatus
from modelci.domain.retraining import Built, RetrainOrder
from modelci.errors import ConfigError, PipelineError
from modelci.ports import Progress

WINDOW, CURRENT = "MODELCI_WINDOW", "MODELCI_CURRENT"
PARAMS = "params.yaml"

_LOCAL = ".dvc/config.local"
_PARAMS_FILES = frozenset({".yaml", ".yml", ".json", ".toml", ".py"})
_KEPT_BYTES = 16 * 1024
_NOBODY = ("modelci", "modelci@localhost")
_PLAIN = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")


class DvcRetrainer:
    """The ``Retrainer`` of the repository at ``root``.

    ``environment`` is what user code may see, and what Git sees where user code has been: no token
    is in it. ``remote`` names the DVC remote to use instead of the default; ``options`` are of the
    pipeline's run.
    """

    def __init__(
        self,
        root: Path,
        *,
        environment: Mapping[str, str],
        remote: str | None = None,
        options: RunOptions | None = None,
    ) -> None:
        self._root = root
        self._environment = cleaned(environment) | {"GIT_TERMINAL_PROMPT": "0"}
        self._remote = remote
        self._options = options or RunOptions()

    def build(self, order: RetrainOrder, *, progress: Progress) -> Built:
        """Make the commit, and bring it into this repository."""
        with tempfile.TemporaryDirectory(prefix="modelci-retrain-") as name:
            clone = Path(name) / "clone"
            clone_commit(self._root, order.base, clone, self._environment)
            _share_settings(self._root, clone)
            self._bring_data(clone, progress)
            self._change(clone, order, progress)
            stages = self._reproduce(clone, progress) if order.run else ()
            changed = self._stage(clone)
            if not changed:
                return Built(commit=None, stages=stages)
            self._push(clone, changed, order, progress)
            return Built(commit=self._commit(clone, order), changed=changed, stages=stages)

    # -- the clone ---------------------------------------------------------------------------------

    def _bring_data(self, clone: Path, progress: Progress) -> None:
        """Check out what ``.dvc`` files track; from the DVC remote where the cache lacks it."""
        sources = [str(path.relative_to(clone)) for path in clone.rglob("*.dvc") if path.is_file()]
        if not sources:
            return
        with self._open(clone, progress) as repo:
            try:
                repo.checkout(targets=sources, force=True)
            except CheckoutError:
                repo.pull(targets=sources, force=True)

    def _change(self, clone: Path, order: RetrainOrder, progress: Progress) -> None:
        for key, value in order.params.items():
            _set_param(clone, key, value)
        if order.cmd:
            progress.note(f"Preparing {order.window}: {order.cmd}")
            self._run(clone, order.cmd, {WINDOW: order.window, CURRENT: order.current})
        if not order.add:
            return
        _require(clone, order.add)
        with self._open(clone, progress) as repo:
            repo.add(list(order.add))

    def _run(self, clone: Path, command: str, more: Mapping[str, str]) -> None:
        said = bytearray()

        def hear(data: bytes) -> None:
            said.extend(data)
            del said[:-_KEPT_BYTES]

        environment = {**self._environment, **more}
        with ProcessGroups(hear, cwd=str(clone), environment=environment) as groups:
            code = groups.run(command)
        if code:
            tail = clean_tail(said.decode("utf-8", "replace"))
            last = f"It said last: {tail.splitlines()[-1]}" if tail else "It said nothing."
            raise PipelineError(f"`{command}` (monitor.retrain.cmd) ended with {code}.", hint=last)

    def _reproduce(self, clone: Path, progress: Progress) -> tuple[str, ...]:
        runs = self._pipeline(clone).run((), self._options, progress=progress)
        failed = [run.name for run in runs if run.status is StageStatus.FAILED]
        if failed:
            raise PipelineError(
                f"The pipeline failed on the new data, in {', '.join(failed)}.",
                hint="Its log is above. `monitor.retrain: {run: false}` leaves the run to the pull "
                "request's own workflow, where it is seen by everybody.",
            )
        return tuple(run.name for run in runs if run.status is StageStatus.RAN)

    def _push(
        self, clone: Path, changed: Sequence[str], order: RetrainOrder, progress: Progress
    ) -> None:
        """Push the data before the commit is known to anybody: nobody shall miss them."""
        tracked = [path for path in changed if path.endswith(".dvc") and (clone / path).is_file()]
        if not tracked and not order.run:
            return
        pipeline = self._pipeline(clone)
        if not read_config(clone)["core"].get("remote") and self._remote is None:
            progress.warn(
                "There is no default DVC remote: the new data stay in this machine's cache, and "
                "nobody else can run the retraining branch (`dvc remote add --default`)."
            )
        elif order.run:
            pipeline.push(progress=progress, record=self._options.record)
        else:
            pipeline.push_only(tracked, progress=progress)

    # -- git ---------------------------------------------------------------------------------------

    def _stage(self, clone: Path) -> tuple[str, ...]:
        """Take all changes into the index, and return their paths."""
        self._git(clone, "add", "--all")
        # The remotes' credentials are in it, whether or not Git is told to ignore it.
        self._git(clone, "reset", "--quiet", "HEAD", "--", _LOCAL)
        listed = self._git(clone, "diff", "--cached", "--name-only", "-z", "HEAD")
        return tuple(path for path in listed.split("\0") if path)

    def _commit(self, clone: Path, order: RetrainOrder) -> str:
        """Commit by nobody, at the base's time: the same contents are the same commit."""
        seconds = self._git(clone, "show", "--no-patch", "--format=%ct", "HEAD")
        name, address = _NOBODY
        who = {
            f"GIT_{role}_{field}": value
            for role in ("AUTHOR", "COMMITTER")
            for field, value in (("NAME", name), ("EMAIL", address), ("DATE", f"{seconds} +0000"))
        }
        quiet = ("--quiet", "--no-verify", "--no-gpg-sign", "--cleanup=verbatim")
        self._git(clone, "commit", *quiet, "-m", order.message, more=who)
        sha = self._git(clone, "rev-parse", "HEAD")
        fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow")
        git(["-C", str(self._root), *fetch, "--", str(clone), "HEAD"], self._environment)
        return sha

    def _git(self, clone: Path, *arguments: str, more: Mapping[str, str] | None = None) -> str:
        return git(["-C", str(clone), *_PLAIN, *arguments], {**self._environment, **(more or {})})

    # -- dvc ---------------------------------------------------------------------------------------

    def _pipeline(self, clone: Path) -> DvcPipeline:
        return DvcPipeline(clone, environment=self._environment, remote=self._remote)

    @contextmanager
    def _open(self, clone: Path, progress: Progress) -> Iterator[Any]:
        config = {"core": {"remote": self._remote}} if self._remote else {}
        try:
            with (
                dvc_quiet(progress.warn),
                contextlib.chdir(clone),
                dvc.repo.Repo(str(clone), config=config) as repo,
            ):
                yield repo
        except DvcException as error:
            raise errors.translate(error, clone) from error


def _share_settings(root: Path, clone: Path) -> None:
    """Let the clone use the checkout's cache, remotes and credentials, wherever these were set.

    What the settings count from their own file, such as a remote that is a folder, is spelled out.
    """
    theirs = read_config(root)
    # With DVC's default there is no setting at all.
    cache = {
        **theirs.get("cache", {}),
        "dir": str(theirs.get("cache", {}).get("dir") or root / ".dvc" / "cache"),
    }
    remotes = {name: _texts(values) for name, values in theirs["remote"].items()}
    with Config(dvc_dir=str(clone / ".dvc"), validate=False).edit("local", validate=False) as ours:
        ours["cache"] = _texts(cache)
        ours["remote"] = remotes
        ours["core"] = {"analytics": "false", **_texts({"remote": theirs["core"].get("remote")})}
    (clone / _LOCAL).chmod(stat.S_IRUSR | stat.S_IWUSR)


def _texts(values: Mapping[str, object]) -> dict[str, object]:
    """Return settings as they are written to a file."""
    return {
        key: (
            str(one).lower()
            if isinstance(one, bool)
            else one
            if isinstance(one, list)
            else str(one)
        )
        for key, one in values.items()
        if one is not None and one != {}
    }


def _require(clone: Path, paths: Sequence[str]) -> None:
    for path in paths:
        found = (clone / path).resolve()
        if not found.is_relative_to(clone.resolve()) or ".git" in Path(path).parts:
            raise ConfigError(
                f"monitor.retrain.add names {path}, which is not in the repository.",
                hint="Paths are counted from the top of the repository.",
            )
        if not found.exists():
            raise ConfigError(
                f"monitor.retrain.add names {path}, and it is not there to be added.",
                hint=f"monitor.retrain.cmd is to write it; it finds the window's name in "
                f"${WINDOW} and its data in ${CURRENT}.",
            )


@contextmanager
def _modified_yaml(path: str) -> Iterator[Any]:
    """Do as DVC's own, and leave quotes and long lines as they are, too."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    file = Path(path)
    try:
        found = yaml.load(file)
    except YAMLError as error:
        raise ConfigError(
            f"{file.name} is no YAML: {' '.join(str(error).split())[:200]}.",
            hint="monitor.retrain.params sets parameters there.",
        ) from error
    yield found
    yaml.dump(found, file)


_MODIFIERS = {**MODIFIERS, ".yaml": _modified_yaml, ".yml": _modified_yaml}


def _set_param(clone: Path, key: str, value: object) -> None:
    """Set a parameter in its file, and leave the rest of the file, comments too, as it is."""
    path, _, name = key.rpartition(":")
    file = clone / (path or PARAMS)
    kind = file.suffix.lower()
    if kind not in _PARAMS_FILES or not file.is_file():
        raise ConfigError(
            f"monitor.retrain.params names {key}, and {path or PARAMS} is no parameters file here.",
            hint=f"It looks like train.until (in {PARAMS}) or configs/train.yaml:until.",
        )
    parts = name.split(".")
    try:
        with _MODIFIERS[kind](str(file)) as found:
            reduce(getitem, parts, found)  # it must have a value by now
            reduce(getitem, parts[:-1], found)[parts[-1]] = value
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"{path or PARAMS} has no parameter {name}, which monitor.retrain.params is to set.",
            hint="Write it there first, with the value that it has now.",
        ) from error
    except DvcException as error:
        raise errors.translate(error, clone) from error
