"""Every kind of target keeps the whole protocol."""

from importlib import import_module

import pytest

from modelci.adapters.targets import TARGETS
from modelci.adapters.targets.command import CommandTarget
from modelci.adapters.targets.directory import DirectoryTarget
from modelci.adapters.targets.image import ImageTarget
from modelci.adapters.targets.kserve import KServeTarget
from modelci.adapters.targets.server import ServerTarget
from modelci.config.model import TargetKind
from modelci.ports import Target

# Here mypy holds each signature against the protocol's.
KINDS: dict[TargetKind, type[Target]] = {
    TargetKind.COMMAND: CommandTarget,
    TargetKind.DIRECTORY: DirectoryTarget,
    TargetKind.IMAGE: ImageTarget,
    TargetKind.KSERVE: KServeTarget,
    TargetKind.SERVER: ServerTarget,
}


def test_there_is_one_of_every_kind() -> None:
    assert set(KINDS) == set(TARGETS) == set(TargetKind)


@pytest.mark.parametrize("kind", TargetKind)
def test_it_does_all_that_a_deployment_asks_for(kind: TargetKind) -> None:
    asked = {name for name in vars(Target) if not name.startswith("_")} - {"name"}
    assert asked <= set(dir(KINDS[kind]))
    assert import_module(f"modelci.adapters.targets.{kind}").connect
