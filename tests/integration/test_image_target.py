"""The target ``image`` against a real registry: what is pushed, switched, checked, and survived."""

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.imageworld import (
    ARTIFACT,
    PASSWORD,
    RECORDED,
    USER,
    FailingTools,
    Registry,
    World,
    add_package,
    cut_after,
    make_base,
    make_python,
    need_tools,
    running,
    running_registry,
)

from modelci.adapters.targets.oci.assembly import blob_path, find_damage
from modelci.adapters.targets.tools import Tools
from modelci.documents import codec
from modelci.domain.deployment import Release, TargetState
from modelci.errors import DeploymentError, TargetBusyError

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Give a world in which the packages were packed already, as they are on the second day."""
    need_tools()
    top = tmp_path_factory.mktemp("shop")
    with running_registry(top / "registry") as registry:
        world = World(
            folder=top / "machine",
            at=f"127.0.0.1:{registry.port}",
            python=make_python(top / "python"),
            base=make_base(top / "bases"),
        )
        world.stage("seed")
    return replace(world, seed=world.settings.path / "layout")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with running_registry(tmp_path / "registry") as one:
        yield one


@pytest.fixture
def world(shop: World, registry: Registry, tmp_path: Path) -> World:
    folder = tmp_path / "machine"
    folder.mkdir()
    return replace(shop, folder=folder, at=f"127.0.0.1:{registry.port}").elsewhere("first")


def test_what_the_registry_gives_back_is_what_was_made_byte_for_byte(
    world: World, tmp_path: Path
) -> None:
    release = world.stage("a")
    pulled = tmp_path / "pulled"
    source = f"docker://{world.at}/models/credit:{release.id}"
    world.tools.run(
        [
            "skopeo",
            "copy",
            "--src-tls-verify=false",
            "--preserve-digests",
            source,
            f"oci:{pulled}:x",
        ]
    )
    made = world.settings.path / "layout/blobs/sha256"
    blobs = {one.name: one.read_bytes() for one in (pulled / "blobs/sha256").iterdir()}
    assert len(blobs) == 5  # manifest, configuration, base, packages, release
    assert blobs == {name: (made / name).read_bytes() for name in blobs}


def test_the_same_release_has_the_same_digest_wherever_it_is_made(
    shop: World, registry: Registry, tmp_path: Path
) -> None:
    fresh = replace(shop, seed=None, at=f"127.0.0.1:{registry.port}")
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        machine = replace(
            fresh, folder=tmp_path / name / "machine", repository=f"models/{name}-{{artifact}}"
        )
        # Another interpreter with the same packages, installed later and by somebody else.
        machine = replace(machine, python=make_python(tmp_path / name / "python"))
        release = machine.stage("a")
        digests.add(machine.digest(release.id))
    assert len(digests) == 1


def test_an_image_says_what_it_is_and_how_it_starts(world: World) -> None:
    release = world.stage("a")
    config = json.loads(world.inspect(release.id, "--config"))
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == "v1.0.0"
    assert labels["org.opencontainers.image.revision"] == release.commit
    assert labels["org.opencontainers.image.base.name"] == world.base
    assert labels["modelci.tag"] == "credit@v1.0.0"
    assert world.target().release(ARTIFACT, release.id) == release
    assert config["config"]["Entrypoint"][:4] == ["python3", "-m", "modelci.serving", "run"]
    assert "Cmd" not in config["config"]
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["ExposedPorts"] == {"8080/tcp": {}}
    variables = dict(one.split("=", 1) for one in config["config"]["Env"])
    assert variables["PYTHON_VERSION"] == RECORDED.python  # the base's own
    assert variables["PYTHONPATH"] == "/opt/modelci"
    assert variables["OMP_NUM_THREADS"] == "1"
    assert config["created"] == "1970-01-01T00:00:00Z"


def test_an_image_holds_the_packages_that_are_needed_and_nothing_of_this_machine(
    world: World, tmp_path: Path
) -> None:
    release = world.stage("a")
    root = tmp_path / "root"
    layout = world.settings.path / "layout"
    subprocess.run(
        ["umoci", "raw", "unpack", "--rootless", "--image", f"{layout}:{release.id}", str(root)],
        check=True,
        capture_output=True,
    )
    top = root / "opt/modelci"
    names = {one.name for one in top.iterdir()}
    assert {"modelci", "thing", "other", "numpy", "uvicorn", "packaging"} <= names
    assert "unasked" not in names
    assert sorted(one.name for one in (top / "thing-1.2.3.dist-info").iterdir()) == ["METADATA"]
    assert list(top.rglob("thing/__pycache__/*.pyc"))
    here = str(world.python.parent.parent).encode()
    assert not [one for one in top.rglob("*") if one.is_file() and here in one.read_bytes()]
    assert codec.read(Release, root / "release/release.json") == release
    assert (root / "release" / release.model).read_bytes() == b"a" * 1000


def test_a_switch_moves_the_tags_and_every_machine_can_tell(world: World) -> None:
    release = world.deploy("a")
    digest = world.digest(release.id)
    assert world.digest("prod") == world.digest("v1.0.0") == digest
    state = world.elsewhere("second").target().read(ARTIFACT)
    told = replace(running(release), image=f"{world.at}/models/credit@{digest}")
    assert state == TargetState(running=told, staged=(release.id,), history=(told,))
    assert world.target().artifacts() == (ARTIFACT,)


def test_nothing_is_known_of_a_repository_that_is_new(world: World) -> None:
    assert world.target().read(ARTIFACT) == TargetState()
    assert world.target().artifacts() == ()
    assert world.target().release(ARTIFACT, "v1.0.0-0123456789ab") is None


def test_going_back_moves_a_tag_and_makes_nothing(world: World) -> None:
    first = world.deploy("a")
    before = world.digest("prod")
    second = world.deploy("b", number=2)
    assert world.digest("prod") != before
    runner = world.elsewhere("runner")
    tools = FailingTools(environment=runner.environment, timeout_seconds=200, words=[])
    runner.target(tools).switch(running(first, 3, reason="rollback"))
    assert world.digest("prod") == before
    # The note alone was made; of the release's image nothing is moved but its tag.
    assert not [line for line in tools.ran if "layout:v1.0.0" in line or "raw add-layer" in line][
        1:
    ]
    state = world.target().read(ARTIFACT)
    assert [one.release for one in state.history] == [first.id, second.id, first.id]
    assert (state.previous and state.previous.release) == second.id


def test_what_is_known_better_of_the_release_that_runs_is_no_other_switch(world: World) -> None:
    release = world.deploy("a")
    target = world.target()
    target.switch(running(release, settled=True))
    target.switch(running(release, settled=True))
    state = target.read(ARTIFACT)
    assert state.running
    assert state.running.settled
    assert len(state.history) == 1


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["copy", "oci:", ":modelci.prod"], id="before-it-is-told"),
        pytest.param(["copy", "@sha256", ":v1.0.0"], id="before-the-version-is-tagged"),
        pytest.param(["copy", "@sha256", ":prod"], id="before-the-stage-is-tagged"),
    ],
)
def test_a_switch_that_was_cut_short_was_none_and_can_be_done_again(
    world: World, words: list[str]
) -> None:
    first = world.deploy("a")
    second = world.stage("b")
    tools = FailingTools(environment=world.environment, timeout_seconds=200, words=words)
    with pytest.raises(DeploymentError, match="was switched off"):
        world.target(tools).switch(running(second, 2))
    state = world.elsewhere("second").target().read(ARTIFACT)
    assert state.running
    assert state.running.release == first.id
    assert world.digest("prod") == world.digest(first.id)
    world.target().switch(running(second, 2))
    state = world.target().read(ARTIFACT)
    assert [one.release for one in state.history] == [second.id, first.id]


def test_a_release_that_was_never_staged_is_not_switched_to(world: World) -> None:
    release = world.release("a")
    with pytest.raises(DeploymentError, match=r"has no image of v1\.0\.0"):
        world.target().switch(running(release))


def test_a_tag_that_somebody_else_moved_is_not_what_was_deployed(world: World) -> None:
    world.deploy("a")
    other = world.stage("b")
    source = f"docker://{world.at}/models/credit"
    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    world.tools.run(["skopeo", "copy", *insecure, f"{source}:{other.id}", f"{source}:prod"])
    state = world.target().read(ARTIFACT)
    assert state.running is None
    assert "modelci did not put there" in world.progress.warnings[0]


# -- checking -------------------------------------------------------------------------------------


def test_a_check_looks_at_what_the_registry_serves_in_a_python_that_has_the_image(
    world: World,
) -> None:
    release = world.stage("a")
    runner = world.elsewhere("runner")
    assert runner.target().check(release, latency_ms=None).ok
    ((folder, python),) = runner.probe.asked
    assert (folder / release.model).read_bytes() == b"a" * 1000
    assert python is not None
    code = "import modelci, thing, sys; print(modelci.__file__, thing.__file__)"
    said = subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True)
    files = [Path(one) for one in said.stdout.split()]
    assert all(one.is_relative_to(runner.settings.path) for one in files)


@pytest.mark.parametrize("what", ["layer", "config", "manifest", "gone"])
def test_bytes_that_the_registry_has_changed_or_lost_are_found(
    world: World, registry: Registry, what: str
) -> None:
    release = world.stage("a")
    manifest = json.loads(world.inspect(release.id))
    digests = {
        "layer": manifest["layers"][-1]["digest"],
        "gone": manifest["layers"][1]["digest"],
        "config": manifest["config"]["digest"],
        "manifest": world.digest(release.id),
    }
    blob = registry.blob(digests[what])
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.unlink() if what == "gone" else blob.write_bytes(data)
    target = world.target()
    if what == "manifest":
        # docker-registry does not even serve a manifest that it cannot read back.
        with pytest.raises(DeploymentError, match="skopeo could not"):
            target.check(release, latency_ms=None)
        return
    health = target.check(release, latency_ms=None)
    assert not health.ok
    assert "serves other bytes than were pushed" in health.problems[0]
    assert not world.probe.asked


def test_an_image_under_the_tag_of_another_release_is_found(world: World) -> None:
    first, second = world.stage("a"), world.stage("b")
    source = f"docker://{world.at}/models/credit"
    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    world.tools.run(["skopeo", "copy", *insecure, f"{source}:{second.id}", f"{source}:{first.id}"])
    health = world.target().check(first, latency_ms=None)
    assert health.problems == (f"the image of {first.id} has other files than the release names",)
    assert world.target().release(ARTIFACT, first.id) is None


def test_a_release_without_an_image_is_not_healthy(world: World) -> None:
    health = world.target().check(world.release("a"), latency_ms=None)
    assert health.problems[0].endswith(f"has no image of {world.release('a').id}")


# -- faults ---------------------------------------------------------------------------------------


def test_a_registry_that_is_down_is_told_and_found_again(world: World, registry: Registry) -> None:
    registry.stop()
    release = world.release("a")
    with pytest.raises(DeploymentError, match="connection refused") as caught:
        world.target().stage(release, world.path("a"), python=None)
    assert "Is the registry up" in (caught.value.hint or "")
    with pytest.raises(DeploymentError, match="connection refused"):
        world.target().read(ARTIFACT)
    registry.start()
    world.target().stage(release, world.path("a"), python=None)
    world.target().switch(running(release))
    assert world.digest("prod") == world.digest(release.id)


def test_a_push_that_was_cut_leaves_no_image_and_is_taken_up(
    world: World, registry: Registry
) -> None:
    with cut_after(registry.port, 200_000) as (port, is_well):
        far = replace(world, at=f"127.0.0.1:{port}")
        release = far.release("a")
        with pytest.raises(DeploymentError, match="skopeo could not push"):
            far.target().stage(release, far.path("a"), python=None)
        assert world.target().read(ARTIFACT).staged == ()
        is_well.set()
        far.target().stage(release, far.path("a"), python=None)
        assert far.target().check(release, latency_ms=None).ok
    assert world.target().read(ARTIFACT).staged == (release.id,)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["umoci", "config"], id="settings"),
        pytest.param(["umoci", "add-layer", "release.tar"], id="layer"),
        pytest.param(["skopeo", "copy", "docker://"], id="push"),
    ],
)
def test_a_stage_that_was_cut_short_is_none_and_can_be_done_again(
    world: World, words: list[str]
) -> None:
    release = world.release("a")
    tools = FailingTools(environment=world.environment, timeout_seconds=200, words=words)
    with pytest.raises(DeploymentError, match="was switched off"):
        world.target(tools).stage(release, world.path("a"), python=None)
    assert world.target().read(ARTIFACT).staged == ()
    world.target().stage(release, world.path("a"), python=None)
    assert world.target().check(release, latency_ms=None).ok


def test_who_may_not_push_is_told_to_log_in_and_no_secret_is_shown(
    shop: World, tmp_path: Path
) -> None:
    with running_registry(tmp_path / "closed", needs_login=True) as registry:
        folder = tmp_path / "outsider"
        folder.mkdir()
        world = replace(shop, folder=folder, at=f"127.0.0.1:{registry.port}")
        release = world.release("a")
        with pytest.raises(DeploymentError, match=r"authentication|unauthorized") as caught:
            world.target().stage(release, world.path("a"), python=None)
        assert f"skopeo login 127.0.0.1:{registry.port}" in (caught.value.hint or "")

        file = tmp_path / "auth.json"
        environment = {**world.environment, "REGISTRY_AUTH_FILE": str(file)}
        world = replace(world, environment=environment)
        file.write_text(_auth(world.at, "wrong"), encoding="utf-8")
        with pytest.raises(DeploymentError) as caught:
            world.target().stage(release, world.path("a"), python=None)
        assert "wrong" not in f"{caught.value} {caught.value.hint}"

        file.write_text(_auth(world.at, PASSWORD), encoding="utf-8")
        tools = FailingTools(environment=environment, timeout_seconds=200, words=[])
        target = world.target(tools)
        target.stage(release, world.path("a"), python=None)
        target.switch(running(release))
        said = " ".join([*tools.ran, *world.progress.notes, *world.progress.warnings, repr(tools)])
        assert PASSWORD not in said
        assert base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode() not in said


def _auth(host: str, password: str) -> str:
    value = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return json.dumps({"auths": {host: {"auth": value}}})


def test_a_registry_without_tls_is_spoken_to_only_when_that_is_said(world: World) -> None:
    world = replace(world, insecure=False)
    with pytest.raises(DeploymentError) as caught:
        world.target().read(ARTIFACT)
    assert "insecure: true" in (caught.value.hint or "")


def test_tools_that_are_not_there_are_named(world: World, tmp_path: Path) -> None:
    tools = Tools(environment={"PATH": str(tmp_path)}, timeout_seconds=200)
    with pytest.raises(DeploymentError, match="skopeo is not installed") as caught:
        world.target(tools).read(ARTIFACT)
    assert "apt-get install skopeo" in (caught.value.hint or "")


def test_what_a_crash_has_left_half_written_here_is_made_anew(world: World) -> None:
    first = world.stage("a")
    layout = world.settings.path / "layout"
    manifest = json.loads(world.inspect(first.id))
    digest = world.digest(first.id)
    packages = blob_path(layout, manifest["layers"][1]["digest"])
    packages.chmod(0o644)
    packages.write_bytes(packages.read_bytes()[:100])
    assert find_damage(layout, digest) == (f"layer 2 of 3 ({manifest['layers'][1]['digest']})",)
    second = world.stage("b")
    assert json.loads(world.inspect(second.id))["layers"][1] == manifest["layers"][1]
    assert world.target().check(second, latency_ms=None).ok


def test_somebody_who_deploys_now_keeps_others_out(world: World) -> None:
    with world.target().lock(), pytest.raises(TargetBusyError), world.target().lock():
        pass


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "shadow"), [(0.1, False), (0.0, True)])
def test_traffic_is_not_divided(world: World, share: float, shadow: bool) -> None:
    with pytest.raises(DeploymentError, match="divides no traffic") as caught:
        world.target().try_out(world.release("a"), share=share, shadow=shadow)
    assert "kind server" in (caught.value.hint or "")
    world.target().try_out(world.release("a"), share=0, shadow=False)


def test_a_repository_is_one_artifacts_alone(world: World) -> None:
    world = replace(world, repository="models/all")
    world.deploy("a")
    assert world.target().artifacts() == (ARTIFACT,)
    with pytest.raises(DeploymentError, match="holds images of credit, and not of scores"):
        world.stage("b", artifact="scores")


def test_artifacts_with_a_repository_each_do_not_meet(world: World) -> None:
    one, other = world.deploy("a"), world.deploy("b", artifact="scores")
    target = world.target()
    assert target.artifacts() == (ARTIFACT, "scores")
    assert target.read(ARTIFACT).staged == (one.id,)
    assert target.read("scores").staged == (other.id,)


def test_other_bytes_than_the_release_names_are_not_pushed(world: World) -> None:
    release = world.release("a")
    (world.path("a") / release.model).write_bytes(b"b" * 1000)
    with pytest.raises(DeploymentError, match="has other bytes than release"):
        world.target().stage(release, world.path("a"), python=None)
    assert world.target().read(ARTIFACT).staged == ()


def test_a_model_that_says_not_what_it_needs_gets_no_image(world: World) -> None:
    release = world.release("a", environment=None)
    with pytest.raises(DeploymentError, match="has no golden requests"):
        world.target().stage(release, world.path("a"), python=None)


@pytest.mark.parametrize(
    ("needs", "says"),
    [(("thing", "absent"), "lacks absent"), (("edited",), "edited cannot be put into an image")],
)
def test_packages_that_cannot_be_packed_are_named(
    world: World, tmp_path: Path, needs: tuple[str, ...], says: str
) -> None:
    python = make_python(tmp_path / "python")
    (site,) = (tmp_path / "python").glob("lib/python*/site-packages")
    add_package(
        site, "edited", "1.0", direct_url='{"url": "file:///x", "dir_info": {"editable": true}}'
    )
    world = replace(world, python=python)
    recorded = replace(RECORDED, packages={**RECORDED.packages, "edited": "1.0"}, needs=needs)
    release = world.release("a", environment=recorded)
    with pytest.raises(DeploymentError, match=says):
        world.target().stage(release, world.path("a"), python=None)


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ({"python": "3.8.1"}, r"has Python 3\.8\.1, and the packages are for"),
        ({"machine": "riscv64"}, "is for riscv64, and this machine's packages are for"),
    ],
)
def test_a_base_that_the_packages_do_not_fit_is_refused(
    world: World, tmp_path: Path, base: dict[str, str], says: str
) -> None:
    world = replace(world, base=make_base(tmp_path / "other", **base))
    release = world.release("a")
    with pytest.raises(DeploymentError, match=says):
        world.target().stage(release, world.path("a"), python=None)


def test_a_base_that_is_not_there_is_named(world: World) -> None:
    world = replace(world, base="oci:nowhere:it")
    release = world.release("a")
    with pytest.raises(DeploymentError, match="The base image cannot be had"):
        world.target().stage(release, world.path("a"), python=None)


# -- tidying up -----------------------------------------------------------------------------------


def test_this_machine_keeps_what_may_be_asked_and_the_registry_everything(world: World) -> None:
    releases = [world.deploy(name, number=n) for n, name in enumerate("abc", start=1)]
    target = world.target()
    assert target.check(releases[2], latency_ms=None).ok
    assert target.prune(ARTIFACT, keep=1) == ()
    index = json.loads((world.settings.path / "layout/index.json").read_text())
    names = [one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]]
    assert {one for one in names if one.startswith("v")} == {releases[1].id, releases[2].id}
    assert {one.partition("-")[0] for one in names} == {"base", "packages", "v1.0.0"}
    assert set(target.read(ARTIFACT).staged) == {one.id for one in releases}
    # The packages are still there: nothing but the release is made.
    tools = FailingTools(environment=world.environment, timeout_seconds=200, words=[])
    release = world.release("d")
    world.target(tools).stage(release, world.path("d"), python=None)
    assert len([line for line in tools.ran if "add-layer" in line]) == 1


def test_a_registry_that_deletes_nothing_says_so(world: World, registry: Registry) -> None:
    registry.stop()
    registry.deletes = False
    registry.start()
    world = replace(world, image={"prune": True})
    for number, name in enumerate("abc", start=1):
        world.deploy(name, number=number)
    with pytest.raises(DeploymentError, match="skopeo could not delete") as caught:
        world.target().prune(ARTIFACT, keep=1)
    assert "lets nobody do that" in (caught.value.hint or "")
    assert len(world.target().read(ARTIFACT).staged) == 3


def test_the_registry_is_pruned_where_that_is_said_but_never_what_runs(world: World) -> None:
    world = replace(world, image={"prune": True})
    releases = [world.deploy(name, number=n) for n, name in enumerate("abcd", start=1)]
    target = world.target()
    assert set(target.prune(ARTIFACT, keep=1)) == {releases[0].id, releases[1].id}
    assert set(target.read(ARTIFACT).staged) == {releases[2].id, releases[3].id}
    assert world.digest("prod") == world.digest(releases[3].id)
    assert target.check(releases[2], latency_ms=None).ok
