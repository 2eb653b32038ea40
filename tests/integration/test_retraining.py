"""The commit of a retraining branch, made by real Git and DVC."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.integration.dvcproject import Heard, Project, git

from modelci.adapters.dvc.retraining import DvcRetrainer
from modelci.adapters.git import GitRepository
from modelci.domain.pipeline import RunOptions
from modelci.domain.retraining import Built, RetrainOrder
from modelci.errors import ConfigError, PipelineError

MESSAGE = "Retrain credit on 2026-03\n\nModelci-Model: credit\nModelci-Window: 2026-03"
APPEND = 'cat "$MODELCI_CURRENT" >> data/train.csv && echo "$MODELCI_WINDOW" > window.txt'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A pipeline that counts the rows of its data, with a remote that is a folder beside it."""
    project = Project.create(tmp_path / "project")
    project.put("data/train.csv", "a,b\n1,2\n")
    project.put("count.sh", 'wc -l < data/train.csv | tr -d " " > rows.txt\n')
    project.put("params.yaml", "train:\n  until: 2026-02  # the last window\n  depth: 3\n")
    project.put(
        "dvc.yaml",
        "stages:\n"
        "  count:\n"
        "    cmd: sh count.sh\n"
        "    deps: [data/train.csv, count.sh]\n"
        "    params: [train.until]\n"
        "    outs: [rows.txt]\n",
    )
    project.add("data/train.csv")
    # As people write it: counted from the file.
    project.put(
        ".dvc/config", "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
    )
    project.run()
    project.commit()
    project.push()
    project.put("new.csv", "3,4\n5,6\n")  # lies about, of no interest to Git
    return project


def build(project: Project, progress: Heard | None = None, **fields: object) -> Built:
    git_ = GitRepository.discover(project.root)
    fields = {"cmd": APPEND, "add": ("data/train.csv",)} | fields
    order = RetrainOrder(
        base=git_.resolve("HEAD").sha,
        message=MESSAGE,
        window="2026-03",
        current=str(project.root / "new.csv"),
        **fields,  # type: ignore[arg-type]
    )
    retrainer = DvcRetrainer(project.root, environment=project.environment)
    return retrainer.build(order, progress=progress or Heard())


def test_new_data_are_tracked_pushed_and_committed_and_the_checkout_is_left(
    project: Project,
) -> None:
    found = GitRepository.discover(project.root)
    head, files = found.resolve("HEAD").sha, project.tree()
    built = build(project)
    assert built.changed == ("data/train.csv.dvc", "window.txt")
    assert built.stages == ()
    assert built.commit is not None
    assert found.resolve(built.commit).parents == (head,)
    assert found.trailers("Modelci-Window", since="HEAD", until=built.commit) == ("2026-03",)
    tree = found.tree(built.commit)
    (pointer,) = tree.read(["data/train.csv.dvc"]).values()
    md5 = pointer.decode().split("md5: ")[1][:32]
    stored = project.root.parent / "store" / "files" / "md5" / md5[:2] / md5[2:]
    assert stored.read_text() == "a,b\n1,2\n3,4\n5,6\n"
    assert (found.resolve("HEAD").sha, project.tree()) == (head, files)
    assert found.branch() == "main"


def test_building_again_makes_the_same_commit(project: Project) -> None:
    assert build(project) == build(project)


def test_no_change_is_no_commit(project: Project) -> None:
    assert build(project, cmd="true", add=()) == Built(commit=None)


def test_a_parameter_is_set_and_the_file_keeps_its_comments(project: Project) -> None:
    built = build(project, cmd=None, add=(), params={"train.until": "2026-03", "train.depth": 4})
    assert built.changed == ("params.yaml",)
    tree = GitRepository.discover(project.root).tree(built.commit or "")
    text = tree.read(["params.yaml"])["params.yaml"].decode()
    assert text == "train:\n  until: 2026-03  # the last window\n  depth: 4\n"


def test_what_is_quoted_stays_quoted_and_lines_stay_whole(project: Project) -> None:
    text = f'train:\n  until: x\n  first: "2025-01"  # {"why " * 40}\n'
    project.put("params.yaml", text)
    project.commit()
    built = build(project, cmd=None, add=(), params={"train.until": "2026-03"})
    tree = GitRepository.discover(project.root).tree(built.commit or "")
    kept = tree.read(["params.yaml"])["params.yaml"].decode()
    assert kept == text.replace("until: x", "until: 2026-03")


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("train.untill", "has no parameter train.untill"),
        ("train.until.x", "has no parameter train.until.x"),
        ("other.yaml:x", "other.yaml is no parameters file"),
        ("dvc.lock:x", "dvc.lock is no parameters file"),
    ],
)
def test_a_parameter_that_is_not_there_is_named(project: Project, key: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        build(project, params={key: "2026-03"})


def test_the_pipeline_is_run_where_that_is_wanted(project: Project) -> None:
    built = build(project, run=True)
    assert built.stages == ("count",)
    assert built.changed == ("data/train.csv.dvc", "dvc.lock", "window.txt")
    git_ = GitRepository.discover(project.root)
    lock = git_.tree(built.commit or "").read(["dvc.lock"])["dvc.lock"].decode()
    md5 = lock.split("rows.txt\n      hash: md5\n      md5: ")[1][:32]
    stored = project.root.parent / "store" / "files" / "md5" / md5[:2] / md5[2:]
    assert stored.read_text() == "4\n"


def test_the_command_sees_no_token_and_the_rest_of_what_stages_see(project: Project) -> None:
    project.environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "MINE": "1"}
    built = build(project, cmd="env | cut -d= -f1 | sort > names.txt", add=())
    tree = GitRepository.discover(project.root).tree(built.commit or "")
    names = tree.read(["names.txt"])["names.txt"].decode().split()
    ours = {"MODELCI_WINDOW", "MODELCI_CURRENT", "PYTHONUNBUFFERED", "GIT_TERMINAL_PROMPT"}
    assert set(names) - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "HOME", "MINE"} | ours


