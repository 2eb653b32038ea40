"""What becomes of a retraining: prepared once for a window, one pull request, people's own kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.fakes.forge import FakeForge
from tests.fakes.git import FakeCommit, FakeGit, FakeRemote, make_id
from tests.fakes.progress import RecordedProgress

from modelci.config.model import MonitorConfig, RetrainConfig
from modelci.domain.monitoring import Action, ActionKind, Monitoring, TriggerKind, Watched
from modelci.domain.retraining import Built, Retraining, RetrainOrder, write_message
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError, PipelineError
from modelci.ports import Commit, Progress, ProposalState
from modelci.workflows import retrain
from modelci.workflows.retrain import Text, Tools

BRANCH = "modelci/retrain-credit"
DUE = Action(kind=ActionKind.RETRAIN_PR, trigger=TriggerKind.DRIFT, reason="drift: psi of amount")
ISSUE = Action(kind=ActionKind.ISSUE, trigger=TriggerKind.DRIFT, reason="drift")
SETTINGS = MonitorConfig(
    model="credit",
    current="data/{window}.csv",
    retrain=RetrainConfig(cmd="./next.sh", add=("data/{window}.csv",), labels=("retrain",)),
)


@dataclass(kw_only=True)
class FakeRetrainer:
    """Commits what an order says into the clone; ``changes`` are the files that it writes.

    ``failure`` is raised in place of it, of ``failures`` one each time.
    """

    git: FakeGit
    changes: dict[str, bytes] = field(default_factory=dict)
    orders: list[RetrainOrder] = field(default_factory=list)
    failure: PipelineError | None = None
    failures: list[PipelineError] = field(default_factory=list)

    def build(self, order: RetrainOrder, *, progress: Progress) -> Built:
        del progress
        self.orders.append(order)
        if self.failure is not None:
            raise self.failure
        if self.failures:
            raise self.failures.pop(0)
        base = self.git.commits[order.base]
        files = {**base.files, **self.changes}
        if files == base.files:
            return Built(commit=None)
        sha = make_id(sorted(files.items()), order.base, order.message)
        subject, _, body = order.message.partition("\n")
        commit = Commit(sha=sha, parents=(order.base,), seconds=1, subject=subject)
        self.git.commits[sha] = FakeCommit(commit=commit, files=files, body=body)
        return Built(commit=sha, changed=tuple(self.changes), stages=("train",) * order.run)


@dataclass(kw_only=True)
class World:
    """A remote with ``main``, a clone of it, a forge, and what retrains."""

    remote: FakeRemote
    git: FakeGit
    forge: FakeForge
    retrainer: FakeRetrainer
    progress: RecordedProgress

    @property
    def tools(self) -> Tools:
        def describe(found: Monitoring, done: Retraining, marker: str) -> Text:
            changed = ", ".join(done.changed)
            return Text(title=f"Retrain on {found.window}", body=f"{marker}\n{changed}")

        return Tools(
            git=self.git,
            forge=lambda: self.forge,
            retrainer=self.retrainer,
            describe=describe,
            progress=self.progress,
        )

    def act(
        self,
        window: str = "2026-03",
        *,
        settings: MonitorConfig = SETTINGS,
        actions: Sequence[Action] = (DUE,),
    ) -> tuple[Action, ...]:
        return retrain.act(
            watch(window, actions), settings, current=f"/data/{window}.csv", tools=self.tools
        )


def watch(window: str = "2026-03", actions: Sequence[Action] = (DUE,)) -> Monitoring:
    watched = Watched(artifact="credit", stage="prod", version="v1.0.0", tag=None, commit=None)
    return Monitoring(
        watched=watched,
        window=window,
        current=f"data/{window}.csv",
        created="2026-04-01T00:00:00Z",
        version="0",
        rows=1000,
        actions=tuple(actions),
    )


@pytest.fixture
def place(tmp_path: Path) -> World:
    remote = FakeRemote()
    remote.commit({"params.yaml": b"until: 2026-02"})
    git = FakeGit(tmp_path, remote)
    return World(
        remote=remote,
        git=git,
        forge=FakeForge(),
        retrainer=FakeRetrainer(git=git, changes={"data.dvc": b"03"}),
        progress=RecordedProgress(),
    )


def test_a_window_becomes_a_branch_and_its_pull_request(place: World) -> None:
    (action,) = place.act()
    assert (action.done, action.held_back) == ("created", None)
    assert action.url == "https://forge.example/pull/1"
    tip = place.remote.branches[BRANCH]
    assert place.remote.commits[tip].commit.parents == (place.remote.branches["main"],)
    proposal, shown = place.forge.proposals[1]
    assert (proposal.base, proposal.head_sha) == ("main", tip)
    assert shown.labels == ("retrain",)
    assert not shown.merges_itself
    assert shown.body == "<!-- modelci: retrain credit -->\ndata.dvc"
    (order,) = place.retrainer.orders
    assert (order.window, order.current) == ("2026-03", "/data/2026-03.csv")
    assert order.add == ("data/2026-03.csv",)
    assert order.cmd == "./next.sh"
    assert not order.run


def test_the_window_is_filled_into_parameters_that_are_text(place: World) -> None:
    ours = RetrainConfig(params={"train.until": "{window}", "train.depth": 3})
    place.act(settings=replace(SETTINGS, retrain=ours))
    assert dict(place.retrainer.orders[0].params) == {"train.until": "2026-03", "train.depth": 3}


def test_again_it_runs_nothing_pushes_nothing_and_finds_the_pull_request(place: World) -> None:
    place.act()
    tip = place.remote.branches[BRANCH]
    place.remote.refuses = "no push is expected"
    (action,) = place.act()
    assert (action.done, action.url) == ("unchanged", "https://forge.example/pull/1")
    assert place.remote.branches[BRANCH] == tip
    assert len(place.retrainer.orders) == 1


def test_a_run_that_was_cut_short_before_the_pull_request_goes_on(place: World) -> None:
    place.forge.denied = {"propose"}
    with pytest.raises(ForgeDeniedError):
        place.act()
    place.forge.denied = set()
    (action,) = place.act()
    assert action.done == "created"
    assert len(place.retrainer.orders) == 1


def test_the_next_window_replaces_the_commit_in_the_same_pull_request(place: World) -> None:
    place.act()
    first = place.remote.branches[BRANCH]
    place.remote.commit({"params.yaml": b"until: 2026-02", "x": b"1"})  # main moves on
    place.retrainer.changes = {"data.dvc": b"04"}
    (action,) = place.act("2026-04")
    assert (action.done, action.url) == ("updated", "https://forge.example/pull/1")
    tip = place.remote.branches[BRANCH]
    assert tip != first
    assert place.remote.commits[tip].commit.parents == (place.remote.branches["main"],)
    assert len(place.forge.proposals) == 1


def test_what_people_pushed_to_the_branch_is_left(place: World) -> None:
    place.act()
    theirs = place.remote.commit({"fix": b"1"}, branch=BRANCH, body="mine")
    for window in ("2026-03", "2026-04"):
        (action,) = place.act(window)
        assert action.done is None
        assert action.held_back == f"somebody else has pushed to {BRANCH}"
    assert place.remote.branches[BRANCH] == theirs
    assert len(place.retrainer.orders) == 1


def test_a_branch_of_that_name_which_is_not_ours_is_left(place: World) -> None:
    main = place.remote.branches["main"]
    message = write_message("churn", "2026-03").partition("\n")[2]
    theirs = place.remote.commit({"x": b"1"}, branch=BRANCH, parents=[main], body=message)
    (action,) = place.act()
    assert action.held_back == f"somebody else has pushed to {BRANCH}"
    assert place.remote.branches[BRANCH] == theirs


def test_a_pull_request_that_somebody_closed_stays_closed_for_its_window(place: World) -> None:
    place.act()
    place.forge.change_proposal(1, state=ProposalState.CLOSED)
    (action,) = place.act()
    assert action.held_back == "somebody closed the pull request of 2026-03"
    assert action.url == "https://forge.example/pull/1"
    assert len(place.forge.proposals) == 1
    place.retrainer.changes = {"data.dvc": b"04"}
    (action,) = place.act("2026-04")
    assert (action.done, action.url) == ("created", "https://forge.example/pull/2")


def test_a_squashed_merge_is_a_merge(place: World) -> None:
    """The branch's commit is nowhere in main, but the forge knows."""
    place.act()
    place.forge.change_proposal(1, state=ProposalState.MERGED)
    (action,) = place.act()
    assert action.held_back == "the pull request of 2026-03 is merged"
    assert len(place.retrainer.orders) == 1


