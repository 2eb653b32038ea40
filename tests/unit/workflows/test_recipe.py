"""What a release's bytes are held against before anything is made of them."""

from hashlib import sha256
from pathlib import Path

import pytest
from tests.fakes.trees import MemoryTree

from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.modelfiles import Trust
from modelci.domain.orders import Order
from modelci.domain.provenance import CheckState, FileBytes, digest_files
from modelci.domain.snapshot import Snapshot
from modelci.workflows.recipe import Fetched, Ingredient, Recipe, verify_release

FOLDER = TrackedFile(path="models/m", kind=DataKind.MODEL, hash=f"{'a' * 32}.dir")
FILES = tuple(
    FileBytes(
        path=f"models/m/{name}",
        recorded="h",
        found="h",
        sha256=sha256(name.encode()).hexdigest(),
        size=1,
    )
    for name in ("weights", "vocabulary")
)
RIGHT = digest_files("models/m", FILES)


def recipe(said: dict[str, str]) -> Recipe:
    order = Order(
        artifact="m",
        tag="m#prod#1",
        commit="c" * 40,
        version="v1.0.0",
        seconds=1,
        said=said,
    )
    return Recipe(
        id="v1.0.0-x",
        order=order,
        tree=MemoryTree({}),
        snapshot=Snapshot(tracked={FOLDER.path: FOLDER}),
        model=Ingredient(path="models/m", file=FOLDER, hash=f"md5:{FOLDER.hash}"),
        golden=None,
        lock=None,
        trust=Trust(),
        flavour=None,
    )


@pytest.mark.parametrize(("said", "state"), [(RIGHT, CheckState.OK), ("tree:0", CheckState.FAILED)])
def test_a_folder_is_held_against_the_digest_in_its_tag(
    tmp_path: Path, said: str, state: CheckState
) -> None:
    fetched = Fetched(folder=tmp_path, files=FILES)
    found = verify_release(recipe({"Modelci-Sha256": said}), fetched, None)
    (one,) = (one for one in found if one.subject == "models/m: sha256 of the tag")
    assert one.state is state
