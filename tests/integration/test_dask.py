"""Stages on a real Dask cluster: separate processes in separate folders, and what befalls them."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.integration.daskcluster import Cluster, wait_until
from tests.integration.dvcproject import Heard, Project, git

from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.adapters.executors.dask import DaskExecutor, connect
from modelci.config.model import ExecutorConfig
from modelci.domain.pipeline import RunOptions, StageRun, StageStatus
from modelci.errors import ConfigError, PipelineError

PIPELINE = """\
stages:
  stamp:  # without dependencies: it cannot be restored
    cmd: echo 1 > stamp.txt
    outs: [stamp.txt]
  prepare:
    cmd: mkdir -p parts && for i in 1 2 3; do cat raw.txt stamp.txt > parts/$i; done
    deps: [raw.txt, stamp.txt]
    params: [case]
    outs: [parts]
  shape:
    foreach: [a, b]
    do:
      cmd: sed s/$/${item}/ parts/1 > shape-${item}.txt; echo $$ >> $PIDS
      deps: [parts]
      outs:
        - shape-${item}.txt
  train:
    cmd: cat shape-*.txt > model.bin; echo '{"score":1}' > metrics.json; echo "x" > log.csv
    deps: [shape-a.txt, shape-b.txt]
    outs: [model.bin]
    metrics: [{metrics.json: {cache: false}}]
    plots: [{log.csv: {cache: false}}]
  plain:
    cmd: cp metrics.json copy.json
    deps: [metrics.json]
    outs: [{copy.json: {cache: false}}]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("dask")) as cluster:
        cluster.grow("one", "two")
        yield cluster


@pytest.fixture(scope="module")
def executor(cluster: Cluster) -> Iterator[DaskExecutor]:
    found = connect(ExecutorConfig(address=cluster.address), progress=Heard())
    yield found
    found.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project.create(tmp_path / "driver").write(
        dvc__yaml=PIPELINE.replace("$PIDS", str(tmp_path / "pids")),
        raw__txt="raw\n",
        params__yaml="case: upper\n",
    )
    project.add_remote(tmp_path / "remote")
    project.commit()
    return project


def run(
    project: Project, executor: DaskExecutor, options: RunOptions | None = None
) -> dict[str, StageRun]:
    project.heard = Heard()
    options = replace(options or RunOptions(), pull=True)
    runs = project.pipeline.run([], options, progress=project.heard, executor=executor)
    return {run.name: run for run in runs}


def statuses(runs: dict[str, StageRun]) -> set[str]:
    """Return what came of the stages, with the reason where one failed."""
    return {
        run.log_tail if run.status is StageStatus.FAILED else run.status.value
        for run in runs.values()
    }


def test_the_result_is_that_of_dvc_repro(
    project: Project, executor: DaskExecutor, tmp_path: Path
) -> None:
    reference = project.copy(tmp_path / "reference")
    assert reference.repro()
    runs = run(project, executor)
    assert statuses(runs) == {"ran"}
    assert project.tree() == reference.tree()
    assert runs["shape@a"].log_tail.startswith("> sed s/")
    assert "stamp runs here: it has no dependencies." in project.heard.notes
    assert "plain runs here: copy.json is not cached." in project.heard.notes
    assert statuses(run(project, executor)) == {"unchanged"}
    # Nothing but the remote is needed to have it all elsewhere.
    project.write(raw__txt="other\n")
    reference.write(raw__txt="other\n")
    assert statuses(run(project, executor)) == {"ran", "unchanged"}
    assert reference.repro()
    assert project.tree() == reference.tree()


def test_what_a_dirty_work_tree_changes_is_what_runs(
    project: Project, executor: DaskExecutor, tmp_path: Path
) -> None:
    project.write(script__py="print(open('raw.txt').read(), open('new.txt').read())\n")
    project.write(new__txt="new\n", raw__txt="changed\n")
    project.write(
        dvc__yaml="stages: {a: {cmd: python script.py > out.txt, "
        "deps: [script.py, raw.txt, new.txt], outs: [out.txt]}}\n"
    )
    assert statuses(run(project, executor)) == {"ran"}
    assert project.read("out.txt") == "changed\n new\n\n"


