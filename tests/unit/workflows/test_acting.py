"""The job that writes: what it believes of what another job has left, and what it does not."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.forge import FakeForge
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.progress import RecordedProgress
from tests.unit.workflows.test_retrain import DUE, SETTINGS, FakeRetrainer, watch

from modelci.config.model import Config, MonitorConfig
from modelci.documents import codec
from modelci.domain.monitoring import Action, ActionKind, Monitoring, TriggerKind
from modelci.domain.retraining import Retraining
from modelci.domain.triggers import Trigger
from modelci.errors import ConfigError, ForgeDeniedError, PipelineError, UsageError
from modelci.ports import Journal
from modelci.workflows import retrain
from modelci.workflows.acting import Tools, act_on, prepare_all, take_actions
from modelci.workflows.monitor import Occasion
from modelci.workflows.retrain import Text
from modelci.workflows.windows_kept import read_kept

WATCHED = replace(
    SETTINGS,
    stage="prod",
    triggers=(Trigger(when=TriggerKind.DRIFT, action=ActionKind.ISSUE),),
)


class FakeJournal:
    """A journal in memory."""

    place = "memory"

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}

    def read(self) -> dict[str, bytes]:
        return self.entries

    def write(self, name: str, data: bytes, *, message: str, seconds: int) -> bool:
        del message, seconds
        self.entries[name] = data
        return True


class World:
    """What a writing job has; ``folder`` is what the watching job left."""

    def __init__(self, folder: Path) -> None:
        remote = FakeRemote()
        remote.commit({"params.yaml": b"1"})
        self.folder, self.remote = folder, remote
        self.git = FakeGit(folder, remote)
        self.forge = FakeForge()
        self.journal = FakeJournal()
        self.progress = RecordedProgress()
        self.retrainer = FakeRetrainer(git=self.git, changes={"data.dvc": b"1"})

    def tools(self, *monitors: MonitorConfig) -> Tools:
        ours = retrain.Tools(
            git=self.git,
            forge=lambda: self.forge,
            retrainer=self.retrainer,
            describe=lambda found, _, marker: Text(title="t", body=f"{marker}\n{found.run_url}"),
            progress=RecordedProgress(),
        )

        def journal(settings: MonitorConfig) -> Journal | None:
            del settings
            return self.journal

        return Tools(
            root=Path("/project"),
            config=Config(monitor=monitors or (WATCHED,)),
            retrain=lambda _: ours,
            forge=lambda: self.forge,
            alarm=lambda found, _, marker: Text(title="t", body=f"{marker}\n{found.window}"),
            journal=journal,
            progress=self.progress,
            run_url="https://forge.example/runs/1",
        )

    def leave(self, document: Monitoring, name: str = "x") -> None:
        codec.write(document, self.folder / f"{name}.json")

    def remembered(self) -> list[Monitoring]:
        return list(read_kept(self.journal, "%Y-%m").windows)


@pytest.fixture
def place(tmp_path: Path) -> World:
    return World(tmp_path / "monitor")


def prepared(place: World) -> Retraining:
    """Prepare the one retraining that is asked for."""
    (done,) = prepare_all(place.folder, place.tools())
    assert done.retraining is not None
    return done.retraining


ISSUE = Action(kind=ActionKind.ISSUE, trigger=TriggerKind.DRIFT, reason="drift")


def test_what_was_found_is_acted_on_and_remembered(place: World) -> None:
    place.leave(watch(actions=(DUE, ISSUE)))
    order = prepared(place)
    assert order.commit is not None
    assert place.retrainer.orders[0].current == "/project/data/2026-03.csv"
    (acted,) = act_on(place.folder, place.tools())
    assert acted.failure is None
    assert [one.done for one in acted.document.actions] == ["created", "created"]
    (kept,) = place.remembered()
    assert kept.actions == acted.document.actions


def test_the_other_job_cannot_say_that_something_was_done(place: World) -> None:
    """Nor where: both would be shown, and would hold the next retraining back."""
    evil = "https://evil.example"
    waiting = replace(DUE, held_back="cooling down", done="created", url=evil)
    place.leave(replace(watch(actions=(waiting,)), run_url=evil))
    (acted,) = act_on(place.folder, place.tools())
    assert acted.document.actions == (replace(waiting, done=None, url=None),)
    assert acted.document.run_url == "https://forge.example/runs/1"
    assert "evil" not in repr(place.remembered())


def test_a_retraining_that_was_not_prepared_is_held_back(place: World) -> None:
    place.leave(watch(actions=(DUE,)))
    (acted,) = act_on(place.folder, place.tools())
    (action,) = acted.document.actions
    assert action.held_back == "nothing was prepared for it: see the job that watches"
    assert not place.forge.proposals


@pytest.mark.parametrize("base", ["x\0y", "--upload-pack=evil", "main:refs/heads/main", "../main"])
def test_a_base_that_the_other_job_names_is_never_asked_of_git(place: World, base: str) -> None:
    place.leave(watch(actions=(DUE,)))
    order = prepared(place)
    codec.write(replace(order, base=base), place.folder / "retraining" / "credit.json")
    (acted,) = act_on(place.folder, place.tools())
    assert "on top of the default branch" in str(acted.failure)
    assert place.remote.branches.keys() == {"main"}


def test_of_two_windows_the_newest_is_retrained_on(place: World) -> None:
    place.leave(watch("2026-04", actions=(DUE,)), "a")
    place.leave(watch("2026-03", actions=(DUE,)), "b")
    assert prepared(place).window == "2026-04"
    older, newer = act_on(place.folder, place.tools())
    assert [one.document.window for one in (older, newer)] == ["2026-03", "2026-04"]
    assert older.document.actions[0].held_back is not None
    assert newer.document.actions[0].done == "created"


def test_only_the_models_that_are_named_are_prepared(place: World) -> None:
    place.leave(watch(actions=(DUE,)))
    churn = replace(WATCHED, model="churn")
    tools = place.tools(WATCHED, churn)
    assert prepare_all(place.folder, tools, models=["churn"]) == ()
    assert place.retrainer.orders == []
    assert len(prepare_all(place.folder, tools, models=["credit#prod"])) == 1


def test_one_model_that_cannot_be_retrained_keeps_no_other_back(place: World) -> None:
    place.retrainer.failures = [PipelineError("train.sh exited with 1.")]
    churn = replace(WATCHED, model="churn")
    place.leave(watch(actions=(DUE,)), "a")  # of two of one month the first is tried first
    document = watch(actions=(DUE,))
    place.leave(replace(document, watched=replace(document.watched, artifact="churn")), "b")
    done = {one.model: one for one in prepare_all(place.folder, place.tools(WATCHED, churn))}
    assert done.keys() == {"credit#prod", "churn#prod"}
    assert str(done["credit#prod"].failure) == "train.sh exited with 1."
    assert done["churn#prod"].retraining is not None
    assert (place.folder / "retraining" / "churn.json").is_file()
    assert not (place.folder / "retraining" / "credit.json").exists()


def test_a_model_that_is_not_watched_is_no_retraining_of_nothing(place: World) -> None:
    place.leave(watch(actions=(DUE,)))
    with pytest.raises(UsageError, match="'nosuch' is not watched"):
        prepare_all(place.folder, place.tools(), models=["nosuch"])


def test_without_a_window_both_halves_say_what_comes_first(place: World) -> None:
    for act in (prepare_all, act_on):
        with pytest.raises(ConfigError, match="has no watched window") as caught:
            act(place.folder, place.tools())
        assert "`modelci monitor --no-write` first" in str(caught.value.hint)


def test_a_window_of_a_model_that_is_not_watched_here_is_refused(place: World) -> None:
    place.leave(watch())
    with pytest.raises(ConfigError, match="is not watched by this"):
        act_on(place.folder, place.tools(replace(WATCHED, stage="staging")))


def test_a_window_that_is_none_is_refused(place: World) -> None:
    place.leave(watch("../../x"))
    with pytest.raises(ConfigError, match="is no window of credit"):
        act_on(place.folder, place.tools())


def test_what_is_no_document_is_refused(place: World) -> None:
    place.folder.mkdir()
    (place.folder / "x.json").write_text('{"schema": "modelci.report/1"}')
    with pytest.raises(ConfigError, match="not a 'modelci"):
        act_on(place.folder, place.tools())


def test_one_that_fails_keeps_no_other_back_and_is_remembered(place: World) -> None:
    place.forge.denied = {"upsert_issue"}
    place.leave(watch("2026-03", actions=(ISSUE,)), "a")
    place.leave(watch("2026-04", actions=()), "b")
    failed, other = act_on(place.folder, place.tools())
    assert failed.failure is not None
    assert other.failure is None
    assert [one.window for one in place.remembered()] == ["2026-03", "2026-04"]


def test_a_retraining_that_fails_keeps_the_issue_from_nothing(place: World) -> None:
    place.leave(watch(actions=(DUE, ISSUE)))
    prepare_all(place.folder, place.tools())
    place.forge.denied = {"propose"}
    (acted,) = act_on(place.folder, place.tools())
    retraining, issue = acted.document.actions
    assert isinstance(acted.failure, ForgeDeniedError)
    assert (retraining.failed, retraining.done) == (str(acted.failure), None)
    assert (issue.done, issue.failed) == ("created", None)
    place.forge.denied = set()
    place.leave(acted.document)
    (again,) = act_on(place.folder, place.tools())
    assert [one.failed for one in again.document.actions] == [None, None]
    assert again.document.actions[1].done == "unchanged"


def test_of_two_actions_that_fail_both_are_told(place: World) -> None:
    place.leave(watch(actions=(DUE, ISSUE)))
    prepare_all(place.folder, place.tools())
    place.forge.denied = {"propose", "upsert_issue"}
    tools = place.tools()
    (acted,) = act_on(place.folder, tools)
    assert all(one.failed for one in acted.document.actions)
    assert acted.failure is not None
    assert len(place.progress.warnings) == 1


def test_in_one_job_a_command_that_fails_keeps_the_issue_from_nothing(place: World) -> None:
    place.retrainer.failure = PipelineError("./next.sh failed")
    occasion = Occasion(
        document=watch(actions=(DUE, ISSUE)), history=(), settings=WATCHED, current="x.csv"
    )
    acted = take_actions(occasion, place.tools())
    retraining, issue = acted.document.actions
    assert acted.failure is place.retrainer.failure
    assert retraining.failed == "./next.sh failed"
    assert issue.done == "created"


def test_an_older_window_than_the_newest_leaves_the_issue_alone(place: World) -> None:
    place.leave(watch("2026-04", actions=(ISSUE,)))
    act_on(place.folder, place.tools())
    for name in ("2026-03", "2026-02"):
        place.leave(watch(name, actions=(ISSUE,)))
        (acted,) = act_on(place.folder, place.tools())
        (action,) = acted.document.actions
        assert action.held_back == "the newer window 2026-04 is remembered"
    (_, is_open, shown) = place.forge.issues[1]
    assert is_open
    assert shown.body.endswith("2026-04")


def test_in_one_job_too_an_older_window_leaves_the_issue_alone(place: World) -> None:
    occasion = Occasion(
        document=watch(actions=()),
        history=(),
        settings=WATCHED,
        current="x.csv",
        newer="2026-04",
    )
    place.forge.denied = {"close_issue", "upsert_issue"}
    assert take_actions(occasion, place.tools()).failure is None
