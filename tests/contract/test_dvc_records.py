"""What ``records.py`` relies on behind DVC's public names. A red test here: DVC has moved it."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import dvc.dependency
import dvc.fs
import dvc.output
import dvc.stage.cache
import dvc.stage.loader
import dvc.stage.serialize
import pytest
from dvc.repo import Repo
from tests.integration.dvcproject import Project

from modelci.adapters.dvc import records

PIPELINE = """\
stages:
  one:
    cmd: mkdir d && cp in.txt d/1 && echo '{}' > m.json
    deps: [in.txt]
    params: [rate]
    outs: [d]
    metrics: [{m.json: {cache: false}}]
  two: {cmd: cp -r d e, deps: [d], outs: [e]}
  callback: {cmd: echo 1}
  first: {cmd: echo 1 > f.txt, outs: [f.txt]}
  always: {cmd: cp in.txt g.txt, deps: [in.txt], outs: [g.txt], always_changed: true}
  kept: {cmd: cp in.txt h.txt, deps: [in.txt], outs: [{h.txt: {persist: true}}]}
  plain: {cmd: cp in.txt i.txt, deps: [in.txt], outs: [{i.txt: {cache: false}}]}
  private: {cmd: cp in.txt j.txt, deps: [in.txt], outs: [{j.txt: {push: false}}]}
  outside: {cmd: cp in.txt k.txt, deps: [in.txt, /etc/hostname], outs: [k.txt]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project.create(tmp_path / "project").write(
        dvc__yaml=PIPELINE, in__txt="in\n", params__yaml="rate: 0.5\n"
    )
    project.add_remote(tmp_path / "store")
    return project


@pytest.fixture
def repo(project: Project) -> Iterator[Repo]:
    with contextlib.chdir(project.root), Repo() as opened, opened.lock:
        yield opened


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (dvc.stage.cache._get_stage_hash, ["stage"]),
        (dvc.stage.cache._get_cache_hash, ["cache", "key"]),
        (dvc.stage.cache.StageCache._create_stage, ["self", "cache", "wdir"]),
        (dvc.stage.cache.StageCache._load, ["self", "stage"]),
        (dvc.stage.loader.StageLoader.fill_from_lock, ["stage", "lock_data"]),
        (dvc.stage.serialize.to_single_stage_lockfile, ["stage", "kwargs"]),
        (dvc.output.Output.commit, ["self", "filter_info", "relink"]),
        (dvc.fs.get_fs_config, ["config", "kwargs"]),
    ],
)
def test_dvc_has_the_functions(function: Callable[..., object], parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("one", None),
        ("two", None),
        ("callback", "it has no dependencies"),
        ("first", "it has no dependencies"),
        ("always", "it always runs"),
        ("kept", "h.txt is kept from run to run (`persist`)"),
        ("plain", "i.txt is not cached"),
        ("private", "j.txt is not to be pushed"),
        ("outside", "it reads /etc/hostname, outside of the repository"),
    ],
)
def test_it_is_known_which_runs_dvc_records(repo: Repo, stage: str, reason: str | None) -> None:
    (found,) = repo.stage.collect(stage)
    assert records.why_unrecorded(found) == reason


def test_dvcs_run_cache_takes_what_we_say_it_takes(project: Project, repo: Repo) -> None:
    for stage in repo.index.stages:
        if records.why_unrecorded(stage) is None and stage.name == "one":
            stage.run()
            assert dvc.stage.cache._can_hash(stage)
            assert repo.stage_cache._load(stage) is not None


def test_inputs_are_what_the_lock_file_will_say_of_them(repo: Repo) -> None:
    (stage,) = repo.stage.collect("one")
    stage.save_deps()
    before = records.inputs_of(stage)
    stage.run()
    entry = records.entry_of(stage)
    assert before == {key: entry[key] for key in ("cmd", "deps", "params")}


def test_a_dependency_is_moved_like_an_output_and_stays_one(repo: Repo, tmp_path: Path) -> None:
    (stage,) = repo.stage.collect("one")
    value = records.send_file(stage, "in.txt")
    assert (tmp_path / "store" / "files" / "md5" / value[:2] / value[2:]).exists()
    stage.save_deps()
    records.expect(stage, records.inputs_of(stage))
    Path("in.txt").write_text("other\n")
    repo.cache.local.clear()
    assert records.fetch_inputs(stage) == []
    assert Path("in.txt").read_text() == "in\n"
    assert not any(dep.use_cache for dep in stage.deps)


def test_credentials_are_left_out(project: Project) -> None:
    project.put(
        ".dvc/config.local",
        "[core]\n    remote = s3\n"
        "['remote \"s3\"']\n    url = s3://bucket/path\n    region = eu\n"
        "    access_key_id = me\n    secret_access_key = secret\n    profile = mine\n",
    )
    with contextlib.chdir(project.root), Repo() as repo:
        settings = records.settings_for_workers(repo, share_credentials=False)
        assert settings["remote"]["s3"]["url"] == "s3://bucket/path"
        assert settings["remote"]["s3"]["region"] == "eu"
        assert "secret" not in str(settings)
        assert "mine" not in str(settings)
        shared = records.settings_for_workers(repo, share_credentials=True)
        assert shared["remote"]["s3"]["secret_access_key"] == "secret"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ssh://git@host/path", "ssh://git@host/path"),
        ("ssh://me:pass@host/path", "ssh://host/path"),
        ("/a/folder", "/a/folder"),
    ],
)
def test_a_url_keeps_its_user_but_not_a_password(url: str, shown: str) -> None:
    assert records._open_url(url) == shown