def test_commits_are_fetched_from_the_git_remote(
    project: Project, executor: DaskExecutor, tmp_path: Path, cluster: Cluster
) -> None:
    upstream = tmp_path / "upstream.git"
    git(tmp_path, "init", "--quiet", "--bare", str(upstream))
    git(project.root, "remote", "add", "origin", str(upstream))
    git(project.root, "push", "--quiet", "origin", "HEAD:main")
    pipeline = DvcPipeline(project.root, environment=project.environment, git_url="../upstream.git")
    options = RunOptions(pull=True)
    runs = pipeline.run(["prepare"], options, progress=project.heard, executor=executor)
    assert {run.status for run in runs} == {StageStatus.RAN}
    head = (project.root / ".git/refs/heads/main").read_text().strip()
    assert head in {(clone / ".git/HEAD").read_text().strip() for clone in cluster.clones()}


def test_a_stage_that_fails_is_told_with_its_log(project: Project, executor: DaskExecutor) -> None:
    project.write(
        dvc__yaml="stages: {bad: {cmd: echo why; exit 3, deps: [raw.txt], outs: [x]}, "
        "after: {cmd: cp x y, deps: [x], outs: [y]}}\n"
    )
    runs = run(project, executor)
    assert runs["bad"].status is StageStatus.FAILED
    assert runs["bad"].exit_code == 3
    assert runs["bad"].log_tail.splitlines()[1:] == ["why"]
    assert "why\n" in project.heard.output
    assert runs["after"].status is StageStatus.NOT_RUN


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """The URL of a DVC remote over HTTP that asks for a password."""
    folder = tmp_path / "guarded"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Guarded, folder)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Guarded(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, *args: Any) -> None:
        self.folder = folder
        super().__init__(*args)

    def do_GET(self) -> None:
        path = self.folder / self.path.strip("/").replace("/", "_")
        self.answer(path.read_bytes() if path.is_file() else None)

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        data = b""
        while size := int(self.rfile.readline(), 16):  # it comes in chunks
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        if self.is_let_in:
            (self.folder / self.path.strip("/").replace("/", "_")).write_bytes(data)
        self.answer(b"")

    @property
    def is_let_in(self) -> bool:
        return self.headers.get("Authorization") == "Basic " + b64encode(b"me:secret").decode()

    def answer(self, body: bytes | None) -> None:
        self.send_response(401 if not self.is_let_in else 404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"") if self.is_let_in else 0))
        self.end_headers()
        if self.command != "HEAD" and self.is_let_in:
            self.wfile.write(body or b"")

    def log_message(self, *args: object) -> None: ...


@pytest.mark.filterwarnings("ignore:The 'auth' parameter:DeprecationWarning")
def test_credentials_stay_here_unless_they_are_to_be_shared(
    project: Project, executor: DaskExecutor, guarded: str
) -> None:
    project.write(dvc__yaml="stages: {a: {cmd: cp raw.txt x, deps: [raw.txt], outs: [x]}}\n")
    project.add_remote(guarded)
    project.commit()
    project.put(
        ".dvc/config.local",
        '[remote "store"]\nauth = basic\nuser = me\npassword = secret\nmethod = PUT\n',
    )
    runs = run(project, executor)
    assert runs["a"].status is StageStatus.FAILED
    assert f"the DVC remote store ({guarded})" in runs["a"].log_tail
    assert "Check its URL and this job's credentials" in runs["a"].log_tail
    assert "secret" not in runs["a"].log_tail
    executor.share_credentials = True
    try:
        assert statuses(run(project, executor)) == {"ran"}
    finally:
        executor.share_credentials = False


def test_a_lost_worker_costs_nothing_but_time(
    project: Project, cluster: Cluster, executor: DaskExecutor, tmp_path: Path
) -> None:
    pids = tmp_path / "workers"
    project.write(
        dvc__yaml=f"stages: {{slow: {{cmd: 'echo $PPID >> {pids}; "
        f"test $(wc -l < {pids}) = 2 || sleep 60; cp raw.txt x', "
        "deps: [raw.txt], outs: [x]}}\n"
    )
    results: list[dict[str, StageRun]] = []
    thread = threading.Thread(target=lambda: results.append(run(project, executor)))
    thread.start()
    victim = cluster.name_of(int(wait_until(pids)))
    cluster.kill(victim)
    thread.join(200)
    assert results[0]["slow"].status is StageStatus.RAN
    assert len(pids.read_text().split()) == 2
    assert project.read("x") == "raw\n"
    cluster.grow(f"{victim}-again")