def test_data_that_main_has_are_not_added_a_second_time(place: World) -> None:
    """Even where the branch is gone: the commit's own trailer tells."""
    place.act()
    place.remote.branches["main"] = place.remote.branches.pop(BRANCH)
    (action,) = place.act()
    assert action.held_back == "main has the retraining on 2026-03"
    assert len(place.retrainer.orders) == 1


def test_where_nothing_would_change_the_open_pull_request_is_closed(place: World) -> None:
    place.act()
    place.retrainer.changes = {}
    (action,) = place.act("2026-04")
    assert action.done is None
    assert action.held_back == "main has the data of 2026-04: nothing would change"
    assert place.forge.proposals[1][1].state is ProposalState.CLOSED
    assert place.forge.said == [(1, "Main has the data of 2026-04: nothing would change.")]


def test_nothing_is_asked_for_or_it_is_held_back(place: World) -> None:
    waiting = replace(DUE, held_back="cooling down")
    assert place.act(actions=(waiting, ISSUE)) == (waiting, ISSUE)
    assert not place.retrainer.orders
    assert not place.forge.proposals


def test_other_actions_stay_as_they_are(place: World) -> None:
    issue, action = place.act(actions=(ISSUE, DUE))
    assert issue == ISSUE
    assert action.done == "created"


