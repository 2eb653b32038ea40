from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.target import FakeTarget

from modelci.domain.deployment import Deployed, Deployments, Running, TargetState, Trial
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import Holder
from modelci.errors import DeploymentError, UsageError
from modelci.ports import Target
from modelci.render.deployments import plain_deployments, render_deployments
from modelci.workflows.deployments import Place, list_deployments

A, B = "a" * 40, "b" * 40


def ran(
    version: str, commit: str, *, since: str = "2026-01-02T03:04:05Z", **more: object
) -> Running:
    one = Running(
        release=f"{version}-0123456789ab",
        artifact="m",
        version=version,
        tag=f"m#prod#{version[1]}",
        commit=commit,
        assigned_seconds=1,
        since=since,
        by="anna",
        settled=True,
    )
    return replace(one, **more)  # type: ignore[arg-type]


def target(*history: Running) -> FakeTarget:
    state = TargetState(
        running=history[0],
        previous=history[1] if len(history) > 1 else None,
        history=history,
    )
    return FakeTarget(state=state)


class World:
    def __init__(self, folder: Path) -> None:
        self.remote = FakeRemote()
        self.remote.commit({})
        self.remote.commits[A] = self.remote.commits[B] = next(iter(self.remote.commits.values()))
        self.git = FakeGit(folder, self.remote, depth=1)
        for seconds, (name, commit) in enumerate(
            [("m@v1.0.0", A), ("m#prod#1", A), ("m@v2.0.0", B), ("m#prod#2", B)]
        ):
            self.tag(name, commit, seconds)

    def tag(self, name: str, commit: str, seconds: int) -> None:
        self.git.commits[commit] = self.remote.commits[commit]
        self.remote.tags[name] = PlannedTag(
            name=name, artifact="m", commit=commit, seconds=seconds, subject="x"
        )

    def list(self, *places: Place, artifact: str | None = None) -> Deployments:
        return list_deployments(places, self.git, holder=Holder.NEWEST, artifact=artifact)


def place(
    found: Target | None = None, *, name: str = "prod", stages: tuple[str, ...] = ("prod",)
) -> Place:
    def get(found: Target | None) -> Target:
        if found is None:
            raise DeploymentError("state.json is damaged.")
        return found

    return Place(name=name, kind="directory", stages=stages, target=partial(get, found))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_target_that_runs_what_its_stage_holds_is_current(world: World) -> None:
    found = world.list(place(target(ran("v2.0.0", B), ran("v1.0.0", A))))
    (one,) = found.deployed
    assert (one.target, one.artifact, one.differs) == ("prod", "m", ())
    assert found.notes == ()


def test_a_target_is_behind_where_its_stage_holds_another_version(world: World) -> None:
    (one,) = world.list(place(target(ran("v1.0.0", A)))).deployed
    assert one.differs == ("behind: prod holds v2.0.0 (m#prod#2)",)


def test_what_the_registry_took_away_is_said(world: World) -> None:
    running = place(target(ran("v2.0.0", B)))
    world.tag("m#prod!#3", A, 8)
    world.tag("m#prod!#4", B, 9)
    assert world.list(running).deployed[0].differs == ("no version holds prod",)
    world.tag("m@v2.0.0!#5", B, 10)
    assert world.list(running).deployed[0].differs == ("v2.0.0 was deregistered",)


def test_a_deprecated_artifact_is_said(world: World) -> None:
    world.tag("m#prod!#3", A, 8)
    world.tag("m#prod!#4", B, 9)
    world.tag("m@deprecated#5", B, 10)
    lab = world.list(place(target(ran("v2.0.0", B))))
    assert lab.deployed[0].differs == ("m is deprecated",)


def test_what_never_ran_where_it_should_is_a_note(world: World) -> None:
    found = world.list(place(FakeTarget()), place(FakeTarget(), name="lab", stages=()))
    assert found.deployed == ()
    assert found.notes == ("prod: m never ran there, and prod holds v2.0.0 (m#prod#2)",)


def test_what_does_not_answer_is_a_note(world: World) -> None:
    world.remote.away = True
    found = world.list(place(), place(target(ran("v1.0.0", A)), name="eu"))
    assert [one.target for one in found.deployed] == ["eu"]
    assert found.notes[0] == "prod does not tell what runs there: state.json is damaged."
    assert found.notes[1].startswith("What the registry says now is not known: ")


def test_one_artifact_is_asked_for_alone(world: World) -> None:
    world.tag("n@v1.0.0", A, 9)
    assert world.list(place(target(ran("v2.0.0", B))), artifact="n").deployed == ()


@pytest.mark.parametrize(
    ("name", "hint"), [("credti", "Did you mean 'credit'?"), ("xyz", "There are credit, m.")]
)
def test_a_name_that_nobody_knows_is_an_error_that_says_which_is_near(
    world: World, name: str, hint: str
) -> None:
    world.tag("credit@v1.0.0", A, 9)
    with pytest.raises(UsageError, match=f"an artifact '{name}'") as raised:
        world.list(place(target(ran("v2.0.0", B))), artifact=name)
    assert raised.value.hint == hint


