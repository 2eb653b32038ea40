"""Whether a DVC remote has the bytes of a version: asked by hash, nothing is downloaded."""

import gc
import shutil
import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.integration.dvcproject import Project

from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.domain.changes import DataKind, TrackedFile
from modelci.errors import PipelineError

STAGES = """stages:
  train:
    cmd: mkdir -p models && echo a > models/a && echo b > models/b && echo m > model.bin
    outs: [model.bin, models]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project.create(tmp_path / "project")
    project.write(dvc__yaml=STAGES)
    project.run()
    project.add_remote(tmp_path / "store")
    return project


def tracked(project: Project) -> dict[str, TrackedFile]:
    from modelci.formats import parse_yaml

    outs = parse_yaml(project.read("dvc.lock").encode(), "dvc.lock")["stages"]["train"]["outs"]
    return {
        out["path"]: TrackedFile(path=out["path"], kind=DataKind.MODEL, hash=out["md5"])
        for out in outs
    }


def missing(project: Project) -> list[str] | None:
    found = project.pipeline.missing(list(tracked(project).values()))
    return None if found is None else [one.path for one in found]


def forget_cache(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")


def stored(tmp_path: Path, hash_: str) -> Path:
    return tmp_path / "store" / "files" / "md5" / hash_[:2] / hash_[2:]


def test_what_was_pushed_is_there_also_where_the_cache_is_empty(project: Project) -> None:
    project.push()
    assert missing(project) == []
    forget_cache(project)
    assert missing(project) == []
    assert not list((project.root / ".dvc" / "cache").rglob("*.bin"))


def test_what_was_never_pushed_is_missing(project: Project, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    assert sorted(missing(project) or []) == ["model.bin", "models"]


@pytest.mark.parametrize("cached", [True, False])
def test_a_file_gone_from_a_folder_is_named(
    project: Project, tmp_path: Path, *, cached: bool
) -> None:
    project.push()
    assert missing(project) == []  # and DVC's index of the remote has it, too
    a = next(path for path in (tmp_path / "store").rglob("*") if path.is_file() and _is_a(path))
    a.unlink()
    if not cached:
        forget_cache(project)
    assert missing(project) == ["models/a"]


def _is_a(path: Path) -> bool:
    return path.read_bytes() == b"a\n"


def test_a_file_gone_after_it_was_there_is_noticed(project: Project, tmp_path: Path) -> None:
    project.push()
    stored(tmp_path, tracked(project)["model.bin"].hash or "").unlink()
    assert missing(project) == ["model.bin"]


def test_without_a_remote_nobody_knows(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project")
    project.write(dvc__yaml=STAGES)
    project.run()
    assert missing(project) is None


@pytest.mark.parametrize("dangling", [False, True])
def test_a_folder_that_is_not_there_holds_nothing(
    project: Project, tmp_path: Path, *, dangling: bool
) -> None:
    if dangling:
        (tmp_path / "store").symlink_to(tmp_path / "unmounted")
    assert sorted(missing(project) or []) == ["model.bin", "models"]
    assert not (tmp_path / "unmounted").exists()
    if not dangling:
        project.push()
        assert missing(project) == []


def test_a_folder_that_nobody_can_look_into_is_not_taken_for_an_empty_one(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "store").symlink_to("store")
    with pytest.raises(PipelineError, match="Could not ask the DVC remote store"):
        missing(project)


@pytest.fixture
def tidy() -> Iterator[None]:
    """Collect the sessions that DVC leaves open here: in a thread of theirs they would complain."""
    yield
    gc.collect()


@pytest.mark.usefixtures("tidy")
def test_a_server_that_does_not_answer_is_not_taken_for_an_empty_one(project: Project) -> None:
    with socket.socket() as taken:  # bound, and listening to nobody
        taken.bind(("127.0.0.1", 0))
        project.add_remote(f"http://127.0.0.1:{taken.getsockname()[1]}/store", name="away")
        with pytest.raises(PipelineError, match="Could not ask the DVC remote away"):
            missing(project)


class Answering(ThreadingHTTPServer):
    """Answers everything with one status."""

    status = HTTPStatus.NOT_FOUND


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def web(project: Project, tidy: None) -> Iterator[Answering]:
    with Answering(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        project.add_remote(f"http://127.0.0.1:{server.server_port}/store", name="web")
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("web")
def test_a_server_that_has_no_such_object_lacks_it(project: Project) -> None:
    assert sorted(missing(project) or []) == ["model.bin", "models"]


def test_a_server_that_denies_us_is_not_taken_for_an_empty_one(
    project: Project, web: Answering
) -> None:
    web.status = HTTPStatus.FORBIDDEN
    with pytest.raises(PipelineError, match=r"Could not ask the DVC remote web .*403"):
        missing(project)


def test_another_remote_can_be_named(project: Project, tmp_path: Path) -> None:
    project.push()
    (tmp_path / "other").mkdir()
    project.add_remote(tmp_path / "other", name="other")
    files = list(tracked(project).values())
    named = DvcPipeline(project.root, environment=project.environment, remote="store")
    assert named.missing(files) == ()
    assert len(project.pipeline.missing(files) or ()) == 2


def test_what_git_holds_is_not_looked_for(project: Project, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    small = TrackedFile(path="m.json", kind=DataKind.MODEL, hash="f" * 32, in_git=True)
    assert project.pipeline.missing([small]) == ()
