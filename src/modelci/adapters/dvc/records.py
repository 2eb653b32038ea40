"""One stage's results, sent to the DVC remote and taken from there; for any machine that runs one.

The second and last place that reaches behind DVC's public names (the first is ``seams``): its run
cache sends and fetches all of its entries or none. tests/contract/test_dvc_records.py guards it.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dvc.fs
import dvc.stage.cache
from dvc.dependency import Dependency, ParamsDependency
from dvc.exceptions import DvcException
from dvc.fs import HTTPFileSystem, get_fs_config
from dvc.stage.loader import StageLoader
from dvc.stage.serialize import to_single_stage_lockfile
from dvc_data.hashfile.hash_info import HashInfo

from modelci.adapters.dvc import faults
from modelci.adapters.dvc.reasons import path_of

Entry = Mapping[str, Any]
"""What ``dvc.lock`` says of a stage: ``cmd``, ``deps``, ``params`` and, after it, ``outs``."""


# What says where a remote is and how it is kept. The rest may be a secret, or a path of ours.
_OPEN_OPTIONS = frozenset(
    """account_name allow_anonymous_login auth checksum_jobs endpointurl jobs method oss_endpoint
    port projectname region use_ssl user verify version_aware worktree""".split()
)


def settings_for_workers(repo: Any, *, share_credentials: bool) -> dict[str, Any]:
    """Return the DVC settings that a clone elsewhere needs to reach the same remote and cache.

    Those of config.local count too. Credentials are left out unless they are to be shared: the
    worker has its own, under the same remote's name in its user's or system's DVC configuration.
    """
    name = repo.config["core"]["remote"]
    options = get_fs_config(repo.config, name=name)
    if not share_credentials:
        options = {key: value for key, value in options.items() if key in _OPEN_OPTIONS} | {
            "url": _open_url(str(options["url"]))
        }
    settings: dict[str, Any] = {"core": {"remote": name}, "remote": {name: options}}
    if folder := repo.config["cache"].get("dir"):
        settings["cache"] = {"dir": str(folder)}
    return settings


def _open_url(url: str) -> str:
    """Return a URL without its password; a user's name alone is none."""
    password = urlsplit(url).netloc.rpartition("@")[0].partition(":")[2]
    return faults.without_credentials(url) if password else url


def why_unrecorded(stage: Any) -> str | None:
    """Return why DVC's run cache takes no note of a stage's runs, in words; None if it does."""
    if stage.is_callback or stage.always_changed:
        return "it always runs" if stage.deps else "it has no dependencies"
    if not (stage.cmd and stage.deps and stage.outs):
        return "it has no outputs" if stage.deps else "it has no dependencies"
    for dep in stage.deps:
        if dep.protocol != "local" or not dep.is_in_repo:
            return f"it reads {dep}, outside of the repository"
    return next(filter(None, map(_why_unrecorded_output, stage.outs)), None)


def _why_unrecorded_output(out: Any) -> str | None:
    if out.protocol != "local" or not out.is_in_repo:
        return f"it writes {out}, outside of the repository"
    if out.persist:
        return f"{path_of(out)} is kept from run to run (`persist`)"
    if not out.use_cache and not (out.is_metric or out.is_plot):
        return f"{path_of(out)} is not cached"
    return None if out.can_push else f"{path_of(out)} is not to be pushed"


def entry_of(stage: Any) -> dict[str, Any]:
    """Return the stage's entry, from the hashes it holds now, as plain JSON values."""
    entry: dict[str, Any] = json.loads(json.dumps(to_single_stage_lockfile(stage)))
    return entry


def inputs_of(stage: Any) -> dict[str, Any]:
    """Return the part of its entry that is known before it runs; its dependencies are hashed."""
    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    deps = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
    entry: dict[str, Any] = {
        "cmd": stage.cmd,
        "deps": [_dependency(dep) for dep in deps],
        "params": {dep.def_path: dep.hash_info.value for dep in params},
    }
    return entry


def _dependency(dep: Any) -> dict[str, Any]:
    meta = {key: value for key, value in dep.meta.to_dict().items() if key != "isdir"}
    hash_name = {"hash": "md5"} if dep.hash_name == "md5" else {}
    return {"path": dep.def_path, **hash_name, **dep.hash_info.to_dict(), **meta}


def expect(stage: Any, entry: Entry) -> None:
    """Let the stage's dependencies hold the hashes of ``entry``, as if ``dvc.lock`` named them."""
    StageLoader.fill_from_lock(stage, dict(entry))


def fetch_inputs(stage: Any) -> list[str]:
    """Bring the dependencies that the stage expects into the work tree; return those nobody has."""
    lacking = []
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            if _read_params(dep) != dep.hash_info.value:
                lacking.append(path_of(dep))
        elif not _is_here(dep) and not _fetch(dep):
            lacking.append(path_of(dep))
    return lacking


def _read_params(dep: Any) -> Any:
    try:
        return dep.read_params()
    except DvcException:
        return None


def _is_here(dep: Any) -> bool:
    return bool(dep.exists) and dep.get_hash() == dep.hash_info


