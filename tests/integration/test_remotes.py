"""DVC remotes on real servers: an artifact comes by hash and alone, and what goes wrong is said."""

import hashlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.dvcproject import Project
from tests.integration.stores import KINDS, LACKING, QUIET, Store, serve, wire

from modelci.adapters.dvc.remote import read_remotes
from modelci.adapters.dvc.stored import DvcBytes
from modelci.adapters.git import GitRepository
from modelci.domain.changes import TrackedFile
from modelci.domain.provenance import FileBytes
from modelci.errors import ConfigError, PipelineError

MODEL = random.Random(7).randbytes(3 << 20)
PIPELINE = """\
stages:
  train:
    cmd: mkdir -p models/tuned/deep && touch models/tuned/empty && echo b > models/tuned/deep/b
    deps: [model.bin]
    outs: [models/tuned]
"""
pytestmark = QUIET
# A folder of this machine knows no credentials, and no wire leads there.
elsewhere = pytest.mark.parametrize("server", KINDS[1:], indirect=True)
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID",
    "ssh": "dvc remote modify --local store keyfile PATH",
    "webdav": "dvc remote modify --local store user USER",
    "http": "dvc remote modify store auth basic",
}


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    reason = LACKING.get(request.param)
    if reason:
        pytest.skip(reason)
    with serve(request.param, tmp_path_factory.mktemp(request.param)) as store:
        yield store


