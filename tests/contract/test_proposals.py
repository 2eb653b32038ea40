"""What every forge promises of the pull requests and issues that we open."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import forge_server, gitea_server, gitlab_server
from tests.fakes.forge import FakeForge
from tests.fakes.gitea_server import FakeGitea
from tests.fakes.github_server import REPOSITORY, TOKEN, FakeGitHub, serve
from tests.fakes.gitlab_server import FakeGitLab
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge import FORGES, ForgeSettings
from modelci.adapters.forge.issuing import KnownIssue
from modelci.adapters.forge.proposing import KnownProposal
from modelci.errors import ForgeDeniedError, ForgeError
from modelci.ports import Forge, Issue, PostedProposal, Proposal, ProposalState

BRANCH = "modelci/retrain-credit"
MARKER = "<!-- modelci: retrain credit -->"
ALARM = "<!-- modelci: monitor credit -->"
SHA, NEXT = "1" * 40, "2" * 40
PROPOSAL = Proposal(
    branch=BRANCH,
    base="main",
    head_sha=SHA,
    title="Retrain credit on 2026-03",
    body="Drift: **0.31**",
    marker=MARKER,
    labels=("modelci", "retrain"),
)
ISSUE = Issue(title="credit drifts", body="PSI 0.31", marker=ALARM, labels=("modelci",))


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A pull request or an issue as people see it."""

    title: str
    body: str
    state: str
    labels: tuple[str, ...]
    merges_itself: bool = False


@dataclass(frozen=True, kw_only=True)
class World:
    """A forge, and the eyes and hands of the people who use it.

    ``push`` lets a branch name a commit. ``edit`` rewrites a pull request's text, ``end`` closes it
    or merges it. ``said`` is what was said where a thread was closed.
    """

    forge: Forge
    push: Callable[[str, str], object]
    pull: Callable[[int], Shown]
    issue: Callable[[int], Shown]
    edit: Callable[[int, str], object]
    end: Callable[[int, ProposalState], object]
    someone_opens: Callable[[str], object]
    said: Callable[[int], list[str]]
    count_writes: Callable[[], int]
    count_pulls: Callable[[], int]
    count_issues: Callable[[], int]


def _see_no_push(branch: str, sha: str) -> None:
    """Nothing: this forge hears of a commit when it is proposed."""


def fake_world() -> World:
    forge = FakeForge()

    def shown(known: KnownProposal) -> Shown:
        return Shown(
            title=known.title,
            body=known.body,
            state=known.state,
            labels=known.labels,
            merges_itself=known.merges_itself,
        )

    def issue(number: int) -> Shown:
        _, is_open, one = forge.issues[number]
        state = "open" if is_open else "closed"
        return Shown(title=one.title, body=one.body, state=state, labels=one.labels)

    def someone_opens(body: str) -> None:
        number = forge.next_number()
        theirs = KnownIssue(number=number, url="", title="mine", body=body)
        forge.issues[number] = ("someone", True, theirs)

    return World(
        forge=forge,
        push=_see_no_push,
        pull=lambda number: shown(forge.proposals[number][1]),
        issue=issue,
        edit=lambda number, body: forge.change_proposal(number, body=body),
        end=lambda number, state: forge.change_proposal(number, state=state),
        someone_opens=someone_opens,
        said=lambda number: [text for one, text in forge.said if one == number],
        count_writes=lambda: hash(repr(forge)),
        count_pulls=lambda: len(forge.proposals),
        count_issues=lambda: len(forge.issues),
    )