def test_merging_by_itself_is_for_those_who_ask_for_it(place: World) -> None:
    ours = replace(SETTINGS.retrain, auto_merge=True)
    place.act(settings=replace(SETTINGS, retrain=ours))
    assert place.forge.proposals[1][1].merges_itself


def test_what_the_forge_would_not_do_is_a_warning(place: World) -> None:
    place.forge.denied = {"label"}
    (action,) = place.act()
    assert action.done == "created"
    assert any("no label retrain" in one for one in place.progress.warnings)


def test_without_a_remote_nothing_can_be_proposed(tmp_path: Path, place: World) -> None:
    lone = FakeGit(tmp_path)
    main = place.remote.branches["main"]
    lone.commits[main], lone._head = place.remote.commits[main], main
    lone.refs["refs/heads/main"] = main
    place.git = lone
    (action,) = place.act()
    assert action.held_back == "there is no Git remote to push it to"


def test_what_is_to_change_must_be_said(place: World) -> None:
    with pytest.raises(ConfigError, match="Nothing says how credit is retrained"):
        place.act(settings=replace(SETTINGS, retrain=RetrainConfig()))


def test_nothing_is_ever_pushed_to_the_default_branch(place: World) -> None:
    before = place.remote.branches["main"]
    ours = replace(SETTINGS.retrain, branch="main")
    with pytest.raises(ConfigError, match="the default branch: nothing is pushed there"):
        place.act(settings=replace(SETTINGS, retrain=ours))
    assert place.remote.branches == {"main": before}


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/x.yml",
        "sub/.github/workflows/x.yml",
        ".gitlab-ci.yml",
        ".gitlab/modelci.yml",
        ".gitea/workflows/x.yaml",
        ".forgejo/workflows/x.yaml",
        ".gitmodules",
        "Jenkinsfile",
    ],
)
def test_no_retraining_changes_what_ci_runs(place: World, path: str) -> None:
    place.retrainer.changes = {path: b"1", "data.dvc": b"1"}
    with pytest.raises(PipelineError, match="which says what CI runs"):
        place.act()
    assert BRANCH not in place.remote.branches


@pytest.mark.parametrize("path", ["github/x.yml", "docs/.github.md", "data/Jenkinsfile.csv"])
def test_paths_that_only_look_alike_are_fine(place: World, path: str) -> None:
    place.retrainer.changes = {path: b"1"}
    assert place.act()[0].done == "created"


# -- what comes from a job that ran the project's code ---------------------------------------------


def prepared(place: World) -> Retraining:
    return retrain.prepare(watch(), SETTINGS, current="/data", tools=place.tools)


def propose(place: World, retraining: Retraining) -> tuple[Action, ...]:
    return retrain.propose(watch(), SETTINGS, retraining, tools=place.tools)


def test_what_was_prepared_is_proposed_by_another(place: World) -> None:
    retraining = prepared(place)
    assert BRANCH not in place.remote.branches
    assert not place.forge.proposals
    assert propose(place, retraining)[0].done == "created"


