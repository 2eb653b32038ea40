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
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.progress import RecordedProgress
from tests.integration.imageworld import free_port, need_tools, running, running_registry

from modelci.adapters.targets.image import ImageTarget, connect
from modelci.adapters.targets.settings import TargetSettings
from modelci.config.model import ImageTargetConfig, TargetConfig, TargetKind
from modelci.documents import codec
from modelci.domain.deployment import Release, ReleaseFile
from modelci.domain.golden import Golden
from modelci.domain.modelfiles import Trust
from modelci.modelfiles.record import RecordOptions, record_golden

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
        if path.is_file() and not _LEFT_OUT & set(path.parts):
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


def make_release(folder: Path) -> Release:
    import numpy as np
    import pandas as pd
    import skops.io
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(7)
    rows = pd.DataFrame({"income": rng.normal(size=200), "debt": rng.normal(size=200)})
    model = LogisticRegression().fit(rows, (rows["income"] > rows["debt"]).astype(int))
    (folder / "model").mkdir(parents=True)
    skops.io.dump(model, folder / "model/credit.skops")
    golden = record_golden(
        folder / "model/credit.skops", rows, trust=Trust(), options=RecordOptions(rows=5)
    )
    codec.write(golden, folder / "golden.json")
    files = []
    for path in ("model/credit.skops", "golden.json"):
        data = (folder / path).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        files.append(ReleaseFile(path=path, sha256=digest, bytes=len(data)))
    return Release(
        id="v1.0.0-0123456789ab",
        artifact="credit",
        version="v1.0.0",
        commit="c" * 40,
        model="model/credit.skops",
        files=tuple(files),
        golden="golden.json",
        flavour=golden.flavour,
        environment=golden.environment,
    )


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
            deadline = time.monotonic() + 120
            while not is_ready(port):
                is_running = process.poll() is None and time.monotonic() < deadline
                assert is_running, (root.parent / "server.log").read_text(encoding="utf-8")
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            code = process.wait(30)
    assert code == 0, (root.parent / "server.log").read_text(encoding="utf-8")


def ask(port: int, path: str, document: object = None) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
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


def test_the_image_that_was_pushed_answers_as_the_model_did(tmp_path: Path) -> None:
    need_tools()
    release = make_release(tmp_path / "release")
    with running_registry(tmp_path / "registry") as registry:
        repository = f"127.0.0.1:{registry.port}/models/credit"
        target = make_target(tmp_path, repository)
        with target.lock():
            target.stage(release, tmp_path / "release", python=None)
            health = target.check(release, latency_ms=1000)
            assert health.ok, health.problems
            assert health.rows == 5
            target.switch(running(release))
        layout = tmp_path / "pulled"
        insecure = "--src-tls-verify=false"
        source, there = f"docker://{repository}:prod", f"oci:{layout}:it"
        subprocess.run(["skopeo", "copy", "--quiet", insecure, source, there], check=True)
        said = subprocess.run(
            ["skopeo", "inspect", "--config", "--raw", there], check=True, capture_output=True
        )
        unpack = ("umoci", "unpack", "--image", f"{layout}:it", str(tmp_path / "bundle"))
        subprocess.run(unpack, check=True, capture_output=True)
    golden = codec.read(Golden, tmp_path / "release/golden.json")
    with started(tmp_path / "bundle/rootfs", json.loads(said.stdout)["config"]) as port:
        rows = [dict(row) for row in golden.requests]
        status, answer = ask(port, "/predict", rows)
    assert status == 200, answer
    found = [one["score"] for one in answer["predictions"]]
    wanted = [one["score"] for one in golden.responses]
    assert found == pytest.approx(wanted, abs=golden.tolerance)


def make_target(folder: Path, repository: str) -> ImageTarget:
    image = ImageTargetConfig(
        repository=repository, base=make_python_base(folder / "base"), insecure=True
    )
    config = TargetConfig(kind=TargetKind.IMAGE, stages=("prod",), image=image)
    return connect(
        TargetSettings(
            name="registry",
            config=config,
            root=folder,
            progress=RecordedProgress(),
            environment=dict(os.environ),
            bare={name: os.environ[name] for name in ("PATH", "HOME")},
        )
    )