@pytest.fixture(scope="module")
def made(untouched_by_the_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a model and a folder of models."""
    project = Project.create(tmp_path_factory.mktemp("made") / "project")
    (project.root / "model.bin").write_bytes(MODEL)
    project.put("dvc.yaml", PIPELINE)
    project.add("model.bin")
    project.run()
    project.commit()
    return project


@pytest.fixture(scope="module")
def pushed(server: Store, made: Project, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A remote to which that project was pushed, by DVC's own hands."""
    store = server.below("pushed")
    project = made.copy(tmp_path_factory.mktemp("pushing") / "project")
    store.configure(project.root)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.variables.items():
            patch.setenv(name, value)
        assert project.push() >= 4  # the model, two files and their list
    return store


@pytest.fixture
def store(pushed: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A copy of that remote, and what a job needs to reach it."""
    for name, value in pushed.variables.items():
        monkeypatch.setenv(name, value)
    return pushed.copy(f"{tmp_path.parent.name}-{tmp_path.name}")


@pytest.fixture
def project(store: Store, made: Project, tmp_path: Path) -> Project:
    """The project, with nothing in its cache."""
    project = made.copy(tmp_path / "project")
    store.configure(project.root)
    shutil.rmtree(project.root / ".dvc" / "cache")
    return project


def tracked(project: Project) -> dict[str, TrackedFile]:
    from modelci.adapters.dvc.snapshot import DvcSnapshotReader

    git = GitRepository(project.root)
    return dict(DvcSnapshotReader(project.root).read(git.tree(git.resolve("HEAD").sha)).tracked)


def fetch(project: Project, path: str, into: Path, *, root: Path | None = None) -> list[FileBytes]:
    git = GitRepository(project.root)
    file = tracked(project)[path if path == "model.bin" else "models/tuned"]
    found = DvcBytes(root or project.root, config_folders=(), pause=lambda _: None)
    return list(found.fetch(git.tree(git.resolve("HEAD").sha), file, path, into))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_a_model_comes_by_hash_and_alone(project: Project, tmp_path: Path) -> None:
    (found,) = fetch(project, "model.bin", tmp_path / "release")
    assert found.is_right
    assert found.sha256 == hashlib.sha256(MODEL).hexdigest()
    assert found.size == len(MODEL)
    assert files(tmp_path / "release") == {"model.bin": MODEL}
    assert not (project.root / ".dvc" / "cache").exists()


def test_a_folder_comes_whole_or_a_part_of_it(project: Project, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert all(one.is_right for one in fetch(project, "models/tuned", whole))
    assert files(whole) == {"tuned/empty": b"", "tuned/deep/b": b"b\n"}
    assert [one.path for one in fetch(project, "models/tuned/deep/b", part)] == [
        "models/tuned/deep/b"
    ]
    assert files(part) == {"b": b"b\n"}


def test_what_is_there_with_the_right_bytes_is_not_asked_for_again(
    project: Project, store: Store, tmp_path: Path
) -> None:
    fetch(project, "model.bin", tmp_path / "release")
    before = (tmp_path / "release" / "model.bin").stat()
    store.remove(md5(MODEL))
    (found,) = fetch(project, "model.bin", tmp_path / "release")
    assert found.is_right
    assert (tmp_path / "release" / "model.bin").stat().st_ino == before.st_ino


@pytest.mark.parametrize("evil", [b"evil", b""])
def test_bytes_that_were_changed_are_refused_and_not_left_there(
    project: Project, store: Store, tmp_path: Path, *, evil: bytes
) -> None:
    release = tmp_path / "release"
    release.mkdir()
    (release / "model.bin").write_bytes(b"an older one")
    store.tamper(md5(MODEL), evil)
    (found,) = fetch(project, "model.bin", release)
    assert (found.recorded, found.found) == (md5(MODEL), md5(evil))
    assert found.refusal is not None
    assert f"md5 {md5(evil)}, not {md5(MODEL)}" in found.refusal
    assert f"store: {store.url.split('@')[-1].split('://')[-1]}" in found.refusal.replace(
        f"{store.kind}://", ""
    )
    assert list(release.iterdir()) == []


def test_one_changed_file_of_a_folder_does_not_keep_the_others_away(
    project: Project, store: Store, tmp_path: Path
) -> None:
    store.tamper(md5(b"b\n"), b"B\n")
    found = fetch(project, "models/tuned", tmp_path / "release")
    assert [(one.path, one.is_right) for one in found] == [
        ("models/tuned/deep/b", False),
        ("models/tuned/empty", True),
    ]
    assert files(tmp_path / "release") == {"tuned/empty": b""}


def test_a_changed_list_of_files_is_not_followed(
    project: Project, store: Store, tmp_path: Path
) -> None:
    listing = tracked(project)["models/tuned"].hash or ""
    store.tamper(listing, b'[{"md5": "%s", "relpath": "tuned"}]' % md5(MODEL).encode())
    (found,) = fetch(project, "models/tuned", tmp_path / "release")
    assert found.path == "models/tuned"
    assert not found.is_right
    assert files(tmp_path / "release") == {}


def test_what_the_remote_lacks_is_named_by_hash_and_place(
    project: Project, store: Store, tmp_path: Path
) -> None:
    assert project.pipeline.missing(list(tracked(project).values())) == ()
    store.remove(md5(MODEL))
    (found,) = fetch(project, "model.bin", tmp_path / "release")
    assert found.found is None
    assert found.refusal is not None
    assert f"no bytes of md5 {md5(MODEL)}" in found.refusal
    assert f"/files/md5/{md5(MODEL)[:2]}/{md5(MODEL)[2:]}" in found.refusal
    assert files(tmp_path / "release") == {}
    missing = project.pipeline.missing(list(tracked(project).values()))
    assert [one.path for one in missing or ()] == ["model.bin"]


@elsewhere
def test_whoever_is_not_let_in_hears_of_which_remote_and_what_to_set(
    project: Project, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.refused is not None
    (project.root / ".dvc" / "config.local").unlink(missing_ok=True)
    store.refused.give_secrets(project.root)
    for name, value in store.refused.variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        PipelineError, match=r"the DVC remote store \(.*: access is denied"
    ) as error:
        fetch(project, "model.bin", tmp_path / "release")
    assert CREDENTIALS[store.kind] in (error.value.hint or "")
    assert "guessed" not in f"{error.value} {error.value.hint}"
    assert files(tmp_path / "release") == {}


@elsewhere
def test_a_connection_cut_half_way_is_made_again(
    project: Project, store: Store, tmp_path: Path
) -> None:
    with wire(store.port) as cut:
        cut.cuts = 1
        far = moved(project, store.by(cut.port), tmp_path / "far")
        (found,) = fetch(project, "model.bin", tmp_path / "release", root=far)
        assert cut.made == 1
    assert found.is_right
    assert files(tmp_path / "release") == {"model.bin": MODEL}


@elsewhere
def test_a_connection_cut_ever_again_ends_with_a_clear_error_and_nothing_half(
    project: Project, store: Store, tmp_path: Path
) -> None:
    with wire(store.port) as cut:
        cut.cuts, cut.after = 1000, 4096
        far = moved(project, store.by(cut.port), tmp_path / "far")
        with pytest.raises(PipelineError, match="Could not fetch from the DVC remote store"):
            fetch(project, "model.bin", tmp_path / "release", root=far)
        assert 1 < cut.made < 100
    assert list((tmp_path / "release").iterdir()) == []


def moved(project: Project, store: Store, root: Path) -> Path:
    """Return a clone that reaches the remote another way."""
    (root / ".dvc").mkdir(parents=True)
    store.configure(root)
    return root


def test_dvc_itself_takes_a_remotes_word_until_it_is_told_to_verify(
    project: Project, store: Store
) -> None:
    store.tamper(md5(MODEL), b"evil")
    model = tracked(project)["model.bin"]
    place = project.root / ".dvc" / "cache" / "files" / "md5" / md5(MODEL)[:2] / md5(MODEL)[2:]
    assert [one.verifies for one in read_remotes(project.root)] == [False]
    project.pipeline.fetch([model])
    assert place.read_bytes() == b"evil"
    shutil.rmtree(project.root / ".dvc" / "cache")
    with (project.root / ".dvc" / "config").open("a") as config:
        config.write("    verify = true\n")  # what `dvc remote modify store verify true` writes
    assert [one.verifies for one in read_remotes(project.root)] == [True]
    project.pipeline.fetch([model])
    assert not place.exists()


def test_remotes_are_known_by_name_and_place_without_their_credentials(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project")
    assert read_remotes(project.root) == ()
    project.add_remote("https://me:secret@host/models", name="Store")
    with (project.root / ".dvc" / "config.local").open("w") as config:
        config.write("['remote \"pr\"']\n    url = /srv/pr\n    verify = true\n")
    first, second = sorted(read_remotes(project.root), key=lambda one: one.name.lower())
    assert (first.name, first.url, first.verifies, first.is_default) == (
        "pr",
        "/srv/pr",
        True,
        False,
    )
    assert (second.url, second.verifies, second.is_default) == ("https://host/models", False, True)
    project.put(".dvc/config", "[core\n")
    with pytest.raises(ConfigError, match="DVC's configuration cannot be used"):
        read_remotes(project.root)
