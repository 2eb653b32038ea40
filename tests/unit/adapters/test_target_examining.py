"""What `modelci doctor` sees of a target from this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.progress import RecordedProgress

from modelci.adapters.targets.examining import examine
from modelci.adapters.targets.settings import TargetSettings
from modelci.config.model import KServeTargetConfig, TargetConfig, TargetKind
from modelci.domain.checks import Check, Health


def look(
    root: Path,
    *,
    environment: Mapping[str, str] | None = None,
    can_write: bool = True,
    **config: Any,
) -> list[Check]:
    settings = TargetSettings(
        name="prod",
        config=TargetConfig(**config),
        root=root,
        progress=RecordedProgress(),
        environment=environment or {},
    )
    return list(examine(settings, can_write=lambda _folder: can_write))


@pytest.mark.parametrize("path", ["srv", "srv/not/there/yet"])
def test_a_folder_that_can_be_written_is_well_and_stays_as_it_is(tmp_path: Path, path: str) -> None:
    assert look(tmp_path, path=path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_path_that_is_a_file_is_a_problem(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    (one,) = look(tmp_path, path=path)
    assert (one.name, one.health) == ("target prod", Health.PROBLEM)
    assert one.detail == f"{tmp_path / 'file'} is a file, and releases want a folder"
    assert "deploy.targets.prod.path" in (one.fix or "")


def test_a_folder_that_nobody_may_write_is_a_warning_with_the_command_that_makes_it(
    tmp_path: Path,
) -> None:
    (one,) = look(tmp_path, path="srv", can_write=False)
    assert one.health is Health.WARNING
    assert f"{tmp_path / 'srv'} is not there, and {tmp_path} cannot be written" in one.detail
    assert f"`sudo install -d -o USER {tmp_path / 'srv'}`" in (one.fix or "")


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        ({"kind": TargetKind.IMAGE}, "umoci and skopeo"),
        ({"kind": TargetKind.KSERVE}, "umoci and skopeo"),
        (
            {"kind": TargetKind.KSERVE, "kserve": KServeTargetConfig(apply=True)},
            "umoci and skopeo and kubectl",
        ),
    ],
)
def test_the_tools_of_a_kind_are_looked_for(
    tmp_path: Path, config: Mapping[str, Any], missing: str
) -> None:
    (one,) = look(tmp_path, environment={"PATH": str(tmp_path)}, **config)
    assert one.detail.startswith(f"{missing} not found")
    for tool in ("umoci", "skopeo", "kubectl"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o700)
    assert look(tmp_path, environment={"PATH": str(tmp_path)}, **config) == []
