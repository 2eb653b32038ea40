"""What `modelci serve NAME` means, and which files that takes."""

from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.snapshots import MODEL, FakeSnapshots, lock

from modelci.config.model import Config, ModelConfig, SafetyConfig
from modelci.domain.artifacts import Artifact
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import Holder
from modelci.errors import UsageError
from modelci.ports import FileTree, MissingDataError
from modelci.workflows.servable import Servable, find_servable, take_file

GOLDEN = "models/m.golden.json"


class Bringer:
    """Has the files that it is told of; a file's place tells which lock it came by."""

    def __init__(self, *has: str) -> None:
        self._has = has

    def __call__(self, tree: FileTree, path: str) -> Path:
        if path not in self._has:
            raise MissingDataError(f"{path} is not here.")
        which = tree.read(["dvc.lock"])["dvc.lock"].decode()
        return Path("/", "one" if '"one"' in which else "two", path)


@pytest.fixture
def git(tmp_path: Path) -> FakeGit:
    """Two versions of m, of which the older holds prod; the checkout has the newer."""
    remote = FakeRemote()
    old = remote.commit({"dvc.lock": lock("one")}, seconds=1)
    new = remote.commit({"dvc.lock": lock("two")}, seconds=2)
    found = FakeGit(tmp_path, remote)
    for number, (name, commit) in enumerate(
        [("m@v1.0.0", old), ("m@v1.1.0", new), ("m#prod#1", new), ("m#prod#2", old)]
    ):
        found.tag_objects[name] = PlannedTag(
            name=name, artifact="m", commit=commit, seconds=10 + number, subject="x"
        )
    return found


def find(
    git: FakeGit,
    name: str | None,
    *,
    has: tuple[str, ...] = (MODEL, GOLDEN),
    here: str = ".",
    config: Config | None = None,
    reader: FakeSnapshots | None = None,
) -> Servable:
    return find_servable(
        name,
        here=here,
        git=git,
        reader=reader or FakeSnapshots(),
        bring=Bringer(*has),
        config=config or Config(),
    )


def test_a_name_that_is_none_says_which_is_near(git: FakeGit) -> None:
    fruit = FakeSnapshots(artifacts=(Artifact(name="fruit", path=MODEL),))
    with pytest.raises(UsageError, match="no artifact 'frit', and there is no such") as caught:
        find(git, "frit", reader=fruit)
    assert caught.value.hint == "Did you mean 'fruit'? There are: fruit."


def test_a_stage_that_nothing_holds_here_is_no_reason_to_name_a_flag_of_another_command(
    git: FakeGit,
) -> None:
    with pytest.raises(UsageError, match="holds stage 'dev'") as caught:
        find(git, "m#dev")
    assert caught.value.hint == "There are m#prod. `git fetch --tags` brings the remote's."


@pytest.mark.parametrize("name", [None, "m", MODEL])
def test_without_a_version_the_checkout_counts(git: FakeGit, name: str | None) -> None:
    found = find(git, name)
    assert (found.artifact, found.version) == ("m", None)
    assert found.model == Path("/two", MODEL)
    assert found.golden == Path("/two", GOLDEN)


@pytest.mark.parametrize(
    ("name", "version", "which"),
    [
        ("m@v1.0.0", "v1.0.0", "one"),
        ("m@v1", "v1.1.0", "two"),
        ("m@latest", "v1.1.0", "two"),
        ("m#prod", "v1.0.0", "one"),
    ],
)
def test_a_version_or_a_stages_holder_is_found_in_the_registry(
    git: FakeGit, name: str, version: str, which: str
) -> None:
    found = find(git, name)
    assert (found.artifact, found.version) == ("m", version)
    assert found.model == Path("/", which, MODEL)


def test_who_holds_a_stage_is_for_the_configuration_to_say(git: FakeGit) -> None:
    config = Config()
    by_version = Config(registry=type(config.registry)(holder=Holder.SEMVER))
    assert find(git, "m#prod", config=by_version).version == "v1.1.0"


def test_a_path_is_given_from_where_one_stands(git: FakeGit) -> None:
    assert find(git, "m.skops", here="models").model == Path("/two", MODEL)
    assert find(git, "../models/m.skops", here="data").artifact == "m"


def test_a_file_that_is_no_artifact_has_its_own_name(git: FakeGit) -> None:
    found = find(git, "models/other.v2.skops", has=("models/other.v2.skops",))
    assert (found.artifact, found.golden) == ("other", None)


def test_golden_requests_are_looked_for_unless_they_are_configured(git: FakeGit) -> None:
    assert find(git, "m", has=(MODEL,)).golden is None
    config = Config(models={"m": ModelConfig(golden="g.json", flavour="onnx")})
    found = find(git, "m", has=(MODEL, GOLDEN, "g.json"), config=config)
    assert (found.golden, found.flavour) == (Path("/two/g.json"), "onnx")
    with pytest.raises(MissingDataError, match=r"g\.json is not here"):
        find(git, "m", config=config)


def test_what_may_be_loaded_is_for_the_configuration_to_say(git: FakeGit) -> None:
    safety = SafetyConfig(trusted_types=("a.B",), allow_pickle=("m",))
    found = find(git, "m", config=Config(safety=safety))
    assert (found.trusted_types, found.allow_pickle) == (("a.B",), True)
    assert not find(git, "m").allow_pickle


def test_one_of_several_artifacts_must_be_named(git: FakeGit) -> None:
    reader = FakeSnapshots(artifacts=(Artifact(name="m", path=MODEL), Artifact(name="n", path="n")))
    with pytest.raises(UsageError, match="Which model") as caught:
        find(git, None, reader=reader)
    assert str(caught.value.hint).startswith("Name one of: m, n.")
    with pytest.raises(UsageError, match="Which model"):
        find(git, None, reader=FakeSnapshots(artifacts=()))


def test_what_there_is_not_is_told(git: FakeGit) -> None:
    with pytest.raises(UsageError, match="has no version v9"):
        find(git, "m@v9.0.0")
    with pytest.raises(UsageError, match="Nothing of m holds stage 'dev'"):
        find(git, "m#dev")
    with pytest.raises(MissingDataError, match=r"none\.skops is not here"):
        find(git, "none.skops")


def test_outside_of_a_repository_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "credit.skops"
    file.touch()
    assert take_file(file).golden is None
    (tmp_path / "credit.golden.json").touch()
    found = take_file(file)
    assert (found.artifact, found.golden) == ("credit", tmp_path / "credit.golden.json")