def local_world(folder: Path) -> World:
    def read(kind: str, number: int) -> Shown:
        state = json.loads((folder / kind / f"{number}.json").read_text())
        ended = "merged" if state.get("merge_commit_sha") else "closed"
        return Shown(
            title=state["title"],
            body=(folder / kind / f"{number}.md").read_text().removesuffix("\n"),
            state="open" if state.get("is_open", True) else ended,
            labels=tuple(state.get("labels", [])),
            merges_itself=state.get("auto_merge", False),
        )

    def end(number: int, state: ProposalState) -> None:
        path = folder / "pulls" / f"{number}.json"
        merged = {"merge_commit_sha": "c" * 40} if state is ProposalState.MERGED else {}
        path.write_text(json.dumps({**json.loads(path.read_text()), "is_open": False, **merged}))

    def said(number: int) -> list[str]:
        paths = (folder / "comments").glob(f"*-{number}-closed.md")
        return [path.read_text().removesuffix("\n") for path in paths]

    def someone_opens(body: str) -> None:
        raise AssertionError(body)  # a folder does not know who wrote what

    return World(
        forge=FORGES["local"](ForgeSettings(progress=RecordedProgress(), folder=folder)),
        push=_see_no_push,
        pull=lambda number: read("pulls", number),
        issue=lambda number: read("issues", number),
        edit=lambda number, body: (folder / "pulls" / f"{number}.md").write_text(f"{body}\n"),
        end=end,
        someone_opens=someone_opens,
        said=said,
        count_writes=lambda: sum(path.stat().st_mtime_ns for path in folder.rglob("*.*")),
        count_pulls=lambda: len(list((folder / "pulls").glob("*.json"))),
        count_issues=lambda: len(list((folder / "issues").glob("*.json"))),
    )


def _count_writes(requests: list[Any]) -> int:
    return sum(one.method != "GET" and not one.path.endswith("graphql") for one in requests)


def github_world(github: FakeGitHub) -> World:
    def push(branch: str, sha: str) -> None:
        github.branches[branch] = sha
        for pull in github.pulls.values():
            if pull["head"]["ref"] == branch and pull["state"] == "open":
                pull["head"]["sha"] = sha

    def shown(one: dict[str, Any]) -> Shown:
        return Shown(
            title=one["title"],
            body=one["body"],
            state="merged" if one.get("merged_at") else one["state"],
            labels=tuple(label["name"] for label in one["labels"]),
            merges_itself=bool(one.get("auto_merge")),
        )

    def end(number: int, state: ProposalState) -> None:
        merged = "2026-01-02T03:04:05Z" if state is ProposalState.MERGED else None
        github.pulls[number] |= {"state": "closed", "merged_at": merged}

    settings = ForgeSettings(
        progress=RecordedProgress(), repository=REPOSITORY, api_url=github.api_url, token=TOKEN
    )
    return World(
        forge=FORGES["github"](settings),
        push=push,
        pull=lambda number: shown(github.pulls[number]),
        issue=lambda number: shown(github.issues[number]),
        edit=lambda number, body: github.pulls[number].update(body=body),
        end=end,
        someone_opens=lambda body: github.add_issue("mine", body, author="someone"),
        said=lambda number: [one["body"] for one in github.comments.get(number, [])],
        count_writes=lambda: _count_writes(github.requests),
        count_pulls=lambda: len(github.pulls) - 2,
        count_issues=lambda: len(github.issues),
    )


def gitlab_world(gitlab: FakeGitLab) -> World:
    states = {"opened": "open"}

    def push(branch: str, sha: str) -> None:
        gitlab.branches[branch] = sha
        for one in gitlab.merge_requests.values():
            if one["source_branch"] == branch and one["state"] == "opened":
                one.update(sha=sha, head_pipeline={"sha": sha, "status": "running"})

    def shown(one: dict[str, Any]) -> Shown:
        return Shown(
            title=one["title"],
            body=one["description"],
            state=states.get(one["state"], one["state"]),
            labels=tuple(one["labels"]),
            merges_itself=one.get("merge_when_pipeline_succeeds", False),
        )

    def said(number: int) -> list[str]:
        notes = [one["body"] for one in gitlab.notes.get(number, [])]
        return notes + gitlab.issue_notes.get(number, [])

    settings = ForgeSettings(
        progress=RecordedProgress(),
        repository=gitlab_server.PROJECT,
        api_url=gitlab.api_url,
        token=gitlab_server.TOKEN,
    )
    return World(
        forge=FORGES["gitlab"](settings),
        push=push,
        pull=lambda number: shown(gitlab.merge_requests[number]),
        issue=lambda number: shown(gitlab.issues[number]),
        edit=lambda number, body: gitlab.merge_requests[number].update(description=body),
        end=lambda number, state: gitlab.merge_requests[number].update(state=state.value),
        someone_opens=lambda body: gitlab.add_issue("mine", body, author="someone"),
        said=said,
        count_writes=lambda: _count_writes(gitlab.requests),
        count_pulls=lambda: len(gitlab.merge_requests) - 2,
        count_issues=lambda: len(gitlab.issues),
    )