def _fetch(dep: Any) -> bool:
    with _treated_as_data(dep):
        for odb, objects in dep.get_used_objs().items():
            dep.repo.cloud.pull(objects, odb=odb)
        if dep.changed_cache():
            return False
        dep.checkout(force=True)
    return _is_here(dep)


@contextmanager
def _treated_as_data(dep: Any) -> Iterator[None]:
    """Inside, DVC moves a dependency to and from its cache just as an output."""
    dep.use_cache = True
    try:
        yield
    finally:
        dep.use_cache = False


def send_file(stage: Any, path: str) -> str:
    """Put a file or folder that the stage reads into the cache and the remote; return its hash."""
    file = Dependency(stage, str(Path(stage.repo.root_dir, path)))
    file.save()
    with _treated_as_data(file):
        file.commit(relink=False)
        _push(stage.repo, file.get_used_objs())
    return str(file.hash_info.value)


def fetch_file(repo: Any, path: str, value: str) -> None:
    """Bring one file of known hash into the work tree."""
    wanted = HashInfo("md5", value)
    repo.cloud.pull({wanted})
    cache = repo.cache.local
    target = Path(repo.root_dir, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(cache.oid_to_path(value), part)
    part.replace(target)


def send(stage: Any, *, record: bool) -> int:
    """Push what a stage wrote, with the copies of its metrics and plots, and note its run.

    Returns how many files were new to the remote. Raises the remote's own errors, or DvcException
    where it does not take everything.
    """
    count = _push(stage.repo, stage.get_used_objs(push=True))
    if why_unrecorded(stage) is None:
        count += _push(stage.repo, _recorded(stage, entry_of(stage)).get_used_objs())
        if record:
            count += _send_record(stage)
    return count


def fetch_outputs(stage: Any, entry: Entry) -> None:
    """Pull what a stage wrote elsewhere, and check it out: what DVC does with its run cache's."""
    recorded = _recorded(stage, entry)
    for odb, objects in recorded.get_used_objs().items():
        stage.repo.cloud.pull(objects, odb=odb)
    if not recorded.outs_cached():
        raise DvcException(f"the remote lacks outputs of {stage.addressing}")
    recorded.checkout(force=True)


def _recorded(stage: Any, entry: Entry) -> Any:
    cache = stage.repo.stage_cache
    return cache._create_stage(dict(entry), wdir=stage.wdir)  # noqa: SLF001


def _push(repo: Any, used: Mapping[Any, Iterable[Any]]) -> int:
    count = 0
    for odb, objects in used.items():
        result = repo.cloud.push(objects, odb=odb)
        if result.failed:
            raise DvcException(f"the remote did not take {len(result.failed)} of the files")
        count += len(result.transferred)
    return count


# -- the run cache's entries -------------------------------------------------------------------


def _send_record(stage: Any) -> int:
    """Push the run cache's entry of the stage as it is now; 0 if the remote cannot hold any."""
    repo = stage.repo
    remote = _remote_records(repo)
    if remote is None:
        return 0
    key = dvc.stage.cache._get_stage_hash(stage)  # noqa: SLF001
    value = dvc.stage.cache._get_cache_hash(to_single_stage_lockfile(stage))  # noqa: SLF001
    ours = repo.cache.legacy
    parts = ("runs", key[:2], key, value)
    path = str(Path(ours.path, *parts))
    dvc.fs.generic.copy(ours.fs, path, remote.fs, remote.fs.join(remote.path, *parts))
    return 1


def find(stage: Any, known: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the outputs, by path, of a past run of the stage; None if no run cache knows one.

    Neither these nor the dependencies need be here: ``known`` has the outputs of stages before it.
    """
    if why_unrecorded(stage) is not None:
        return None
    for dep in stage.deps:
        out = known.get(dep.fs_path)
        dep.hash_info = dep.get_hash() if out is None else out.hash_info
        if not isinstance(dep, ParamsDependency):
            dep.meta = dep.get_meta() if out is None else out.meta
    _fetch_records(stage)
    entry = stage.repo.stage_cache._load(stage)  # noqa: SLF001
    return None if entry is None else {out.fs_path: out for out in _recorded(stage, entry).outs}


def _fetch_records(stage: Any) -> None:
    """Fetch the run cache's entries for the stage's dependencies as they are hashed now."""
    repo = stage.repo
    remote = _remote_records(repo)
    if remote is None:
        return
    key = dvc.stage.cache._get_stage_hash(stage)  # noqa: SLF001
    folder = remote.fs.join(remote.path, "runs", key[:2], key)
    ours = repo.cache.legacy
    found = sorted(remote.fs.find(folder)) if remote.fs.exists(folder) else []
    for path in found:
        target = Path(ours.path, "runs", key[:2], key, remote.fs.name(path))
        if not target.exists():
            dvc.fs.generic.copy(remote.fs, path, ours.fs, str(target))


def _remote_records(repo: Any) -> Any | None:
    remote = repo.cloud.get_remote()
    if remote.fs.version_aware or remote.worktree or isinstance(remote.fs, HTTPFileSystem):
        return None
    return remote.legacy_odb