def test_a_name_is_no_error_where_the_registry_could_not_be_asked(world: World) -> None:
    world.remote.away = True
    assert world.list(place(target(ran("v2.0.0", B))), artifact="n").deployed == ()


def test_whether_all_is_current_is_known(world: World) -> None:
    two = target(ran("v2.0.0", B))
    assert world.list(place(two)).is_current
    assert not world.list(place(target(ran("v1.0.0", A)))).is_current
    assert not world.list(place(two), place(FakeTarget(), name="eu")).is_current
    (one,) = world.list(place(two)).deployed
    assert not Deployments(deployed=(replace(one, healthy=False),)).is_current


# -- as text ---------------------------------------------------------------------------------------


def listed(*runs: Running, differs: tuple[str, ...] = (), trial: Trial | None = None) -> Deployed:
    state = TargetState(
        running=runs[0] if runs else None,
        previous=runs[1] if len(runs) > 1 else None,
        trial=trial,
        history=runs,
    )
    return Deployed(target="prod", kind="directory", artifact="m", state=state, differs=differs)


def test_a_table_says_what_runs_since_when_and_by_whom() -> None:
    back = ran("v1.0.0", A, reason="switched back from v2.0.0: 40 of 100 requests failed")
    one = listed(
        back, ran("v2.0.0", B, settled=False), differs=("behind: prod holds v2.0.0 (m#prod#2)",)
    )
    text = render_deployments(Deployments(deployed=(one,), notes=("a note",)))
    lines = [line for line in text.splitlines() if not line.startswith("─")]
    assert lines == [
        "Target             Artifact   Runs     Since                  By     Tag        Before",
        "prod (directory)   m          v1.0.0   2026-01-02T03:04:05Z   anna   m#prod#1   v2.0.0",
        "",
        "When                   Version   Tag        By     Why",
        (
            "2026-01-02T03:04:05Z   v1.0.0    m#prod#1   anna   switched back from v2.0.0: 40 of "
            "100 requests failed"
        ),
        "2026-01-02T03:04:05Z   v2.0.0    m#prod#2   anna   (not watched to the end)",
        "",
        "! prod: m: behind: prod holds v2.0.0 (m#prod#2)",
        "! a note",
    ]


def test_several_are_told_without_their_history() -> None:
    one = listed(ran("v1.0.0", A), trial=Trial(release="v2-x", share=0.25))
    two = listed(ran("v1.0.0", A), trial=Trial(release="v2-x", shadow=True))
    text = render_deployments(Deployments(deployed=(one, two, listed())))
    assert "When" not in text
    assert "! prod: m: v2-x is tried with 25% of the requests\n" in text
    assert "! prod: m: v2-x is tried with copies of requests\n" in text
    assert text.count("—") > 5


def test_a_long_history_is_cut() -> None:
    runs = [ran("v1.0.0", A, since=f"2026-01-{day:02}T00:00:00Z") for day in range(1, 9)]
    text = render_deployments(Deployments(deployed=(listed(*runs),)))
    assert "… and 3 more: see --json\n" in text


def test_nothing_is_said_to_be_nothing() -> None:
    assert render_deployments(Deployments(deployed=())) == "Nothing is deployed.\n"
    assert "Before" in render_deployments(Deployments(deployed=(listed(),)))


def test_what_a_target_says_commands_no_terminal() -> None:
    evil = ran("v1.0.0", A, by="\x1b[31mroot\n::error::x", reason="\x1b]0;x\x07")
    text = render_deployments(Deployments(deployed=(listed(evil),)))
    assert "\x1b" not in text
    assert "\n::error" not in text


def test_scripts_get_lines() -> None:
    found = Deployments(
        deployed=(
            listed(ran("v1.0.0", A), differs=("behind: …",)),
            listed(),
            listed(ran("v2.0.0", B)),
        )
    )
    assert plain_deployments(found).splitlines() == [
        (
            f"prod\tdirectory\tm\tv1.0.0\t{A}\tm#prod#1\t2026-01-02T03:04:05Z\tanna\t"
            "v1.0.0-0123456789ab\tbehind"
        ),
        "prod\tdirectory\tm\t\t\t\t\t\t\tcurrent",
        (
            f"prod\tdirectory\tm\tv2.0.0\t{B}\tm#prod#2\t2026-01-02T03:04:05Z\tanna\t"
            "v2.0.0-0123456789ab\tcurrent"
        ),
    ]


@pytest.mark.parametrize(
    ("is_up", "state", "said"),
    [(True, "current", False), (None, "current", False), (False, "down", True)],
)
def test_what_does_not_answer_is_down(
    world: World, *, is_up: bool | None, state: str, said: bool
) -> None:
    found = target(ran("v2.0.0", B))
    found.is_up = is_up
    listed = world.list(place(found))
    assert listed.deployed[0].healthy is is_up
    assert plain_deployments(listed).endswith(f"\t{state}\n")
    assert ("prod: m: does not answer now" in render_deployments(listed)) is said