def gitea_world(gitea: FakeGitea) -> World:
    def push(branch: str, sha: str) -> None:
        gitea.branches[branch] = sha
        for one in gitea.pulls.values():
            if one["head"]["label"] == branch and one["state"] == "open":
                one["head"]["sha"] = sha

    def shown(one: dict[str, Any]) -> Shown:
        return Shown(
            title=one["title"],
            body=one["body"],
            state="merged" if one.get("merged") else one["state"],
            labels=tuple(label["name"] for label in one["labels"]),
            merges_itself=one["number"] in gitea.scheduled,
        )

    def end(number: int, state: ProposalState) -> None:
        gitea.pulls[number].update(state="closed", merged=state is ProposalState.MERGED)
        # The branch is deleted: its name is left in the label alone.
        gitea.pulls[number]["head"]["ref"] = f"refs/pull/{number}/head"

    settings = ForgeSettings(
        progress=RecordedProgress(),
        repository=gitea_server.REPOSITORY,
        api_url=gitea.api_url,
        token=gitea_server.TOKEN,
    )
    return World(
        forge=FORGES["gitea"](settings),
        push=push,
        pull=lambda number: shown(gitea.pulls[number]),
        issue=lambda number: shown(gitea.issues[number]),
        edit=lambda number, body: gitea.pulls[number].update(body=body),
        end=end,
        someone_opens=lambda body: gitea.add_issue("mine", body, author="someone"),
        said=lambda number: [one["body"] for one in gitea.comments.get(number, [])],
        count_writes=lambda: _count_writes(gitea.requests),
        count_pulls=lambda: len(gitea.pulls) - 2,
        count_issues=lambda: len(gitea.issues),
    )