def test_a_halt_ends_the_stage_where_it_runs(
    project: Project, cluster: Cluster, executor: DaskExecutor, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    project.write(
        dvc__yaml=f"stages: {{slow: {{cmd: 'echo $$ > {pid}; sleep 600', deps: [raw.txt], "
        "outs: [x]}}\n"
    )
    script = (
        "from modelci.__main__ import main; import sys; "
        f"sys.argv = ['modelci', 'run', '--executor', 'dask', '--address', '{cluster.address}'];"
        "main()"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", script], cwd=project.root, stderr=subprocess.PIPE
    )
    number = int(wait_until(pid))
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=100)
    assert driver.returncode == 130, said
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_driver_that_is_killed_leaves_nothing_running(
    project: Project, cluster: Cluster, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    project.write(
        dvc__yaml=f"stages: {{slow: {{cmd: 'echo $$ > {pid}; sleep 600', deps: [raw.txt], "
        "outs: [x]}}\n"
    )
    driver = subprocess.Popen(
        f"{sys.executable} -m modelci -q run --executor dask --address {cluster.address}".split(),
        cwd=project.root,
    )
    number = int(wait_until(pid))
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 100
    while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{number}").exists()


def test_needs_are_held_against_what_workers_have(
    project: Project, cluster: Cluster, executor: DaskExecutor
) -> None:
    cluster.grow("big", resources="gpu=1")
    project.write(
        dvc__yaml="stages: {a: {cmd: pwd > x, deps: [raw.txt], outs: [x], "
        "meta: {modelci: {gpu: 1}}}}\n"
    )
    assert statuses(run(project, executor)) == {"ran"}
    assert "/big/" in project.read("x")


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_named(project: Project, tiny: Path) -> None:
    project.write(
        dvc__yaml="stages: {a: {cmd: head -c 3000000 /dev/urandom > x, deps: [raw.txt], "
        "outs: [x]}}\n"
    )
    with Cluster(tiny.parent) as cluster:
        cluster.grow("tiny")
        with contextlib.closing(
            connect(ExecutorConfig(address=cluster.address), progress=Heard())
        ) as executor:
            runs = run(project, executor)
    assert runs["a"].status is StageStatus.FAILED
    assert "The disk is full" in runs["a"].log_tail


def test_no_scheduler_is_said() -> None:
    with pytest.raises(PipelineError, match=r"No Dask workers could be had from tcp://127\.0"):
        connect(ExecutorConfig(address="tcp://127.0.0.1:9", wait_seconds=1), progress=Heard())


@pytest.mark.parametrize("address", ["scheduler", "http://scheduler:8786", "tls://127.0.0.1:9"])
def test_an_address_that_dask_cannot_use_is_named(address: str) -> None:
    with pytest.raises(ConfigError, match=f"Dask cannot use {address}: ") as caught:
        connect(ExecutorConfig(address=address, wait_seconds=1), progress=Heard())
    assert "tcp://HOST:PORT" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["no.such.Cluster", "distributed.NoCluster", "bare"])
def test_a_cluster_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no '{name}'"):
        connect(ExecutorConfig(cluster=name), progress=Heard())


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[dict[str, object]]:
    """How to connect to an SSH server on loopback."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    script = str(Path(__file__).with_name("sshd.py"))
    with subprocess.Popen(
        [sys.executable, script, str(folder)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield {
            "port": int(server.stdout.readline()),
            "username": "anyone",
            "known_hosts": None,
            "client_keys": [str(folder / "key")],
        }
        server.kill()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:asyncssh")
def test_machines_are_reached_by_ssh(
    project: Project, ssh: dict[str, object], tmp_path: Path
) -> None:
    settings = ExecutorConfig(
        cluster="distributed.SSHCluster",
        arguments={
            "hosts": ["127.0.0.1", "127.0.0.1"],
            "connect_options": ssh,
            "worker_options": {"nthreads": 1, "local_directory": str(tmp_path / "remote-machine")},
            "scheduler_options": {"port": 0, "dashboard": False},
        },
    )
    project.write(dvc__yaml="stages: {a: {cmd: pwd > x, deps: [raw.txt], outs: [x]}}\n")
    with contextlib.closing(connect(settings, progress=Heard())) as executor:
        assert statuses(run(project, executor)) == {"ran"}
    assert "/remote-machine/" in project.read("x")


def test_a_cluster_of_ones_own_is_started_and_stopped(project: Project, tmp_path: Path) -> None:
    arguments = {
        "threads_per_worker": 1,
        "n_workers": 1,
        "dashboard_address": ":0",
        "local_directory": str(tmp_path / "own"),
    }
    executor = connect(ExecutorConfig(arguments=arguments), progress=Heard())
    with contextlib.closing(executor):
        assert executor.slots == 1
        assert statuses(run(project, executor)) == {"ran"}
