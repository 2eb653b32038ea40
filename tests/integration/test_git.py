"""The Git adapter over real repositories: odd names, shallow clones, foreign tags, refusals."""

import os
import subprocess
from pathlib import Path

import pytest

from modelci.adapters.git import GitRepository
from modelci.domain.pipeline import ChangeKind
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import Rule
from modelci.errors import (
    ConfigError,
    ForgeDeniedError,
    ForgeError,
    ModelCIError,
    PromotionError,
    UsageError,
)

DATE = "1700000000 +0000"


def git(where: Path, *arguments: str, stdin: bytes = b"", **env: str) -> str:
    dates = {"GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE}
    done = subprocess.run(
        ["git", *arguments],
        cwd=where,
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **dates, **env},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="replace").strip()


def commit(where: Path, message: str = "A commit") -> str:
    git(where, "add", "--all")
    git(where, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(where, "rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work tree"
    git(tmp_path, "init", "--quiet", str(path))
    return path


@pytest.fixture
def bare(tmp_path: Path, work: Path) -> Path:
    """A bare remote of ``work``, which has three commits."""
    path = tmp_path / "origin.git"
    git(tmp_path, "init", "--quiet", "--bare", str(path))
    git(work, "remote", "add", "origin", f"file://{path}")
    for number in range(3):
        (work / "a").write_text(str(number))
        commit(work)
    git(work, "push", "--quiet", "--set-upstream", "origin", "main")
    return path


def shallow(bare: Path, depth: int = 1) -> Path:
    path = bare.parent / "shallow"
    git(bare, "clone", "--quiet", f"--depth={depth}", f"file://{bare}", str(path))
    return path


def tag(name: str, commit: str, message: str = "Register") -> PlannedTag:
    return PlannedTag(
        name=name, artifact="m", commit=commit, seconds=1_700_000_000, subject=message
    )


def names(repository: GitRepository, remote: str | None = None) -> list[str]:
    return [str(one.name) for one in repository.tags(remote=remote)]


# -- where we are ----------------------------------------------------------------------------


def test_the_repository_is_found_from_any_folder_in_it(work: Path) -> None:
    (work / "a" / "b").mkdir(parents=True)
    assert GitRepository.discover(work / "a" / "b").root == work


def test_outside_of_a_repository_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not in a Git repository") as raised:
        GitRepository.discover(tmp_path)
    assert "git init" in (raised.value.hint or "")


def test_a_bare_repository_is_told_from_none(bare: Path) -> None:
    with pytest.raises(ConfigError, match="without a work tree") as raised:
        GitRepository.discover(bare)
    assert "git clone" in (raised.value.hint or "")


def test_without_git_every_command_says_so(tmp_path: Path, work: Path) -> None:
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "modelci", "-C", str(work), "registry"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ConfigError.exit_code
    assert done.stderr == "Error: git is not installed.\nHint: Install Git 2.30+.\n"


def test_before_the_first_commit_there_is_no_head(work: Path) -> None:
    repository = GitRepository(work)
    assert repository.head() is None
    assert repository.branch() == "main"
    assert not repository.is_shallow()
    assert repository.default_branch() is None
    assert repository.tags() == ()
    (work / "new").write_text("x")
    assert repository.is_dirty()
    with pytest.raises(UsageError, match="There is no revision 'HEAD' here"):
        repository.resolve("HEAD")


@pytest.mark.parametrize(
    "name", ["-x", "--all", "", "nowhere", "HEAD~99", "HEAD:a", "a b", "main..HEAD", "f" * 40]
)
def test_what_names_no_commit_is_a_usage_error(bare: Path, work: Path, name: str) -> None:
    with pytest.raises(UsageError):
        GitRepository(work).resolve(name)


def test_in_a_shallow_clone_the_hint_is_to_fetch(bare: Path) -> None:
    with pytest.raises(UsageError) as raised:
        GitRepository(shallow(bare)).resolve("HEAD~2")
    assert "fetch-depth: 0" in (raised.value.hint or "")


def test_a_tag_a_branch_and_a_short_sha_name_their_commit(bare: Path, work: Path) -> None:
    sha = git(work, "rev-parse", "HEAD^")
    git(work, "tag", "-a", "-m", "x", "v1", sha)
    repository = GitRepository(work)
    assert {repository.resolve(name).sha for name in ("v1", sha[:9], "main^", "HEAD~1")} == {sha}


def test_a_commit_is_read_whatever_its_headers_hold(work: Path) -> None:
    tree = git(work, "hash-object", "-w", "-t", "tree", "/dev/null")
    raw = (
        f"tree {tree}\nauthor A <a@b> 1 +0000\ncommitter W. <w> Weird <w@x> 1234567890 -0330\n"
        "gpgsig -----BEGIN PGP SIGNATURE-----\n \n committer X <x> 9 +0000\n"
        " -----END PGP SIGNATURE-----\n\nCaf\xe9 subject\n\nbody\n"
    ).encode("latin-1")
    sha = git(work, "hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=raw)
    found = GitRepository(work).resolve(sha)
    assert (found.seconds, found.parents) == (1234567890, ())
    assert found.subject == "Caf\N{REPLACEMENT CHARACTER} subject"


@pytest.mark.parametrize(
    ("set_up", "configured", "expected"),
    [
        ([], None, ("main", "refs/remotes/origin/main")),
        (["branch trunk", "push -q origin trunk", "remote set-head origin trunk"], None, "trunk"),
        (
            ["remote remove origin", "branch -M master"],
            None,
            ("master", "refs/heads/master"),
        ),
        (["branch dev"], "dev", ("dev", "refs/heads/dev")),
        (["branch dev", "push -q origin dev"], "dev", "dev"),
        ([], "nowhere", None),
        (["remote remove origin"], None, ("main", "refs/heads/main")),
        (["checkout -q --detach", "branch -D main"], None, ("main", "refs/remotes/origin/main")),
        (["branch -M odd", "remote remove origin"], None, None),
    ],
)
def test_the_default_branch_is_as_configured_as_the_remote_says_or_by_custom(
    bare: Path,
    work: Path,
    set_up: list[str],
    configured: str | None,
    expected: tuple[str, str] | str | None,
) -> None:
    for command in set_up:
        git(work, *command.split())
    if isinstance(expected, str):
        expected = (expected, f"refs/remotes/origin/{expected}")
    assert GitRepository(work).default_branch(configured) == expected


def test_the_remote_is_the_one_that_the_branch_follows(bare: Path, work: Path) -> None:
    git(work, "remote", "add", "another", f"file://{bare}")
    repository = GitRepository(work)
    assert repository.remote() == "origin"
    git(work, "config", "branch.main.remote", "another")
    assert repository.remote() == "another"
    git(work, "checkout", "--quiet", "--detach")
    assert repository.remote() == "origin"
    git(work, "remote", "remove", "origin")
    assert repository.remote() == "another"


# -- files -----------------------------------------------------------------------------------

ODD = ["a b", 'quo"te', "new\nline", "tab\there", "é✔", "-dash", "[glob]*", ":colon", "d/e/f", "%s"]


def test_names_of_every_kind_are_read_alike_on_both_sides(work: Path) -> None:
    for name in ODD:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(f"of {name}".encode())
    sha = commit(work)
    repository = GitRepository(work)
    for tree in (repository.tree(sha), repository.work_tree()):
        assert sorted(tree.paths()) == sorted(ODD)
        assert tree.read(ODD) == {name: f"of {name}".encode() for name in ODD}
    for name in ODD:
        assert repository.tree(sha).blob_id(name) == repository.work_tree().blob_id(name)


def test_a_name_that_is_not_utf_8_does_no_harm(work: Path) -> None:
    (work / "good").write_text("x")
    with Path(os.fsdecode(bytes(work) + b"/caf\xe9")).open("w", encoding="utf-8") as file:
        file.write("y")
    sha = commit(work)
    repository = GitRepository(work)
    assert repository.tree(sha).read(["good"]) == {"good": b"x"}
    assert repository.work_tree().read(repository.work_tree().paths())["good"] == b"x"
    assert len(repository.tree(sha).paths()) == 2


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path, work: Path) -> None:
    (tmp_path / "secret").write_text("token")
    (work / "inside").write_text("ours")
    links = {"out": "../secret", "up": "..", "loop": "loop", "git": ".git/config", "in": "inside"}
    for name, target in links.items():
        (work / name).symlink_to(target)
    sha = commit(work)
    repository = GitRepository(work)
    asked = [*links, "up/secret", "../secret", str(tmp_path / "secret"), ".git/config", "x\0y"]
    asked += ["n" * 5000, "", "."]
    # What a link leads to out there is not read; the link itself is a text, as Git keeps it.
    texts = {name: target.encode() for name, target in links.items()}
    assert repository.work_tree().read(asked) == {**texts, "in": b"ours"}
    assert repository.tree(sha).read(asked) == texts


def test_a_file_that_may_not_be_read_is_named(work: Path) -> None:
    (work / "a").write_text("x")
    (work / "a").chmod(0)
    if os.access(work / "a", os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(ConfigError, match="a cannot be read: Permission denied"):
        GitRepository(work).work_tree().read(["a"])


def test_a_submodule_is_no_file(bare: Path, work: Path) -> None:
    git(work, "submodule", "--quiet", "add", f"file://{bare}", "sub")
    sha = commit(work)
    repository = GitRepository(work)
    for tree in (repository.tree(sha), repository.work_tree()):
        assert "sub" not in tree.paths()
        assert tree.read(["sub"]) == {}
    assert repository.work_tree().read(["sub/a"]) == {"sub/a": b"2"}


def test_thousands_of_files_are_read_in_one_go(work: Path) -> None:
    rows = []
    for number in range(3000):
        text = f"{number}\n" * (number % 7)
        rows.append(f"M 100644 inline f{number}\ndata {len(text)}\n{text}\n")
    script = f"commit refs/heads/main\ncommitter A <a@b> {DATE}\ndata 1\nx\n{''.join(rows)}"
    git(work, "fast-import", "--quiet", stdin=script.encode())
    tree = GitRepository(work).tree(git(work, "rev-parse", "main"))
    found = tree.read([f"f{number}" for number in reversed(range(3000))])
    assert len(found) == 3000
    assert all(found[f"f{n}"] == f"{n}\n".encode() * (n % 7) for n in range(3000))


def test_a_lost_object_is_an_error_that_names_it(work: Path) -> None:
    (work / "a").write_text("x")
    sha = commit(work)
    oid = git(work, "rev-parse", "HEAD:a")
    (work / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    with pytest.raises(ConfigError, match=f"{oid} is missing"):
        GitRepository(work).tree(sha).read(["a"])


def test_the_work_tree_lists_what_git_tracks_or_would_add(work: Path) -> None:
    for name in ("tracked", "deleted", "ignored", "untracked"):
        (work / name).write_text(name)
    (work / ".gitignore").write_text("ignored\n")
    git(work, "add", "tracked", "deleted", ".gitignore")
    git(work, "commit", "--quiet", "-m", "x")
    (work / "deleted").unlink()
    tree = GitRepository(work).work_tree()
    assert sorted(tree.paths()) == [".gitignore", "tracked", "untracked"]
    assert tree.read(["ignored", "deleted"]) == {"ignored": b"ignored"}


def test_the_blob_id_is_what_git_would_store_line_endings_and_all(work: Path) -> None:
    (work / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (work / "a.txt").write_bytes(b"one\r\ntwo\r\n")
    sha = commit(work)
    repository = GitRepository(work)
    assert repository.tree(sha).read(["a.txt"]) == {"a.txt": b"one\ntwo\n"}
    assert repository.work_tree().blob_id("a.txt") == repository.tree(sha).blob_id("a.txt")


def test_changed_files_have_their_lines_counted_and_binaries_none(work: Path) -> None:
    texts = {"kept": "1\n2\n", "gone": "1\n", "old name": "1\n2\n3\n", "bin": "\0a", "mode": "1\n"}
    for name, text in texts.items():
        (work / name).write_text(text)
    base = commit(work)
    (work / "kept").write_text("1\n3\n4\n")
    (work / "gone").unlink()
    (work / "old name").rename(work / "new\tname")
    (work / "bin").write_bytes(b"\0b")
    (work / "mode").chmod(0o755)
    head = commit(work)
    (work / "untracked é").write_text("1\n")
    git(work, "config", "color.ui", "always")
    git(work, "config", "diff.renames", "copies")
    git(work, "config", "diff.noprefix", "true")
    repository = GitRepository(work)
    rows = [
        (one.path, one.kind, one.added, one.deleted) for one in repository.changed_files(base, head)
    ]
    expected: list[tuple[str, ChangeKind, int | None, int | None]] = [
        ("bin", ChangeKind.CHANGED, None, None),
        ("gone", ChangeKind.DELETED, 0, 1),
        ("kept", ChangeKind.CHANGED, 2, 1),
        ("mode", ChangeKind.CHANGED, 0, 0),
        ("new\tname", ChangeKind.ADDED, 3, 0),
        ("old name", ChangeKind.DELETED, 0, 3),
    ]
    assert rows == expected
    found = repository.changed_files(base, None)
    assert [one.path for one in found] == [*(row[0] for row in expected), "untracked é"]
    assert found[-1].kind is ChangeKind.ADDED


# -- tags ------------------------------------------------------------------------------------


def raw_tag(work: Path, ref: str, text: str) -> None:
    oid = git(
        *(work, "hash-object", "-w", "-t", "tag", "--literally", "--stdin"), stdin=text.encode()
    )
    git(work, "update-ref", ref, oid)


def test_only_annotated_tags_of_commits_by_somebody_are_the_registrys(work: Path) -> None:
    sha = commit(work)
    tree = git(work, "rev-parse", "HEAD^{tree}")
    git(work, "tag", "-a", "-m", "Good\n\nModelci-Hash: md5:x", "m@v1.0.0")
    git(work, "tag", "light@v1.0.0")
    git(work, "tag", "-a", "-m", "x", "no-name-of-ours")
    git(work, "tag", "-a", "-m", "x", "tree@v1.0.0", tree)
    git(work, "tag", "-a", "-m", "x", "nested@v1.0.0", "m@v1.0.0")
    raw_tag(work, "refs/tags/nobody@v1.0.0", f"object {sha}\ntype commit\ntag nobody@v1.0.0\n\nx\n")
    found = {one.tag: one for one in GitRepository(work).tags()}
    assert {name: one.flaw for name, one in found.items()} == {
        "light@v1.0.0": Rule.LIGHTWEIGHT,
        "m@v1.0.0": None,
        "nested@v1.0.0": Rule.NESTED,
        "nobody@v1.0.0": Rule.NO_TAGGER,
        "tree@v1.0.0": Rule.NO_COMMIT,
    }
    good = found["m@v1.0.0"]
    assert (str(good.name), good.commit, good.ref) == ("m@v1.0.0", sha, "refs/tags/m@v1.0.0")
    assert (good.tagger, good.seconds) == ("Test Author", 1_700_000_000)
    assert good.email == git(work, "log", "-1", "--format=%ce")
    assert good.message.splitlines() == ["Good", "", "Modelci-Hash: md5:x"]


def test_a_tag_object_under_another_name_does_not_count(work: Path) -> None:
    sha = commit(work)
    body = f"object {sha}\ntype commit\ntag m@v9.0.0\ntagger A <a@b> 5 +0000\n\nx\n"
    raw_tag(work, "refs/tags/harmless", body)
    raw_tag(work, "refs/tags/m@v1.0.0", body)
    (found,) = GitRepository(work).tags()
    assert (found.tag, found.flaw, found.message) == ("m@v1.0.0", Rule.RENAMED, "m@v9.0.0")


def test_an_object_that_git_cannot_read_hides_no_other(work: Path) -> None:
    sha = commit(work)
    git(work, "tag", "-a", "-m", "Good\n\nbody", "m@v1.0.0")
    git(work, "tag", "light@v1.0.0")
    text = f"object {sha}\nnonsense\n\nx\n".encode()
    broken = git(work, "hash-object", "-w", "-t", "tag", "--literally", "--stdin", stdin=text)
    tags = work / ".git/refs/tags"
    (tags / "n@v1.0.0").write_text(f"{broken}\n")
    (tags / "gone@v1.0.0").write_text(f"{'1' * 40}\n")
    found = {one.tag: one for one in GitRepository(work).tags()}
    assert {name: one.flaw for name, one in found.items()} == {
        "gone@v1.0.0": Rule.UNREADABLE,
        "light@v1.0.0": Rule.LIGHTWEIGHT,
        "m@v1.0.0": None,
        "n@v1.0.0": Rule.RENAMED,
    }
    (tags / "n@v1.0.0").unlink()
    (tags / "gone@v1.0.0").unlink()
    assert found["m@v1.0.0"] in GitRepository(work).tags()


def test_only_the_artifact_asked_for_is_read_whatever_it_is_called(work: Path) -> None:
    commit(work)
    names = ["m@v0.0.1", "m#eu/prod#2", "m#dev!#3", "m@deprecated#4"]
    others = ["mm@v0.0.1", "m-1@v0.0.1", "m/n@v0.0.1", "d=m@v0.0.1", "m/n#eu/prod"]
    for name in names + others:
        git(work, "tag", "-a", "-m", "x", name)
    repository = GitRepository(work)
    assert sorted(one.tag for one in repository.tags(["m"])) == sorted(names)
    assert [one.tag for one in repository.tags(["d:m"])] == ["d=m@v0.0.1"]
    assert sorted(one.tag for one in repository.tags(["m/n"])) == ["m/n#eu/prod", "m/n@v0.0.1"]
    assert repository.tags([]) == ()
    git(work, "pack-refs", "--all")
    assert sorted(one.tag for one in repository.tags(["m"])) == sorted(names)


def test_commits_that_are_not_here_have_no_time(work: Path) -> None:
    sha = commit(work)
    assert GitRepository(work).commit_times([sha, "1" * 40]) == {sha: 1_700_000_000}
    assert GitRepository(work).commit_times([]) == {}


def test_a_signature_is_no_part_of_the_message(work: Path) -> None:
    sha = commit(work)
    signed = "Good\n-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
    raw_tag(
        work,
        "refs/tags/m@v1.0.0",
        f"object {sha}\ntype commit\ntag m@v1.0.0\ntagger A <a@b> 5 +0000\n\n{signed}",
    )
    (found,) = GitRepository(work).tags()
    assert found.message == "Good\n"


def test_a_message_of_any_shape_keeps_the_other_tags_readable(work: Path) -> None:
    commit(work)
    for number, message in enumerate(
        ["one\n\ntwo\n\nthree", "x" * 5000, "é✔\t|", "%00 %(refname)"]
    ):
        git(work, "tag", "-a", "--cleanup=verbatim", "-m", message, f"m@v0.0.{number}")
    found = GitRepository(work).tags()
    assert [str(one.name) for one in found] == [f"m@v0.0.{number}" for number in range(4)]
    assert found[0].message == "one\n\ntwo\n\nthree"


def test_the_remotes_tags_are_fetched_apart_from_this_clones_own(bare: Path, work: Path) -> None:
    sha = git(work, "rev-parse", "HEAD")
    git(work, "tag", "-a", "-m", "local", "m@v5.0.0")
    git(
        bare,
        "tag",
        "-a",
        "-m",
        "x",
        "m@v0.0.1",
        sha,
        GIT_COMMITTER_NAME="C",
        GIT_COMMITTER_EMAIL="c",
    )
    git(bare, "tag", "-a", "-m", "x", "other@v0.0.1", sha)
    repository = GitRepository(work)
    assert names(repository, "origin") == ["m@v0.0.1", "other@v0.0.1"]
    assert names(repository) == ["m@v5.0.0"]
    assert git(work, "tag", "--list") == "m@v5.0.0"


def test_a_tag_deleted_at_the_remote_is_gone_here_too(bare: Path, work: Path) -> None:
    sha = git(work, "rev-parse", "HEAD")
    for name in ("m@v0.0.1", "m#prod#1", "n@v0.0.1"):
        git(bare, "tag", "-a", "-m", "x", name, sha)
    repository = GitRepository(work)
    assert len(names(repository, "origin")) == 3
    git(bare, "tag", "-d", "m#prod#1", "n@v0.0.1")
    assert [str(one.name) for one in repository.tags(["m"], remote="origin")] == ["m@v0.0.1"]
    assert names(repository, "origin") == ["m@v0.0.1"]


def test_a_tag_moved_at_the_remote_is_read_anew(bare: Path, work: Path) -> None:
    old, new = git(work, "rev-parse", "HEAD^"), git(work, "rev-parse", "HEAD")
    repository = GitRepository(work)
    for sha in (old, new):
        git(bare, "tag", "-f", "-a", "-m", "x", "m@v0.0.1", sha)
        assert [one.commit for one in repository.tags(remote="origin")] == [sha]


def test_a_shallow_clone_reads_old_tags_and_stays_shallow(bare: Path, work: Path) -> None:
    old = git(work, "rev-parse", "HEAD~2")
    git(bare, "tag", "-a", "-m", "x", "m@v0.0.1", old)
    repository = GitRepository(shallow(bare))
    (found,) = repository.tags(["m"], remote="origin")
    assert found.commit == old
    assert repository.tree(old).read(["a"]) == {"a": b"0"}
    assert repository.is_shallow()
    assert git(repository.root, "rev-list", "--count", "HEAD") == "1"


def test_a_full_clone_stays_full(bare: Path, work: Path) -> None:
    git(bare, "tag", "-a", "-m", "x", "m@v0.0.1", git(work, "rev-parse", "HEAD"))
    repository = GitRepository(work)
    assert names(repository, "origin") == ["m@v0.0.1"]
    repository.fetch([git(work, "rev-parse", "HEAD~1")])
    assert not repository.is_shallow()


# -- pushing ---------------------------------------------------------------------------------


def test_the_same_tag_is_the_same_object_on_any_machine(bare: Path, work: Path) -> None:
    sha = git(work, "rev-parse", "HEAD")
    found = set()
    for number, zone in enumerate(["UTC", "Asia/Tokyo"]):
        clone = bare.parent / f"clone{number}"
        git(bare, "clone", "--quiet", f"file://{bare}", str(clone), TZ=zone)
        GitRepository(clone).push([tag("m@v0.0.1", sha)], remote="origin")
        found.add(git(clone, "rev-parse", "refs/tags/m@v0.0.1"))
    assert found == {git(bare, "rev-parse", "refs/tags/m@v0.0.1")}
    assert git(work, "cat-file", "-t", "HEAD") == "commit"
    assert "Test Author <author@example.com> 1700000000 +0000" in git(
        bare, "cat-file", "tag", "m@v0.0.1"
    )


def test_a_machine_without_a_name_tags_as_modelci(bare: Path, work: Path, home: Path) -> None:
    (home / ".gitconfig").write_text("")
    GitRepository(work).push([tag("m@v0.0.1", git(work, "rev-parse", "HEAD"))], remote="origin")
    assert "tagger modelci <modelci@localhost> 1700000000 +0000" in git(
        bare, "cat-file", "tag", "m@v0.0.1"
    )


def test_only_what_was_planned_is_pushed(bare: Path, work: Path) -> None:
    git(work, "tag", "-a", "-m", "mine", "private")
    git(work, "config", "push.followTags", "true")
    (work / "a").write_text("unpushed")
    base = git(work, "rev-parse", "HEAD")
    commit(work)
    repository = GitRepository(work)
    repository.push([], remote="origin")
    repository.push([tag("m@v0.0.1", base)], remote="origin")
    assert git(bare, "for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/main",
        "refs/tags/m@v0.0.1",
    ]
    assert git(bare, "rev-parse", "main") == base


def test_a_hook_that_refuses_is_quoted(bare: Path, work: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'GH013: rule violations: tags are protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    repository = GitRepository(work)
    with pytest.raises(PromotionError, match="declined") as raised:
        repository.push([tag("m@v0.0.1", git(work, "rev-parse", "HEAD"))], remote="origin")
    assert "protected" in (raised.value.hint or "")
    assert git(bare, "tag", "--list") == git(work, "tag", "--list") == ""


def test_a_tag_in_this_clone_alone_does_not_stop_the_push(bare: Path, work: Path) -> None:
    git(work, "tag", "-a", "-m", "stale", "m@v0.0.1/x")
    sha = git(work, "rev-parse", "HEAD")
    GitRepository(work).push([tag("m@v0.0.1", sha)], remote="origin")
    assert git(bare, "tag", "--list") == "m@v0.0.1"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("file:///nowhere/at/all.git", ForgeError),
        ("https://user:hunter2@127.0.0.1:1/o/r.git", ForgeError),
        ("ext::./denies", ForgeDeniedError),
    ],
)
def test_a_remote_that_cannot_be_had_is_a_forge_error_without_secrets(
    bare: Path, work: Path, url: str, error: type[ModelCIError]
) -> None:
    git(work, "config", "protocol.ext.allow", "always")
    (work / "denies").write_text("#!/bin/sh\necho 'git@forge: Permission denied.' >&2\nexit 1\n")
    (work / "denies").chmod(0o755)
    git(work, "remote", "set-url", "origin", url)
    repository = GitRepository(work)
    sha = git(work, "rev-parse", "HEAD")
    for act in (
        lambda: repository.push([tag("m@v0.0.1", sha)], remote="origin"),
        lambda: repository.tags(remote="origin"),
        lambda: repository.fetch(["refs/heads/main"]),
        lambda: repository.deepen(1),
    ):
        with pytest.raises(error) as raised:
            act()
        assert "hunter2" not in f"{raised.value} {raised.value.hint}"
    assert git(work, "tag", "--list") == ""


# -- results ---------------------------------------------------------------------------------


def test_results_are_committed_whatever_hooks_signing_or_staging_there_is(
    bare: Path, work: Path
) -> None:
    for name in ("pre-commit", "commit-msg"):
        hook = work / ".git" / "hooks" / name
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    git(work, "config", "commit.gpgSign", "true")
    (work / "dvc.lock").write_text("1")
    (work / "staged").write_text("1")
    git(work, "add", "staged")
    (work / "a").unlink()
    repository = GitRepository(work)
    sha = repository.commit_paths(["dvc.lock", "a"], "Record the pipeline's results")
    found = repository.changed_files(f"{sha}^", sha)
    assert [(one.path, one.kind) for one in found] == [
        ("a", ChangeKind.DELETED),
        ("dvc.lock", ChangeKind.ADDED),
    ]
    assert git(work, "status", "--porcelain") == "A  staged"
    author = git(work, "log", "-1", "--format=%an %ae %cn %at %ct")
    assert author == "modelci modelci@localhost modelci 1700000000 1700000000"


def test_results_can_be_committed_on_a_detached_head(bare: Path, work: Path) -> None:
    git(work, "checkout", "--quiet", "--detach")
    (work / "dvc.lock").write_text("1")
    sha = GitRepository(work).commit_paths(["dvc.lock"], "Record")
    assert git(work, "rev-parse", "HEAD") == sha
    assert git(work, "rev-parse", "main") == git(work, "rev-parse", "HEAD^")


def test_a_bundles_path_is_the_callers_not_the_repositorys(
    bare: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    repository = GitRepository(work)
    base = git(work, "rev-parse", "HEAD")
    (work / "dvc.lock").write_text("1")
    sha = repository.commit_paths(["dvc.lock"], "Record")
    repository.bundle(Path("out/results.bundle"), sha=sha, since=base)
    assert (tmp_path / "out" / "results.bundle").is_file()
    assert repository.unbundle(Path("out/results.bundle")) == sha


def test_a_file_that_leads_to_a_repository_is_no_bundle(work: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    git(tmp_path, "init", "--quiet", str(evil))
    commit(evil)
    git(evil, "update-ref", "refs/modelci/results", "HEAD")
    link = tmp_path / "results.bundle"
    link.write_text(f"gitdir: {evil / '.git'}\n")
    assert "refs/modelci/results" in git(work, "ls-remote", str(link))  # Git itself goes there
    for path in (link, evil, tmp_path / "missing.bundle"):
        with pytest.raises(ConfigError, match="it is no Git bundle"):
            GitRepository(work).unbundle(path)
    assert GitRepository(work).read_ref("refs/modelci/results") is None


@pytest.mark.parametrize("name", [".git", "..", ".GIT"])
def test_a_bundle_of_a_tree_that_writes_elsewhere_is_refused(
    work: Path, tmp_path: Path, name: str
) -> None:
    evil = tmp_path / "evil"
    git(tmp_path, "init", "--quiet", str(evil))
    blob = git(evil, "hash-object", "-w", "--stdin", stdin=b"x")
    entry = b"100644 %b\0%b" % (name.encode(), bytes.fromhex(blob))
    tree = git(evil, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=entry)
    made = git(evil, "commit-tree", "-m", "x", tree)
    git(evil, "update-ref", "refs/modelci/results", made)
    path = tmp_path / "results.bundle"
    git(evil, "bundle", "create", "--quiet", str(path), "refs/modelci/results")
    with pytest.raises(ConfigError, match="holds no results"):
        GitRepository(work).unbundle(path)
    assert GitRepository(work).read_ref("refs/modelci/results") is None
