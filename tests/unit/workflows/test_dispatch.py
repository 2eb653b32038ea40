import pytest
from tests.fakes.forge import FakeForge
from tests.fakes.progress import RecordedProgress

from modelci.domain.promotion import PlannedTag
from modelci.errors import ConfigError, ForgeError
from modelci.ports import Forge
from modelci.workflows.dispatch import dispatch


def tags(*names: str) -> list[PlannedTag]:
    return [
        PlannedTag(name=name, artifact="m", commit="a" * 40, seconds=1, subject="x")
        for name in names
    ]


def test_each_assignment_starts_the_workflow_once_and_nothing_else_does() -> None:
    forge, progress = FakeForge(), RecordedProgress()
    planned = tags("m@v0.0.1", "m#prod#1", "eu=n#dev#2", "m#prod!#3", "m@v0.0.1!", "m@deprecated")
    dispatch(planned, "deploy.yml", forge=lambda: forge, progress=progress)
    assert forge.dispatches == [
        ("deploy.yml", "m#prod#1", {"tag": "m#prod#1"}),
        ("deploy.yml", "eu=n#dev#2", {"tag": "eu=n#dev#2"}),
    ]
    assert progress.notes == ["m#prod#1 → deploy.yml", "eu=n#dev#2 → deploy.yml"]


def test_what_stands_from_before_is_started_again_and_said() -> None:
    forge, progress = FakeForge(), RecordedProgress()
    dispatch(
        tags("m#dev#2"),
        "deploy.yml",
        standing=("m#prod#1", "m#dev#2"),
        forge=lambda: forge,
        progress=progress,
    )
    assert [tag for _, tag, _ in forge.dispatches] == ["m#dev#2", "m#prod#1"]
    assert progress.notes[1] == "m#prod#1 → deploy.yml (again)"


def test_without_an_assignment_no_forge_is_needed() -> None:
    def refuse() -> Forge:
        raise AssertionError

    dispatch(tags("m@v0.0.1"), "deploy.yml", forge=refuse, progress=RecordedProgress())
    dispatch([], "deploy.yml", forge=refuse, progress=RecordedProgress())


class Once(FakeForge):
    """Refuses the first."""

    def dispatch(self, workflow: str, *, tag: str, inputs: object) -> None:
        if tag == "m#dev#1":
            raise ForgeError("GitHub knows no deploy.yml.", hint="Is it on the default branch?")
        self.dispatches.append((workflow, tag, {"tag": str(inputs)}))


def test_a_refusal_keeps_no_other_back_and_says_what_to_run() -> None:
    forge, progress = Once(), RecordedProgress()
    with pytest.raises(ForgeError, match="not started for m#dev#1: GitHub knows no") as raised:
        dispatch(tags("m#dev#1", "m#prod#2"), "deploy.yml", forge=lambda: forge, progress=progress)
    assert [ref for _, ref, _ in forge.dispatches] == ["m#prod#2"]
    assert raised.value.exit_code == 4
    hint = raised.value.hint or ""
    assert hint.startswith("Is it on the default branch? Then run the same again")
    assert "`gh workflow run deploy.yml --ref 'm#dev#1' -f tag='m#dev#1'`" in hint
    assert "prod" not in hint
    assert len(progress.warnings) == 1


def test_a_forge_that_nobody_names_is_a_refusal_too() -> None:
    def unknown() -> Forge:
        raise ConfigError("Which forge?")

    with pytest.raises(ForgeError, match="Which forge"):
        dispatch(tags("m#dev#1"), "deploy.yml", forge=unknown, progress=RecordedProgress())
