"""The target ``kserve`` on a GitOps branch: a commit for each switch, and nobody's work undone."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.integration.imageworld import running
from tests.integration.kserveworld import ARTIFACT, World, image_of

from modelci.adapters.targets.kserving.branch import Branch
from modelci.adapters.targets.kserving.manifest import Objects
from modelci.adapters.targets.settings import TargetSettings
from modelci.config.model import KServeTargetConfig
from modelci.domain.deployment import TargetState
from modelci.errors import DeploymentError

BRANCH, FOLDER = "gitops", "clusters/prod"
FILE = f"{FOLDER}/{ARTIFACT}.yaml"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """Return a bare repository whose main branch has one commit."""
    bare, first = tmp_path / "remote.git", tmp_path / "first"
    git(tmp_path, "init", "--quiet", "--bare", str(bare))
    git(tmp_path, "init", "--quiet", str(first))
    (first / "modelci.yaml").write_text("", encoding="utf-8")
    git(first, "add", ".")
    git(first, "commit", "--quiet", "-m", "Begin")
    git(first, "push", "--quiet", str(bare), "main")
    return bare


@pytest.fixture
def clone(tmp_path: Path, remote: Path) -> Callable[..., Path]:
    def make(name: str, *options: str) -> Path:
        git(tmp_path, "clone", "--quiet", *options, f"file://{remote}", str(tmp_path / name))
        return tmp_path / name

    return make


def make_world(folder: Path) -> World:
    def place(settings: TargetSettings) -> Branch:
        kserve = settings.config.kserve
        return Branch(
            settings.root,
            target=settings.name,
            remote=settings.remote or "",
            branch=kserve.branch or "",
            folder=kserve.path,
        )

    config = KServeTargetConfig(namespace="models", branch=BRANCH, path=FOLDER)
    return World(folder=folder, config=config, place=place)


@pytest.fixture
def world(clone: Callable[..., Path]) -> World:
    return make_world(clone("machine"))


def show(remote: Path, path: str = FILE) -> list[object]:
    return list(yaml.safe_load_all(git(remote, "show", f"{BRANCH}:{path}")))


def count(remote: Path) -> int:
    return int(git(remote, "rev-list", "--count", BRANCH))


def push_file(clone: Callable[..., Path], name: str, path: str, text: str) -> None:
    """Let somebody else commit a file to the branch."""
    folder = clone(name, "--branch", BRANCH)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "Something else")
    git(folder, "push", "--quiet", "origin", f"HEAD:{BRANCH}")


def test_a_switch_is_one_commit_that_says_who_and_why(world: World, remote: Path) -> None:
    release = world.release("a")
    assert world.target().read(ARTIFACT) == TargetState(staged=(release.id,))
    told = running(release, reason="rollback: too slow", run_url="https://ci.example.com/7")
    world.target().switch(told)
    assert count(remote) == 1  # the branch began with it
    message = git(remote, "log", "-1", "--format=%B", BRANCH)
    assert message.splitlines()[0] == "Deploy credit v1.0.0 to cluster"
    assert "rollback: too slow" in message
    trailers = git(remote, "log", "-1", "--format=%(trailers:only)", BRANCH)
    assert trailers.splitlines() == [
        "Modelci-Tag: credit#prod#1",
        f"Modelci-Release: {release.id}",
        f"Modelci-Commit: {release.commit}",
        "Modelci-By: Ann",
        "Modelci-Run: https://ci.example.com/7",
    ]
    assert git(remote, "log", "-1", "--format=%an <%ae>", BRANCH).startswith("Test Author <")
    notes, service = show(remote)
    assert Objects(service=service, notes=notes).image == image_of(release)  # type: ignore[arg-type]


def test_what_runs_is_what_the_branch_says_on_every_machine(
    world: World, clone: Callable[..., Path]
) -> None:
    first, second = world.release("a"), world.release("b")
    world.target().switch(running(first))
    world.target().switch(running(second, 2))
    other = replace(make_world(clone("runner", "--depth=1")), registry=world.registry)
    state = other.target().read(ARTIFACT)
    # Nobody watches a branch from here: what is committed is settled.
    assert state.running == replace(running(second, 2), image=image_of(second), settled=True)
    assert state.previous == replace(running(first), image=image_of(first), settled=True)
    assert other.target().artifacts() == (ARTIFACT,)
    assert other.target().answers(ARTIFACT) is None


def test_nothing_is_committed_where_nothing_changes(world: World, remote: Path) -> None:
    release = world.release("a")
    for settled in (False, True, True):
        world.target().switch(running(release, settled=settled))
    world.target().try_out(release, share=0.0, shadow=False)
    assert count(remote) == 1


def test_going_back_is_a_commit_with_the_former_manifest(world: World, remote: Path) -> None:
    first, second = world.release("a"), world.release("b")
    world.target().switch(running(first))
    before = show(remote)[1]
    world.target().switch(running(second, 2))
    world.target().switch(running(first, 3))
    assert show(remote)[1] == before
    assert count(remote) == 3


def test_other_files_and_other_artifacts_stay(
    world: World, remote: Path, clone: Callable[..., Path]
) -> None:
    world.target().switch(running(world.release("a")))
    push_file(clone, "somebody", "clusters/README.md", "theirs\n")
    push_file(clone, "another", "deep/er/file", "theirs, too\n")
    world.target().switch(running(world.release("b", artifact="scores")))
    world.target().switch(running(world.release("c"), 2))
    listed = git(remote, "ls-tree", "-r", "--name-only", BRANCH).splitlines()
    assert listed == ["clusters/README.md", FILE, f"{FOLDER}/scores.yaml", "deep/er/file"]
    assert git(remote, "show", f"{BRANCH}:deep/er/file") == "theirs, too"
    assert world.target().artifacts() == (ARTIFACT, "scores")


def test_a_push_that_comes_second_is_made_again_on_top(
    world: World, remote: Path, clone: Callable[..., Path]
) -> None:
    """Somebody pushes between our look at the branch and our push: twice."""
    world.target().switch(running(world.release("a")))
    races = ["one", "two"]

    class Racing(Branch):
        def _commit(self, tip: str | None, path: str, text: str, message: str) -> str:
            if races:
                push_file(clone, races[0], f"{races.pop(0)}.txt", "theirs\n")
            return super()._commit(tip, path, text, message)

    def place(settings: TargetSettings) -> Branch:
        return Racing(
            settings.root, target=settings.name, remote="origin", branch=BRANCH, folder=FOLDER
        )

    racing = replace(world, place=place)
    racing.target().switch(running(racing.release("b"), 2))
    assert not races
    listed = git(remote, "ls-tree", "-r", "--name-only", BRANCH).splitlines()
    assert {"one.txt", "two.txt", FILE} == set(listed)
    subjects = git(remote, "log", "--format=%s", BRANCH).splitlines()
    assert subjects == [
        "Deploy credit v1.0.0 to cluster",
        *["Something else"] * 2,
        "Deploy credit v1.0.0 to cluster",
    ]


def test_who_deploys_the_same_artifact_second_is_refused(
    world: World, clone: Callable[..., Path]
) -> None:
    world.target().switch(running(world.release("a")))
    place = world.place(world.settings)
    before = place.read(ARTIFACT)
    other = replace(make_world(clone("runner")), registry=world.registry)
    other.target().switch(running(other.release("b"), 2))
    after = Objects(notes=before.notes)
    with pytest.raises(DeploymentError, match="Somebody else has changed") as caught:
        place.write(ARTIFACT, before, after, why="Deploy\n")
    assert "Deploy again" in (caught.value.hint or "")


def test_a_clone_keeps_its_history_and_its_work(world: World, clone: Callable[..., Path]) -> None:
    (world.folder / "modelci.yaml").write_text("work: in progress\n", encoding="utf-8")
    world.target().switch(running(world.release("a")))
    push_file(clone, "somebody", "x", "theirs\n")
    world.target().switch(running(world.release("b"), 2))
    assert git(world.folder, "status", "--porcelain") == "M modelci.yaml"
    assert git(world.folder, "rev-parse", "--is-shallow-repository") == "false"
    assert git(world.folder, "branch", "--list") == "* main"


def test_who_has_no_name_commits_as_modelci(
    world: World, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    world.target().switch(running(world.release("a")))
    who = git(remote, "log", "-1", "--format=%an <%ae>", BRANCH)
    assert who == "modelci <modelci@localhost>"


def test_a_branch_that_takes_nothing_is_told_with_its_words(world: World, remote: Path) -> None:
    hook = remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'GH006: protected branch'\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    with pytest.raises(DeploymentError, match="protected branch") as caught:
        world.target().switch(running(world.release("a")))
    assert "contents: write" in (caught.value.hint or "")


def test_a_remote_that_does_not_answer_is_told(world: World) -> None:
    git(world.folder, "remote", "set-url", "origin", "http://user:secret@127.0.0.1:9/x.git")
    with pytest.raises(DeploymentError, match="origin cannot be asked") as caught:
        world.target().read(ARTIFACT)
    assert "secret" not in f"{caught.value}{caught.value.hint}"


def test_a_file_that_is_no_yaml_is_named(world: World, clone: Callable[..., Path]) -> None:
    world.target().switch(running(world.release("a")))
    push_file(clone, "somebody", FILE, "a: [\n")
    with pytest.raises(DeploymentError, match=r"credit\.yaml of gitops is no YAML"):
        world.target().read(ARTIFACT)


@pytest.mark.parametrize(("share", "shadow"), [(0.1, False), (0.0, True)])
def test_a_trial_is_refused_where_nobody_sees_it(world: World, share: float, shadow: bool) -> None:
    with pytest.raises(DeploymentError, match=r"proves nothing|copies no requests"):
        world.target().try_out(world.release("a"), share=share, shadow=shadow)
