"""What Git promises the workflows: the fake, and the real one over a bare remote by file://."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from tests.fakes.git import FakeGit, FakeRemote

from modelci.adapters.git import GitRepository
from modelci.domain.promotion import PlannedTag
from modelci.errors import (
    BranchMovedError,
    ConfigError,
    ForgeError,
    PromotionError,
    TagTakenError,
    UsageError,
)
from modelci.ports import Git

SECONDS = 1_700_000_000


class World(Protocol):
    """A remote, and the hands of the people who use it."""

    def commit(
        self,
        files: Mapping[str, bytes],
        *,
        branch: str = "main",
        parents: Sequence[str] | None = None,
    ) -> str: ...

    def clone(
        self, *, depth: int | None = None, at: str | None = None, branch: str | None = "main"
    ) -> Git: ...

    def lone(self) -> Git: ...

    def write(self, git: Git, path: str, data: bytes) -> None: ...

    def refuse(self, reason: str) -> None: ...

    def go_away(self) -> None: ...


class FakeWorld:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._remote = FakeRemote()

    def commit(
        self,
        files: Mapping[str, bytes],
        *,
        branch: str = "main",
        parents: Sequence[str] | None = None,
    ) -> str:
        return self._remote.commit(files, branch=branch, parents=parents)

    def clone(
        self, *, depth: int | None = None, at: str | None = None, branch: str | None = "main"
    ) -> Git:
        return FakeGit(self._folder, self._remote, at=at, branch=branch, depth=depth)

    def lone(self) -> Git:
        git = FakeGit(self._folder)
        found = self._remote.commits[self._remote.branches["main"]]
        git.commits[found.commit.sha] = found
        return FakeGitAt(git, found.commit.sha)

    def write(self, git: Git, path: str, data: bytes) -> None:
        assert isinstance(git, FakeGit)
        git.files[path] = data

    def refuse(self, reason: str) -> None:
        self._remote.refuses = reason

    def go_away(self) -> None:
        self._remote.away = True


def FakeGitAt(git: FakeGit, sha: str) -> FakeGit:  # noqa: N802
    git._head = sha
    git.files = dict(git.commits[sha].files)
    return git


class RealWorld:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bare = folder / "origin.git"
        self._count = 0
        self._git(folder, "init", "--quiet", "--bare", str(self._bare))

    def _git(self, where: Path, *arguments: str, stdin: bytes = b"", **env: str) -> str:
        import os

        done = subprocess.run(
            ["git", *arguments],
            cwd=where,
            input=stdin,
            capture_output=True,
            check=True,
            env={**os.environ, **env},
        )
        return done.stdout.decode().strip()

    def commit(
        self,
        files: Mapping[str, bytes],
        *,
        branch: str = "main",
        parents: Sequence[str] | None = None,
    ) -> str:
        index = str(self._folder / "index")
        Path(index).unlink(missing_ok=True)
        for path, data in files.items():
            blob = self._git(self._bare, "hash-object", "-w", "--stdin", stdin=data)
            self._git(
                *(self._bare, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"),
                GIT_INDEX_FILE=index,
            )
        tree = self._git(self._bare, "write-tree", GIT_INDEX_FILE=index)
        ref = f"refs/heads/{branch}"
        if parents is None:
            known = self._git(self._bare, "for-each-ref", "--format=%(objectname)", ref)
            parents = [known] if known else []
        date = f"{SECONDS} +0000"
        sha = self._git(
            *(self._bare, "commit-tree", "-m", "A commit", tree),
            *(part for parent in parents for part in ("-p", parent)),
            GIT_AUTHOR_DATE=date,
            GIT_COMMITTER_DATE=date,
        )
        self._git(self._bare, "update-ref", ref, sha)
        return sha

    def clone(
        self, *, depth: int | None = None, at: str | None = None, branch: str | None = "main"
    ) -> Git:
        self._count += 1
        path = self._folder / f"clone{self._count}"
        if depth is None:
            self._git(self._folder, "clone", "--quiet", f"file://{self._bare}", str(path))
            target = [branch] if branch else ["--detach", at or "HEAD"]
        else:
            self._git(self._folder, "init", "--quiet", str(path))
            self._git(path, "remote", "add", "origin", f"file://{self._bare}")
            source = at or f"refs/heads/{branch}"
            local = f":refs/remotes/origin/{branch}" if branch else ""
            self._git(path, "fetch", "--quiet", f"--depth={depth}", "origin", f"+{source}{local}")
            target = ["-B", branch, "FETCH_HEAD"] if branch else ["--detach", "FETCH_HEAD"]
        self._git(path, "checkout", "--quiet", *target)
        return GitRepository.discover(path)

    def lone(self) -> Git:
        git = self.clone()
        self._git(git.root, "remote", "remove", "origin")
        return git

    def write(self, git: Git, path: str, data: bytes) -> None:
        (git.root / path).parent.mkdir(parents=True, exist_ok=True)
        (git.root / path).write_bytes(data)

    def refuse(self, reason: str) -> None:
        hook = self._bare / "hooks" / "pre-receive"
        hook.write_text(f"#!/bin/sh\necho '{reason}' >&2\nexit 1\n")
        hook.chmod(0o755)

    def go_away(self) -> None:
        self._bare.rename(self._folder / "elsewhere")


@pytest.fixture(params=[FakeWorld, RealWorld], ids=["fake", "git"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made: World = request.param(tmp_path)
    return made


def tag(name: str, commit: str, *, seconds: int = SECONDS, subject: str = "Register") -> PlannedTag:
    return PlannedTag(
        name=name,
        artifact="m",
        commit=commit,
        seconds=seconds,
        subject=subject,
        trailers=(("Modelci-Hash", "md5:x"),),
    )


def names(git: Git, remote: str | None = None) -> list[str]:
    return sorted(str(one.name) for one in git.tags(remote=remote))


def test_a_clone_knows_its_head_its_branch_and_the_default_branch(world: World) -> None:
    first = world.commit({"a": b"1"})
    second = world.commit({"a": b"2"})
    git = world.clone()
    head = git.head()
    assert head is not None
    assert (head.sha, head.parents, head.seconds) == (second, (first,), SECONDS)
    assert git.branch() == "main"
    assert git.default_branch() == ("main", "refs/remotes/origin/main")
    assert git.default_branch("nowhere") is None
    assert git.remote() == "origin"
    assert not git.is_shallow()
    assert git.resolve("HEAD") == head == git.resolve("main") == git.resolve(second)


def test_an_unknown_revision_is_a_mistake_in_the_question(world: World) -> None:
    world.commit({})
    git = world.clone()
    for name in ("nowhere", "f" * 40, ""):
        with pytest.raises(UsageError) as raised:
            git.resolve(name)
        assert raised.value.hint
    assert not git.has("f" * 40)


def test_a_commit_names_its_parents_also_where_a_shallow_clone_lacks_them(world: World) -> None:
    base = world.commit({"a": b"1"})
    side = world.commit({"b": b"1"}, branch="side", parents=[base])
    merge = world.commit({"a": b"2"}, parents=[base, side])
    git = world.clone(depth=1)
    assert git.is_shallow()
    head = git.head()
    assert head is not None
    assert (head.sha, head.parents) == (merge, (base, side))
    assert not git.has(base)
    git.fetch([base], depth=1)
    assert git.has(base)
    assert git.is_shallow()
    assert git.tree(base).read(["a"]) == {"a": b"1"}


def test_a_merge_base_beyond_the_cut_is_found_after_deepening(world: World) -> None:
    fork = world.commit({"a": b"0"})
    for number in range(3):
        world.commit({"a": b"%d" % number})
        head = world.commit(
            {"b": b"%d" % number}, branch="side", parents=None if number else [fork]
        )
    git = world.clone(depth=1, at=head, branch=None)
    git.fetch(["+refs/heads/main:refs/remotes/origin/main"], depth=1)
    assert git.merge_base("HEAD", "refs/remotes/origin/main") is None
    git.deepen(1)
    assert git.merge_base("HEAD", "refs/remotes/origin/main") is None
    git.deepen(50)
    assert git.merge_base("HEAD", "refs/remotes/origin/main") == fork
    git.deepen(None) if git.is_shallow() else None
    assert not git.is_shallow()


def test_histories_apart_have_no_merge_base(world: World) -> None:
    world.commit({"a": b"1"})
    world.commit({"b": b"1"}, branch="side", parents=[])
    git = world.clone()
    assert git.merge_base("HEAD", "refs/remotes/origin/side") is None


def test_a_commit_and_the_work_tree_are_read_alike(world: World) -> None:
    files = {"a": b"1", "d/b c": b"\x00\xff", "empty": b""}
    sha = world.commit(files)
    git = world.clone()
    for tree in (git.tree(sha), git.work_tree()):
        assert sorted(tree.paths()) == sorted(files)
        assert tree.read([*files, "nowhere", "d"]) == files
        assert tree.blob_id("nowhere") is None
    ids = {path: git.tree(sha).blob_id(path) for path in files}
    assert {path: git.work_tree().blob_id(path) for path in files} == ids
    assert len(set(ids.values())) == 3


def test_what_differs_is_added_deleted_or_changed(world: World) -> None:
    base = world.commit({"same": b"1", "gone": b"1", "a b": b"1"})
    head = world.commit({"same": b"1", "new": b"1", "a b": b"2"})
    git = world.clone()
    expected = [("a b", "changed"), ("gone", "deleted"), ("new", "added")]
    found = git.changed_files(base, head)
    assert [(one.path, str(one.kind)) for one in found] == expected
    assert not git.is_dirty()
    assert git.changed_files(head, None) == ()
    world.write(git, "same", b"2")
    world.write(git, "untracked", b"2")
    assert git.is_dirty()
    found = git.changed_files(base, None)
    assert [(one.path, str(one.kind)) for one in found] == [
        *expected,
        ("same", "changed"),
        ("untracked", "added"),
    ]


def test_pushed_tags_are_at_the_remote_and_here(world: World) -> None:
    sha = world.commit({})
    git = world.clone()
    git.push([tag("m@v0.0.1", sha), tag("m#prod#1", sha)], remote="origin")
    other = world.clone(depth=1)
    for clone, where in ((git, None), (git, "origin"), (other, "origin")):
        assert names(clone, where) == ["m#prod#1", "m@v0.0.1"]
    (one,) = other.tags(["m"], remote="origin")[1:]
    assert (one.commit, one.seconds) == (sha, SECONDS)
    assert "Modelci-Hash: md5:x" in one.message


def test_only_the_artifacts_asked_for_are_returned(world: World) -> None:
    sha = world.commit({})
    git = world.clone()
    tags = [tag("m@v0.0.1", sha), tag("m2@v0.0.1", sha), tag("d=m@v0.0.1", sha), tag("v1", sha)]
    git.push(tags, remote="origin")
    assert [str(one.name) for one in git.tags(["m"], remote="origin")] == ["m@v0.0.1"]
    assert [str(one.name) for one in git.tags(["d:m"], remote="origin")] == ["d=m@v0.0.1"]
    assert [str(one.name) for one in git.tags(["d:m"])] == ["d=m@v0.0.1"]
    assert git.tags([], remote="origin") == ()
    assert len(git.tags(remote="origin")) == 3


def test_the_remotes_tags_are_told_apart_by_their_ids_and_nothing_is_fetched(world: World) -> None:
    sha = world.commit({})
    other, git = world.clone(), world.clone(depth=1)
    names = ["m@v0.0.1", "m#eu/prod#2", "d=m@v0.0.1", "mm#prod#1"]
    other.push([tag(name, sha) for name in names], remote="origin")
    ids = git.tag_ids(remote="origin")
    assert sorted(ids) == sorted(names)
    assert len(set(ids.values())) == 4
    assert set(git.tag_ids(["m"], remote="origin")) == {"m@v0.0.1", "m#eu/prod#2"}
    assert git.tag_ids(["d:m"], remote="origin") == {"d=m@v0.0.1": ids["d=m@v0.0.1"]}
    assert git.tag_ids([], remote="origin") == {}
    assert git.tags() == ()
    world.go_away()
    with pytest.raises(ForgeError):
        git.tag_ids(remote="origin")


UNDER = "refs/modelci/signatures/m@v0.0.1/"


def test_what_is_kept_is_at_the_remote_and_reaches_a_shallow_clone(world: World) -> None:
    sha = world.commit({})
    world.commit({"a": b"1"})
    git = world.clone()
    git.push([tag("m@v0.0.1", sha)], remote="origin", blobs={UNDER: [b"one", b"two"]})
    for clone, where in ((git, None), (world.clone(depth=1), "origin")):
        assert sorted(clone.kept(UNDER, remote=where).values()) == [b"one", b"two"]
    assert git.kept("refs/modelci/signatures/m@v0.0.10/", remote="origin") == {}


def test_the_same_is_kept_once_and_nothing_is_replaced(world: World) -> None:
    world.commit({})
    first, second = world.clone(), world.clone()
    assert first.keep({UNDER: [b"one"]}, remote="origin") == second.keep(
        {UNDER: [b"one"]}, remote="origin"
    )
    second.keep({UNDER: [b"two"]}, remote="origin")
    assert list(second.kept(UNDER, remote=None).values()) == list(
        first.kept(UNDER, remote="origin").values()
    )
    assert len(first.kept(UNDER, remote=None)) == 2


def test_without_a_remote_it_is_kept_here(world: World) -> None:
    world.commit({})
    git = world.lone()
    (ref,) = git.keep({UNDER: [b"one"]}, remote=None)
    assert git.kept(UNDER, remote=None) == {ref: b"one"}
    assert git.keep({UNDER: [b"one"]}, remote=None) == (ref,)


def test_what_the_remote_does_not_have_any_more_does_not_count(world: World) -> None:
    world.commit({})
    git = world.clone()
    git.keep({UNDER: [b"mine"]}, remote=None)
    git.keep({UNDER: [b"theirs"]}, remote="origin")
    assert list(git.kept(UNDER, remote="origin").values()) == [b"theirs"]


def test_what_is_far_too_large_is_not_read(world: World) -> None:
    world.commit({})
    git = world.clone()
    git.keep({UNDER: [b"x" * (1 << 21), b"one"]}, remote="origin")
    assert list(git.kept(UNDER, remote="origin").values()) == [b"one"]


def test_nothing_is_kept_where_the_tags_are_refused(world: World) -> None:
    one, other = world.commit({"a": b"1"}), world.commit({"a": b"2"})
    first, second = world.clone(), world.clone()
    first.push([tag("m@v0.0.1", one)], remote="origin")
    with pytest.raises(TagTakenError):
        second.push([tag("m@v0.0.1", other)], remote="origin", blobs={UNDER: [b"one"]})
    assert second.kept(UNDER, remote="origin") == {}
    world.go_away()
    with pytest.raises(ForgeError):
        second.kept(UNDER, remote="origin")


def test_the_same_tags_pushed_twice_are_no_offence(world: World) -> None:
    sha = world.commit({})
    world.clone().push([tag("m@v0.0.1", sha)], remote="origin")
    git = world.clone()
    git.push([tag("m@v0.0.1", sha), tag("m#prod#1", sha)], remote="origin")
    assert names(git, "origin") == ["m#prod#1", "m@v0.0.1"]


def test_of_two_promotions_of_one_name_the_second_leaves_nothing_behind(world: World) -> None:
    one = world.commit({"a": b"1"})
    other = world.commit({"a": b"2"})
    first, second = world.clone(), world.clone()
    first.push([tag("m@v0.0.1", one)], remote="origin")
    with pytest.raises(TagTakenError, match=r"m@v0\.0\.1|m#prod#1"):
        second.push([tag("m#prod#1", other), tag("m@v0.0.1", other)], remote="origin")
    assert names(second) == []
    assert names(second, "origin") == ["m@v0.0.1"]
    (kept,) = second.tags(remote="origin")
    assert kept.commit == one


def test_a_name_that_is_taken_here_is_told_from_a_refusal(world: World) -> None:
    sha = world.commit({})
    git = world.lone()
    git.push([tag("m@v0.0.1", sha)], remote=None)
    with pytest.raises(TagTakenError):
        git.push([tag("m@v0.0.1", sha, seconds=SECONDS + 1)], remote=None)


def test_remotes_are_named_and_one_can_be_chosen(world: World) -> None:
    world.commit({})
    git = world.clone()
    assert git.remotes() == ("origin",)
    assert git.with_remote("origin").remote() == "origin"
    assert git.with_remote(None) is git
    with pytest.raises(UsageError, match="no remote 'upstream'"):
        git.with_remote("upstream")
    assert world.lone().remotes() == ()


def test_a_tagger_has_a_name_and_an_address(world: World) -> None:
    world.commit({})
    assert world.clone().tagger() == "Test Author <author@example.com>"


def test_trailers_are_those_of_the_commits_between(world: World) -> None:
    base = world.commit({"a": b"0"})
    git = world.clone()
    shas = []
    for number, message in enumerate(("One\n\nBump: minor\n", "Two\n", "3\n\nBump: major\n")):
        world.write(git, "a", str(number + 1).encode())
        shas.append(git.commit_paths(["a"], message))
    assert sorted(git.trailers("Bump", since=base, until=shas[-1])) == ["major", "minor"]
    assert git.trailers("Bump", since=shas[0], until=shas[1]) == ()
    assert git.trailers("Bump", since=shas[0], until=shas[2]) == ("major",)
    assert git.trailers("Other", since=base, until=shas[-1]) == ()
    assert sorted(git.trailers("Bump", since=None, until=shas[1])) == ["minor"]


def test_commits_since_come_with_their_authors_names_and_no_address(world: World) -> None:
    base = world.commit({"a": b"0"})
    git = world.clone()
    shas = []
    for number, message in enumerate(("One\n\nWhy, and\n\nhow.\n", "Two (#2)\n", "3\n")):
        world.write(git, "a", str(number + 1).encode())
        shas.append(git.commit_paths(["a"], message))
    found = git.commits_since(base, shas[-1], limit=10)
    assert [one.sha for one in found] == shas[::-1]
    assert [one.subject for one in found] == ["3", "Two (#2)", "One"]
    assert found[-1].body.strip() == "Why, and\n\nhow."
    assert found[-1].parents == (base,)
    assert all(one.author and "@" not in one.author for one in found)
    assert [one.sha for one in git.commits_since(base, shas[-1], limit=2)] == shas[:0:-1]
    assert git.commits_since(shas[-1], shas[-1], limit=10) == ()


def test_a_server_that_refuses_is_quoted_and_nothing_is_tagged(world: World) -> None:
    sha = world.commit({})
    git = world.clone()
    world.refuse("tags are protected")
    with pytest.raises(PromotionError, match="refused") as raised:
        git.push([tag("m@v0.0.1", sha)], remote="origin")
    assert not isinstance(raised.value, TagTakenError)
    assert names(git) == names(git, "origin") == []


def test_a_remote_that_does_not_answer_is_a_forge_error(world: World) -> None:
    sha = world.commit({})
    git = world.clone()
    world.go_away()
    with pytest.raises(ForgeError):
        git.push([tag("m@v0.0.1", sha)], remote="origin")
    with pytest.raises(ForgeError):
        git.tags(remote="origin")
    with pytest.raises(ForgeError):
        git.fetch(["refs/heads/main"])
    assert names(git) == []


def test_without_a_remote_tags_stay_here_all_or_none(world: World) -> None:
    sha = world.commit({})
    git = world.lone()
    assert git.remote() is None
    git.push([tag("m@v0.0.1", sha)], remote=None)
    git.push([tag("m@v0.0.1", sha)], remote=None)
    clash = tag("m@v0.0.1", sha, seconds=SECONDS + 1)
    with pytest.raises(PromotionError):
        git.push([tag("m#prod#1", sha), clash], remote=None)
    assert names(git) == ["m@v0.0.1"]
    assert git.tags()[0].seconds == SECONDS
    with pytest.raises(ForgeError, match="no remote"):
        git.fetch([sha])


def test_a_commit_of_results_is_made_on_head_and_leaves_the_rest_alone(world: World) -> None:
    base = world.commit({"a": b"1", "dvc.lock": b"1", "gone": b"1"})
    git = world.clone()
    for path in ("a", "dvc.lock", "[new] *.json"):
        world.write(git, path, b"2")
    sha = git.commit_paths(["dvc.lock", "[new] *.json"], "Record\n")
    head = git.head()
    assert head is not None
    assert (head.sha, head.parents, head.seconds, head.subject) == (sha, (base,), SECONDS, "Record")
    assert [one.path for one in git.changed_files(base, sha)] == ["[new] *.json", "dvc.lock"]
    assert [one.path for one in git.changed_files(sha, None)] == ["a"]


def test_the_same_results_are_the_same_commit(world: World) -> None:
    world.commit({"dvc.lock": b"1"})
    found = set()
    for git in (world.clone(), world.clone(), world.clone(depth=1)):
        world.write(git, "dvc.lock", b"2")
        found.add(git.commit_paths(["dvc.lock"], "Record"))
    assert len(found) == 1


def test_a_bundle_carries_a_commit_to_another_clone(world: World, tmp_path: Path) -> None:
    base = world.commit({"dvc.lock": b"1"})
    run = world.clone(depth=1)
    world.write(run, "dvc.lock", b"2")
    sha = run.commit_paths(["dvc.lock"], "Record")
    path = tmp_path / "new" / "results.bundle"
    run.bundle(path, sha=sha, since=base)
    release = world.clone(depth=1)
    assert release.unbundle(path) == sha
    assert release.resolve(sha).parents == (base,)
    assert release.tree(sha).read(["dvc.lock"]) == {"dvc.lock": b"2"}
    head = release.head()
    assert head is not None
    assert head.sha == base
    release.push([tag("m@v0.0.1", sha)], remote="origin", commit_to=(sha, "main"))
    assert world.clone().resolve("HEAD").sha == sha
    assert release.is_on_branch(sha, "main")
    assert names(run, "origin") == ["m@v0.0.1"]


def test_a_bundle_for_another_history_or_none_at_all_is_refused(
    world: World, tmp_path: Path
) -> None:
    base = world.commit({"dvc.lock": b"1"})
    run = world.clone()
    world.write(run, "dvc.lock", b"2")
    path = tmp_path / "results.bundle"
    run.bundle(path, sha=run.commit_paths(["dvc.lock"], "Record"), since=base)
    world.commit({"dvc.lock": b"3"}, parents=[])
    with pytest.raises(ConfigError, match="holds no results"):
        world.clone(depth=1).unbundle(path)
    path.write_bytes(b"no bundle")
    with pytest.raises(ConfigError, match="holds no results"):
        run.unbundle(path)


def test_a_branch_that_moved_on_keeps_tags_and_commit_out(world: World) -> None:
    world.commit({"dvc.lock": b"1"})
    git = world.clone()
    world.write(git, "dvc.lock", b"2")
    sha = git.commit_paths(["dvc.lock"], "Record")
    newer = world.commit({"dvc.lock": b"3"})
    with pytest.raises(PromotionError):
        git.push([tag("m@v0.0.1", sha)], remote="origin", commit_to=(sha, "main"))
    assert names(git, "origin") == []
    assert not git.is_on_branch(sha, "main")
    assert git.is_on_branch(newer, "main")


@pytest.mark.parametrize("depth", [None, 1])
def test_a_branch_of_the_remote_is_fetched_as_it_is_now(world: World, depth: int | None) -> None:
    base = world.commit({"a": b"1"})
    git = world.clone(depth=depth)
    assert git.remote_branch("retrain") is None
    assert git.remote_branch("main") == base
    tip = world.commit({"a": b"2"}, branch="retrain", parents=[base])
    assert git.remote_branch("retrain") == tip
    assert git.resolve(tip).parents == (base,)
    assert dict(git.tree(tip).read(["a"])) == {"a": b"2"}
    assert [one.sha for one in git.commits_since(base, tip, limit=10)] == [tip]
    assert git.branch() == "main"


def test_a_name_that_only_ends_like_the_branch_is_another(world: World) -> None:
    base = world.commit({"a": b"1"})
    world.commit({"a": b"2"}, branch="x/retrain", parents=[base])
    assert world.clone().remote_branch("retrain") is None


def test_a_branch_is_pushed_and_replaced_where_it_is_as_expected(world: World) -> None:
    world.commit({"a": b"1"})
    git = world.clone()
    world.write(git, "a", b"2")
    first = git.commit_paths(["a"], "first")
    git.push_branch("modelci/retrain", first, expected=None)
    other = world.clone()
    assert other.remote_branch("modelci/retrain") == first
    world.write(other, "a", b"3")
    second = other.commit_paths(["a"], "second, that does not continue the first")
    other.push_branch("modelci/retrain", second, expected=first)
    assert git.remote_branch("modelci/retrain") == second


@pytest.mark.parametrize("expects", ["nothing", "an older one"])
def test_a_branch_that_somebody_moved_is_left(world: World, expects: str) -> None:
    base = world.commit({"a": b"1"})
    git = world.clone()
    first = world.commit({"a": b"2"}, branch="retrain", parents=[base])
    theirs = world.commit({"a": b"3"}, branch="retrain")
    world.write(git, "a", b"4")
    ours = git.commit_paths(["a"], "ours")
    with pytest.raises(BranchMovedError):
        git.push_branch("retrain", ours, expected=None if expects == "nothing" else first)
    assert git.remote_branch("retrain") == theirs


def test_a_branch_that_the_remote_refuses_is_an_error_with_its_words(world: World) -> None:
    world.commit({"a": b"1"})
    git = world.clone()
    world.write(git, "a", b"2")
    ours = git.commit_paths(["a"], "ours")
    world.refuse("no robots here")
    with pytest.raises(ForgeError, match="no robots here"):
        git.push_branch("retrain", ours, expected=None)
    assert git.remote_branch("retrain") is None


def test_branches_of_a_remote_that_is_away_cannot_be_read(world: World) -> None:
    world.commit({"a": b"1"})
    git = world.clone()
    world.go_away()
    with pytest.raises(ForgeError):
        git.remote_branch("main")