@pytest.mark.parametrize(
    "lie",
    [
        {"branch": "main"},
        {"branch": "modelci/retrain-other"},
        {"model": "churn"},
        {"window": "2026-04"},
    ],
)
def test_a_document_does_not_choose_the_branch(place: World, lie: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="not what the window asks for"):
        propose(place, replace(prepared(place), **lie))  # type: ignore[arg-type]
    assert place.remote.branches.keys() == {"main"}


def test_a_document_does_not_choose_the_base(place: World) -> None:
    place.remote.commit({"x": b"1"}, branch="release")
    with pytest.raises(ConfigError, match="on top of the default branch"):
        propose(place, replace(prepared(place), base="release"))


@pytest.mark.parametrize("name", ["main", "HEAD", "main~0", "", "a\0b", "-x", "f" * 39])
def test_what_names_no_commit_by_its_id_is_refused(place: World, name: str) -> None:
    with pytest.raises(ConfigError, match="no commit by its id"):
        propose(place, replace(prepared(place), commit=name))
    assert place.remote.branches.keys() == {"main"}


@pytest.mark.parametrize("file", ["modelci.yaml", "CODEOWNERS", ".dvc/config", ".github"])
def test_a_retraining_changes_neither_gates_nor_reviewers_nor_remotes(
    place: World, file: str
) -> None:
    retraining = prepared(place)
    ours = place.git.commits[retraining.commit or ""]
    files = {**ours.files, file: b"x"}
    place.git.commits[retraining.commit or ""] = replace(ours, files=files)
    with pytest.raises(PipelineError, match="says what CI runs"):
        propose(place, retraining)
    assert BRANCH not in place.remote.branches


def test_a_commit_on_top_of_something_else_is_refused(place: World) -> None:
    retraining = prepared(place)
    ours = place.git.commits[retraining.commit or ""]
    for parents in [(), ("f" * 40,), (*ours.commit.parents, *ours.commit.parents)]:
        commit = replace(ours.commit, parents=parents)
        place.git.commits[retraining.commit or ""] = replace(ours, commit=commit)
        with pytest.raises(ConfigError, match="on top of the default branch"):
            propose(place, retraining)
    assert BRANCH not in place.remote.branches


def test_the_commit_itself_tells_what_it_changes(place: World) -> None:
    retraining = prepared(place)
    ours = place.git.commits[retraining.commit or ""]
    files = {**ours.files, ".github/workflows/evil.yml": b"x"}
    place.git.commits[retraining.commit or ""] = replace(ours, files=files)
    with pytest.raises(PipelineError, match="says what CI runs"):
        propose(place, replace(retraining, changed=("data.dvc",)))
    assert BRANCH not in place.remote.branches


def test_a_document_does_not_push_over_people(place: World) -> None:
    retraining = prepared(place)
    main = place.remote.branches["main"]
    theirs = place.remote.commit({"fix": b"1"}, branch=BRANCH, parents=[main], body="mine")
    (action,) = propose(place, replace(retraining, replaces=theirs))
    assert action.held_back == f"somebody else has pushed to {BRANCH}"
    assert place.remote.branches[BRANCH] == theirs


def test_two_runs_that_prepare_the_same_make_one(place: World) -> None:
    one, other = prepared(place), prepared(place)
    assert one == other
    assert propose(place, one)[0].done == "created"
    assert propose(place, other)[0].done == "unchanged"


def test_a_remote_that_refuses_is_told_in_its_words(place: World) -> None:
    place.remote.refuses = "no robots"
    with pytest.raises(ForgeError, match="no robots"):
        place.act()
    assert not place.forge.proposals


def test_an_older_window_never_replaces_a_newer_one(place: World) -> None:
    place.act("2026-09")
    tip = place.remote.branches[BRANCH]
    (action,) = place.act("2026-07")
    assert action.held_back == "the branch has the newer window 2026-09"
    assert place.remote.branches[BRANCH] == tip
    assert [one.window for one in place.retrainer.orders] == ["2026-09"]
    assert place.act("2026-10")[0].done == "updated"


def test_an_older_window_that_was_prepared_before_is_not_pushed_over_a_newer_one(
    place: World,
) -> None:
    older = watch("2026-07")
    prepared = retrain.prepare(older, SETTINGS, current="/data/x.csv", tools=place.tools)
    place.act("2026-09")
    tip = place.remote.branches[BRANCH]
    (action,) = retrain.propose(older, SETTINGS, prepared, tools=place.tools)
    assert action.held_back == "the branch has the newer window 2026-09"
    assert place.remote.branches[BRANCH] == tip
