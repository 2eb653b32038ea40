"""A model's image, from the files of a release to the answer of its server, without an engine.

The base is made of this machine's Python and the libraries that it and the packages load: what
``python:…-slim`` is elsewhere. What the registry serves is unpacked and started the way the image
says, as its user, with its variables, and with nothing but its own files.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.skew import Project, train
from tests.e2e.world import Checkout
from tests.fakes.ports import free_port
from tests.integration.imageworld import need_tools, running_registry

from modelci.documents import codec
from modelci.domain.golden import Golden

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="chroot is for root"),
]

CHROOT = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot"
_LEFT_OUT = {"site-packages", "test", "idlelib", "ensurepip", "__pycache__", "lib2to3", "tkinter"}


def make_python_base(folder: Path) -> str:
    """Make an image of this Python, and return how to name it as a base."""
    folder.mkdir()
    prefix = Path(sys.base_prefix)
    library = prefix / f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    program = Path(os.path.realpath(sys._base_executable))  # type: ignore[attr-defined]
    files = {program, *(_libraries([program]))}
    for path in library.rglob("*"):
        if path.is_file() and path.suffix != ".a" and not _LEFT_OUT & set(path.parts):
            files.add(path)
    modules = [one for one in files if one.suffix == ".so"]
    files |= _libraries(modules)
    files |= {Path(one) for one in _linked_by_packages()}
    archive = folder / "base.tar"
    with tarfile.open(archive, "w") as tar:
        for file in sorted(files):
            tar.add(file.resolve(), arcname=str(file).lstrip("/"))
        _add_link(tar, "usr/bin/python3", str(program))
        for name in ("tmp", "dev", "proc"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(info)
    version = ".".join(map(str, sys.version_info[:3]))
    image = ("--image", f"{folder / 'layout'}:python")
    for command in (
        ("init", "--layout", str(folder / "layout")),
        ("new", *image),
        ("config", *image, "--config.env=PATH=/usr/bin", f"--config.env=PYTHON_VERSION={version}"),
        ("raw", "add-layer", *image, str(archive)),
    ):
        subprocess.run(["umoci", *command], check=True, capture_output=True)
    return f"oci:{folder / 'layout'}:python"


def _libraries(files: list[Path]) -> set[Path]:
    """Return what the loader would load for these files, by the paths that it looks at."""
    said = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False)
    found = re.findall(r"(?:=>\s*|^\s+)(/\S+) \(0x", said.stdout, re.MULTILINE)
    return {Path(one) for one in found}


def _linked_by_packages() -> Iterator[str]:
    """Yield what wheels expect of a system."""
    names = "libstdc++.so.6 libgcc_s.so.1 libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1"
    for name in names.split():
        said = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True)
        yield from re.findall(rf"{re.escape(name)} .*=> (/\S+)", said.stdout)[:1]


def _add_link(tar: tarfile.TarFile, name: str, to: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, to
    tar.addfile(info)


@contextmanager
def started(root: Path, config: Mapping[str, Any]) -> Iterator[int]:
    """Start what an image starts, in its files; give the port that it listens at."""
    port = free_port()
    words = [*config["Entrypoint"]]
    words[words.index("--host") + 1] = "127.0.0.1"
    words[words.index("--port") + 1] = str(port)
    with (root.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [CHROOT, f"--userspec={config['User']}", str(root), *words],
            env=dict(one.split("=", 1) for one in config["Env"]),
            stdout=log,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + 300
            while not is_ready(port):
                is_running = process.poll() is None and time.monotonic() < deadline
                assert is_running, (root.parent / "server.log").read_text(encoding="utf-8")
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            code = process.wait(100)
    assert code == 0, (root.parent / "server.log").read_text(encoding="utf-8")


def ask(port: int, path: str, document: object = None) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        if document is None:
            connection.request("GET", path)
        else:
            body = json.dumps(document)
            connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    finally:
        connection.close()


def is_ready(port: int) -> bool:
    try:
        return ask(port, "/v2/health/ready")[0] == 200
    except (OSError, HTTPException):
        return False


def write_settings(project: Project, repository: str, base: str) -> None:
    image = {"repository": repository, "base": base, "insecure": True}
    target = {"kind": "image", "stages": ["prod"], "image": image}
    deploy = {"strategy": {"watch_seconds": 0}, "targets": {"registry": target}}
    text = json.dumps({"deploy": deploy, "models": {"credit": {"max_latency_ms": 2000}}})
    project.checkout.put({"modelci.yaml": text})


def digest_of(repository: str, tag: str) -> str:
    command = ("skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{repository}:{tag}")
    manifest = subprocess.run(command, check=True, capture_output=True).stdout
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def deploy(checkout: Checkout) -> dict[str, Any]:
    checkout.modelci("deploy", "credit#prod")
    document: dict[str, Any] = checkout.document("deployment")
    assert document["outcome"] == "deployed"
    return document


def test_a_tag_becomes_an_image_that_answers_as_the_model_did(tmp_path: Path) -> None:
    """And the next one, and back again from a machine that has never seen either."""
    need_tools()
    project = Project.create(tmp_path)
    first = train("logistic", tmp_path / "first")
    with running_registry(tmp_path / "registry") as registry:
        models = f"127.0.0.1:{registry.port}/models"
        repository, template = f"{models}/credit", f"{models}/{{artifact}}"
        base = make_python_base(tmp_path / "base")

        project.release(first, "v0.0.1")
        write_settings(project, template, base)
        document = deploy(project.checkout)
        assert document["health"]["rows"] == 8
        image = document["after"]["image"]
        assert image == f"{repository}@{digest_of(repository, 'prod')}"

        project.release(train("boosting", tmp_path / "second"), "v0.0.2")
        write_settings(project, template, base)
        assert deploy(project.checkout)["after"]["image"] != image

        for command in (
            ("tag", "-a", "-m", "back", "credit#prod#3", "credit@v0.0.1^{commit}"),
            ("push", "--tags", "--quiet", "origin"),
        ):
            project.checkout.git(*command)
        runner = clone(project, tmp_path / "runner")
        write_settings(runner, template, base)
        document = deploy(runner.checkout)
        assert "fetch" not in [one["kind"] for one in document["steps"]]
        assert document["after"]["image"] == image
        assert digest_of(repository, "prod") == digest_of(repository, "v0.0.1")
        (deployed,) = json.loads(runner.checkout.modelci("deployments", "--json").out)["deployed"]
        assert [one["version"] for one in deployed["state"]["history"]] == [
            *("v0.0.1", "v0.0.2", "v0.0.1"),
        ]
        config = unpack(repository, tmp_path / "bundle")
    golden = codec.decode(Golden, first.read("credit.golden.json"), source="the test")
    with started(tmp_path / "bundle/rootfs", config) as port:
        status, answer = ask(port, "/predict", [dict(row) for row in golden.requests])
    assert status == 200, answer
    found = [one["score"] for one in answer["predictions"]]
    wanted = [one["score"] for one in golden.responses]
    assert found == pytest.approx(wanted, abs=golden.tolerance)


def clone(project: Project, folder: Path) -> Project:
    """Clone as actions/checkout does: one commit and no tags."""
    project.checkout.git(
        "clone",
        "--quiet",
        "--no-tags",
        "--depth=1",
        "--branch=main",
        (project.checkout.folder.parent / "origin.git").as_uri(),
        str(folder),
    )
    return Project(checkout=replace(project.checkout, folder=folder))


def unpack(repository: str, bundle: Path) -> Mapping[str, Any]:
    """Pull what the stage's tag leads to, unpack it, and return how it is to be started."""
    image = f"{bundle.with_name('pulled')}:it"
    insecure = "--src-tls-verify=false"
    pull = ("skopeo", "copy", "--quiet", insecure, f"docker://{repository}:prod", f"oci:{image}")
    subprocess.run(pull, check=True)
    inspect = ("skopeo", "inspect", "--config", "--raw", f"oci:{image}")
    said = subprocess.run(inspect, check=True, capture_output=True).stdout
    subprocess.run(
        ["umoci", "unpack", "--image", image, str(bundle)], check=True, capture_output=True
    )
    config: Mapping[str, Any] = json.loads(said)["config"]
    return config