def test_data_that_this_machine_lacks_are_brought(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")
    assert build(project).changed == ("data/train.csv.dvc", "window.txt")


def test_data_that_nobody_has_are_an_error(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")
    shutil.rmtree(project.root.parent / "store")
    with pytest.raises(PipelineError):
        build(project)


def test_a_command_that_fails_is_told_with_its_last_words(project: Project) -> None:
    with pytest.raises(PipelineError, match="ended with 3") as caught:
        build(project, cmd="echo no rows today; exit 3")
    assert caught.value.hint == "It said last: no rows today"


def test_a_pipeline_that_fails_leaves_no_commit(project: Project) -> None:
    with pytest.raises(PipelineError, match="failed on the new data, in count"):
        build(project, cmd=f"{APPEND} && echo 'exit 1' > count.sh", run=True)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [("data/none.csv", "is not there to be added"), ("../x", "not in the repository")],
)
def test_what_cannot_be_added_is_named(project: Project, path: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        build(project, add=(path,))


def test_an_output_of_the_pipeline_cannot_be_added(project: Project) -> None:
    with pytest.raises(PipelineError, match=r"rows\.txt.*output of stage"):
        build(project, cmd="echo 1 > rows.txt", add=("rows.txt",))


def test_without_a_remote_it_is_said_who_has_the_data(project: Project) -> None:
    project.write(__dvc___config="")
    project.commit()
    progress = Heard()
    assert build(project, progress).commit is not None
    assert any("nobody else can run" in one for one in progress.warnings)


def test_the_remotes_credentials_are_not_committed(project: Project) -> None:
    """Even where Git does not ignore the file that holds them."""
    local = project.root / ".dvc" / "config.local"
    secret = "['remote \"other\"']\n    url = s3://bucket\n    secret_access_key = secret\n"
    local.write_text(secret, encoding="utf-8")
    project.remove(".dvc/.gitignore")
    git(project.root, "commit", "--quiet", "--all", "--message", "no .gitignore")
    built = build(
        project,
        cmd=f"{APPEND} && ls -l .dvc/config.local > mode.txt && grep -c secret .dvc/config.local",
    )
    tree = GitRepository.discover(project.root).tree(built.commit or "")
    assert ".dvc/config.local" not in tree.paths()
    assert tree.read(["mode.txt"])["mode.txt"].startswith(b"-rw-------")


def test_a_hook_that_the_command_leaves_is_not_run(project: Project) -> None:
    marked = project.root.parent / "hook-ran"
    hook = f"printf '#!/bin/sh\\ntouch {marked}\\n' > .git/hooks/pre-commit"
    build(project, cmd=f"{APPEND} && {hook} && chmod +x .git/hooks/pre-commit")
    assert not marked.exists()


def test_a_shallow_clone_can_make_the_commit(project: Project, tmp_path: Path) -> None:
    clone = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{project.root}", str(clone))
    shallow = Project(clone)
    shallow.put("new.csv", "3,4\n")
    built = build(shallow)
    assert built.commit is not None
    assert GitRepository.discover(clone).has(built.commit)


def test_a_run_that_asks_for_less_is_honoured(project: Project) -> None:
    """Options of the pipeline's run come from `run:`."""
    git_ = GitRepository.discover(project.root)
    order = RetrainOrder(
        base=git_.resolve("HEAD").sha,
        message=MESSAGE,
        window="2026-03",
        current="",
        cmd="echo 7,8 >> data/train.csv",
        add=("data/train.csv",),
        run=True,
    )
    options = RunOptions(run_cache=False, record=False)
    retrainer = DvcRetrainer(project.root, environment=project.environment, options=options)
    assert retrainer.build(order, progress=Heard()).stages == ("count",)
    assert not (project.root.parent / "store" / "runs").exists() or not list(
        (project.root.parent / "store" / "runs").rglob(order.window)
    )


def test_json_parameters_can_be_set(project: Project) -> None:
    project.put("conf/train.json", json.dumps({"until": "2026-02"}))
    project.commit()
    built = build(project, cmd=None, add=(), params={"conf/train.json:until": "2026-03"})
    tree = GitRepository.discover(project.root).tree(built.commit or "")
    assert json.loads(tree.read(["conf/train.json"])["conf/train.json"]) == {"until": "2026-03"}