@pytest.fixture(
    params=["fake", "local", "github", "github enterprise", "gitlab", "gitlab below", "gitea"]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    match request.param:
        case "fake":
            yield fake_world()
        case "local":
            yield local_world(tmp_path / "forge")
        case "gitlab" | "gitlab below" as kind:
            prefix = "/gitlab" if kind == "gitlab below" else ""
            with forge_server.serve(FakeGitLab(prefix=prefix)) as gitlab:
                yield gitlab_world(gitlab)
        case "gitea":
            with forge_server.serve(FakeGitea()) as gitea:
                yield gitea_world(gitea)
        case kind:
            prefix = "/api/v3" if kind == "github enterprise" else ""
            with serve(FakeGitHub(prefix=prefix)) as github:
                yield github_world(github)


def propose(place: World, proposal: Proposal = PROPOSAL) -> PostedProposal:
    place.push(proposal.branch, proposal.head_sha)
    return place.forge.propose(proposal)


def test_a_pull_request_is_opened_with_its_evidence_and_labels(place: World) -> None:
    posted = propose(place)
    assert (posted.action, posted.state, posted.notes) == ("created", ProposalState.OPEN, ())
    assert posted.url
    shown = place.pull(posted.number)
    assert shown.title == "Retrain credit on 2026-03"
    assert shown.body == f"{MARKER}\nDrift: **0.31**"
    assert shown.state == "open"
    assert sorted(shown.labels) == ["modelci", "retrain"]
    assert not shown.merges_itself


def test_proposing_again_is_one_pull_request_and_no_write(place: World) -> None:
    first = propose(place)
    writes = place.count_writes()
    second = propose(place)
    assert (second.number, second.url, second.action) == (first.number, first.url, "unchanged")
    assert place.count_writes() == writes
    assert place.count_pulls() == 1


def test_a_new_window_updates_the_one_that_is_open(place: World) -> None:
    first = propose(place)
    title = "Retrain credit on 2026-04"
    second = propose(place, replace(PROPOSAL, title=title, body="worse", head_sha=NEXT))
    assert (second.number, second.action, second.head_sha) == (first.number, "updated", NEXT)
    shown = place.pull(first.number)
    assert (shown.title, shown.body) == (title, f"{MARKER}\nworse")
    assert sorted(shown.labels) == ["modelci", "retrain"]
    assert place.count_pulls() == 1


def test_what_people_write_above_the_marker_stays(place: World) -> None:
    posted = propose(place)
    place.edit(posted.number, f"Do not merge before Monday.\n\n{place.pull(posted.number).body}")
    propose(place, replace(PROPOSAL, body="worse"))
    expected = f"Do not merge before Monday.\n\n{MARKER}\nworse"
    assert place.pull(posted.number).body == expected


def test_a_text_that_people_wrote_themselves_is_kept_whole(place: World) -> None:
    posted = propose(place)
    place.edit(posted.number, "All mine.")
    propose(place)
    assert place.pull(posted.number).body == f"All mine.\n\n{MARKER}\nDrift: **0.31**"


@pytest.mark.parametrize("state", [ProposalState.CLOSED, ProposalState.MERGED])
def test_one_that_has_ended_is_found_and_the_next_is_a_new_one(
    place: World, state: ProposalState
) -> None:
    assert place.forge.find_proposal(BRANCH, base="main") is None
    first = propose(place)
    place.end(first.number, state)
    found = place.forge.find_proposal(BRANCH, base="main")
    assert found is not None
    assert (found.number, found.state, found.head_sha) == (first.number, state, SHA)
    second = propose(place, replace(PROPOSAL, head_sha=NEXT))
    assert second.action == "created"
    assert second.number != first.number
    assert place.pull(first.number).state == state
    found = place.forge.find_proposal(BRANCH, base="main")
    assert found is not None
    assert (found.number, found.state) == (second.number, ProposalState.OPEN)


def test_pull_requests_of_other_branches_are_not_found(place: World) -> None:
    propose(place)
    assert place.forge.find_proposal("modelci/retrain-other", base="main") is None
    assert place.forge.find_proposal(BRANCH, base="release") is None
    other = propose(place, replace(PROPOSAL, branch="modelci/retrain-other"))
    assert other.action == "created"
    assert place.count_pulls() == 2


def test_a_pull_request_is_withdrawn_with_a_word(place: World) -> None:
    posted = propose(place)
    closed = place.forge.withdraw(BRANCH, base="main", why="The data are in main.")
    assert closed is not None
    assert (closed.number, closed.action) == (posted.number, "closed")
    assert place.pull(posted.number).state == "closed"
    assert place.said(posted.number) == ["The data are in main."]
    assert place.forge.withdraw(BRANCH, base="main", why="Again.") is None
    assert place.said(posted.number) == ["The data are in main."]


def test_one_that_may_merges_itself_at_the_commit_that_was_proposed(place: World) -> None:
    posted = propose(place)
    place.push(BRANCH, SHA)  # GitLab starts a pipeline for it
    again = place.forge.propose(replace(PROPOSAL, auto_merge=True))
    assert again.notes == ()
    shown = place.pull(posted.number)
    assert (shown.merges_itself, shown.state) == (True, "open")


def test_a_text_that_is_too_long_is_cut(place: World) -> None:
    posted = propose(place, replace(PROPOSAL, body="drift\n" * 200_000))
    shown = place.pull(posted.number)
    assert shown.body.startswith(f"{MARKER}\ndrift\n")
    assert shown.body.endswith("… (cut)")
    assert propose(place, replace(PROPOSAL, body="drift\n" * 200_000)).action == "unchanged"


def test_an_issue_is_opened_updated_and_closed(place: World) -> None:
    first = place.forge.upsert_issue(ISSUE)
    assert (first.action, first.notes) == ("created", ())
    shown = place.issue(first.number)
    assert (shown.title, shown.body, shown.state) == (
        "credit drifts",
        f"{ALARM}\nPSI 0.31",
        "open",
    )
    assert shown.labels == ("modelci",)
    writes = place.count_writes()
    assert place.forge.upsert_issue(ISSUE).action == "unchanged"
    assert place.count_writes() == writes
    second = place.forge.upsert_issue(replace(ISSUE, body="PSI 0.40"))
    assert (second.number, second.action) == (first.number, "updated")
    assert place.issue(first.number).body == f"{ALARM}\nPSI 0.40"
    closed = place.forge.close_issue(ALARM, why="2026-05 is well again.")
    assert closed is not None
    assert (closed.number, closed.action) == (first.number, "closed")
    assert place.issue(first.number).state == "closed"
    assert place.said(first.number) == ["2026-05 is well again."]
    assert place.forge.close_issue(ALARM, why="Again.") is None
    assert place.count_issues() == 1


def test_the_text_of_a_local_issue_says_that_it_is_closed(tmp_path: Path) -> None:
    place = local_world(tmp_path)
    first = place.forge.upsert_issue(ISSUE)
    place.forge.close_issue(ALARM, why="2026-05 is well again.")
    said = place.issue(first.number).body
    assert said == f"**Closed.** 2026-05 is well again.\n\n{ALARM}\nPSI 0.31"
    assert place.forge.upsert_issue(ISSUE).number != first.number


def test_after_one_was_closed_the_next_is_a_new_one(place: World) -> None:
    first = place.forge.upsert_issue(ISSUE)
    place.forge.close_issue(ALARM, why="well")
    second = place.forge.upsert_issue(ISSUE)
    assert second.action == "created"
    assert second.number != first.number


def test_two_models_are_two_issues(place: World) -> None:
    other = "<!-- modelci: monitor churn -->"
    one = place.forge.upsert_issue(ISSUE)
    two = place.forge.upsert_issue(replace(ISSUE, marker=other))
    assert one.number != two.number
    place.forge.close_issue(other, why="well")
    assert place.issue(one.number).state == "open"


@pytest.mark.parametrize("others", [0, 120])
def test_the_marker_in_someone_elses_issue_is_not_ours(place: World, others: int) -> None:
    if place.forge.name == "the local forge":
        pytest.skip("a folder does not know who wrote what")
    for number in range(others):
        place.someone_opens(f"issue {number}")
    place.someone_opens(f"look what it said\n{ALARM}")
    first = place.forge.upsert_issue(ISSUE)
    assert first.action == "created"
    assert place.forge.upsert_issue(ISSUE).number == first.number
    assert place.count_issues() == others + 2


# -- what is each forge's own ------------------------------------------------------------------


def test_github_says_which_setting_keeps_actions_from_opening_one() -> None:
    with serve(FakeGitHub()) as github:
        github.may_open_pulls = False
        with pytest.raises(ForgeDeniedError) as caught:
            propose(github_world(github))
    assert "Allow GitHub Actions to create and approve" in (caught.value.hint or "")


def test_where_nothing_is_required_none_merges_itself() -> None:
    """It would merge at once, before any gate has judged it."""
    wanted = replace(PROPOSAL, auto_merge=True)
    with serve(FakeGitHub()) as github:
        github.required_checks = False
        place = github_world(github)
        posted = propose(place, wanted)
        assert "required" in posted.notes[0]
        assert place.pull(posted.number).state == "open"
    with forge_server.serve(FakeGitea(required_checks=False)) as gitea:
        place = gitea_world(gitea)
        posted = propose(place, wanted)
        assert "required" in posted.notes[0]
        assert place.pull(posted.number).state == "open"


@pytest.mark.parametrize(
    "pipeline",
    [None, {"sha": SHA, "status": "success"}, {"sha": NEXT, "status": "running"}],
    ids=["none", "ended", "of another commit"],
)
def test_gitlab_merges_nothing_at_once(pipeline: dict[str, str] | None) -> None:
    with forge_server.serve(FakeGitLab()) as gitlab:
        place = gitlab_world(gitlab)
        settings = ForgeSettings(
            progress=RecordedProgress(),
            repository=gitlab_server.PROJECT,
            api_url=gitlab.api_url,
            token=gitlab_server.TOKEN,
            wait_seconds=0.0,
        )
        place = replace(place, forge=FORGES["gitlab"](settings))
        posted = propose(place)
        gitlab.merge_requests[posted.number]["head_pipeline"] = pipeline
        again = place.forge.propose(replace(PROPOSAL, auto_merge=True))
        assert "no running pipeline" in again.notes[0]
        assert place.pull(posted.number).state == "open"


def test_a_reply_that_got_lost_opens_no_second_one() -> None:
    with serve(FakeGitHub()) as github:
        place = github_world(github)
        github.hang_up("POST", "/pulls", after=True)
        github.hang_up("POST", "/issues", after=True)
        posted, issue = propose(place), place.forge.upsert_issue(ISSUE)
        assert (place.count_pulls(), place.count_issues()) == (1, 1)
        assert sorted(place.pull(posted.number).labels) == ["modelci", "retrain"]
        assert place.issue(issue.number).labels == ("modelci",)


def test_somebody_who_was_faster_is_joined() -> None:
    """Two runs that look before either opens: the forge refuses the second."""
    with forge_server.serve(FakeGitLab()) as gitlab:
        place = gitlab_world(gitlab)
        propose(place)
        known = gitlab.merge_requests.pop(9)
        # The list is read before the other run has opened it, the refusal after.
        listing, handle = "GET", gitlab.routes
        seen = iter([False, True])

        def once(server: FakeGitLab, request: forge_server.Request) -> forge_server.Reply:
            reply = server.list_merge_requests(request)
            if not next(seen):
                server.merge_requests[9] = known
            return reply

        gitlab.routes = tuple(
            (method, path, once)
            if method == listing and path.endswith("/merge_requests") and "commits" not in path
            else (method, path, one)
            for method, path, one in handle
        )
        posted = place.forge.propose(replace(PROPOSAL, body="worse"))
    assert (posted.number, posted.action) == (9, "updated")


def test_labels_that_may_not_be_set_are_a_note() -> None:
    with serve(FakeGitHub()) as github:
        github.fail("POST", "/labels", 403, "Resource not accessible by integration")
        posted = propose(github_world(github))
    assert posted.action == "created"
    assert "no label modelci, retrain" in posted.notes[0]
    assert "pull-requests: write" in posted.notes[0]


@pytest.mark.parametrize(
    ("path", "needs"), [("/pulls", "pull-requests: write"), ("/issues", "issues: write")]
)
def test_github_names_the_permission_that_is_missing(path: str, needs: str) -> None:
    with serve(FakeGitHub()) as github:
        place = github_world(github)
        github.fail("POST", path, 403, "Resource not accessible by integration")
        with pytest.raises(ForgeDeniedError) as caught:
            propose(place) if path == "/pulls" else place.forge.upsert_issue(ISSUE)
    assert needs in (caught.value.hint or "")


def test_an_issue_that_two_runs_opened_is_one_again() -> None:
    with serve(FakeGitHub()) as github:
        place = github_world(github)
        for _ in range(2):
            github.add_issue("credit drifts", f"{ALARM}\nPSI 0.31", author="github-actions[bot]")
        posted = place.forge.upsert_issue(ISSUE)
        first, second = sorted(github.issues)
        assert posted.number == first
        assert [github.issues[one]["state"] for one in (first, second)] == ["open", "closed"]
        assert place.said(second) == [f"The same as #{first}."]


def test_a_forge_that_refuses_says_so() -> None:
    forge = FakeForge(denied={"propose"})
    with pytest.raises(ForgeError):
        forge.propose(PROPOSAL)
