"""One ``git cat-file --batch`` for many looks: what it reads, and how it ends."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelci.adapters.objects import ObjectReader
from modelci.errors import ConfigError

WHO = ("-c", "user.name=A", "-c", "user.email=a@localhost")


def git(folder: Path, *arguments: str, stdin: bytes | None = None) -> str:
    command = ("git", *WHO, *arguments)
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture(params=["sha1", "sha256"])
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", f"--object-format={request.param}")
    return tmp_path


def commit(work: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--allow-empty", "-m", "x")
    return git(work, "rev-parse", "HEAD")


def listed(work: Path, sha: str) -> list[tuple[str, str]]:
    rows = git(work, "ls-tree", "-r", "-z", "--full-tree", sha).split("\0")[:-1]
    split = (row.split("\t", 1) for row in rows)
    return [(path, meta.split(" ")[2]) for meta, path in split if "commit" not in meta]


def test_files_are_those_of_ls_tree_in_its_order(work: Path) -> None:
    reader = ObjectReader(work)
    first = commit(work, {"b/c/d": "1", "b.txt": "2", "b-": "3", "é ü/\n": "4", "a": "5"})
    (work / "link").symlink_to("a")
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{first},module")
    second = commit(work, {"b/c/e": "6", "b/x": "7"})
    for sha in (first, second, first):
        assert list(reader.files(sha).items()) == listed(work, sha)


def test_a_commit_without_files_has_none(work: Path) -> None:
    assert ObjectReader(work).files(commit(work, {})) == {}


def test_a_tree_may_be_deeper_than_python_recurses(work: Path) -> None:
    deep = "d/" * 1_500 + "f"
    script = "commit refs/heads/deep\ncommitter A <a@localhost> 0 +0000\ndata 1\nx\n"
    script += f"M 100644 inline {deep}\ndata 1\nx\n"
    git(work, "fast-import", "--quiet", stdin=script.encode())
    assert list(ObjectReader(work).files(git(work, "rev-parse", "deep"))) == [deep]


def test_what_is_missing_is_told_and_the_next_answer_is_the_next_one_s(work: Path) -> None:
    sha = commit(work, {"a": "one\n", "b": "two"})
    reader = ObjectReader(work)
    oids = list(reader.files(sha).values())
    lost = "1" * len(sha)
    with pytest.raises(ConfigError, match=f"{lost} is missing"):
        list(reader.read([oids[0], lost, oids[1]]))
    with pytest.raises(ConfigError, match="no object"):
        list(reader.read([f"{oids[0]}\n{oids[1]}"]))
    assert [one.data for one in reader.read(oids)] == [b"one\n", b"two"]


def test_a_broken_object_ends_git_and_another_is_started(work: Path) -> None:
    sha = commit(work, {"a": "one", "b": "two"})
    reader = ObjectReader(work)
    good, bad = reader.files(sha).values()
    path = work / ".git" / "objects" / bad[:2] / bad[2:]
    path.chmod(0o600)
    path.write_bytes(b"no zlib")
    with pytest.raises(ConfigError, match=r"missing|failed") as caught:
        list(reader.read([good, bad]))
    assert caught.value.hint is not None
    assert [one.data for one in reader.read([good])] == [b"one"]


def test_threads_share_a_reader(work: Path) -> None:
    sha = commit(work, {f"f{number}": str(number) * 5_000 for number in range(40)})
    reader = ObjectReader(work)
    found = reader.files(sha)

    def check(path: str) -> bool:
        (one,) = reader.read([found[path]])
        return one.data == path[1:].encode() * 5_000

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, [*found] * 5))


def test_its_process_ends_with_it(work: Path) -> None:
    sha = commit(work, {"a": "1"})
    reader = ObjectReader(work)
    reader.files(sha)
    process = reader._process
    assert process is not None
    assert process.poll() is None
    del reader
    assert process.returncode == 0


def test_where_there_is_no_repository_git_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a git repository"):
        ObjectReader(tmp_path).files("1" * 40)
