"""Deployments on every forge: found again, brought up to date, and replaced by what comes next."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import forge_server, gitea_server, github_server, gitlab_server
from tests.fakes.forge import FakeForge
from tests.fakes.gitea_server import FakeGitea
from tests.fakes.github_server import FakeGitHub
from tests.fakes.gitlab_server import FakeGitLab
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge import gitea_replies, github_replies, gitlab_replies
from modelci.adapters.forge.deploying import clip
from modelci.adapters.forge.gitea import GiteaForge
from modelci.adapters.forge.github import GitHubForge
from modelci.adapters.forge.gitlab import GitLabForge
from modelci.adapters.forge.http import ForgeClient, Judge
from modelci.adapters.forge.local import LocalForge
from modelci.errors import ForgeDeniedError, ForgeError
from modelci.ports import DeploymentStatus, Forge, ForgeDeployment, PostedDeployment

SHA = "a" * 40
OTHER_SHA = "b" * 40
ODD_TAGS = (
    "credit#prod#7",
    "models/credit@v1.2.0",
    "models/sub=credit#prod#1",
    "credit@v2.0.0-rc.1+cu12.4",
)
TAGS = {"credit@v1.0.0": SHA, "credit@v1.1.0": OTHER_SHA, "churn@v3.0.0": SHA}
LOST = "this run is gone"

QUEUED, IN_PROGRESS, SUCCESS, FAILURE, ERROR, INACTIVE = DeploymentStatus


@dataclass(frozen=True, kw_only=True)
class Host:
    """A forge: ``connect`` as each job does, ``seen`` tells what it shows of a tag, by itself."""

    connect: Callable[[], Forge]
    seen: Callable[[str], str]
    count_writes: Callable[[], object]


def connect(name: str, api_url: str, token: str, judge: Judge) -> ForgeClient:
    """Return a client that waits in no time."""
    return ForgeClient(
        name, api_url, token, judge=judge, progress=RecordedProgress(), sleep=lambda _: None
    )


def fake_host() -> Host:
    forge = FakeForge()
    return Host(
        connect=lambda: forge,
        seen=lambda tag: next(
            one.deployment.status.value for one in forge.deployed if one.deployment.tag == tag
        ),
        count_writes=lambda: list(forge.deployed),
    )


def local_host(folder: Path) -> Host:
    def seen(tag: str) -> str:
        files = (folder / "deployments").glob("*.json")
        found = [one["deployment"] for file in files for one in json.loads(file.read_text())]
        return next(str(one["status"]) for one in found if one["tag"] == tag)

    return Host(
        connect=lambda: LocalForge(folder),
        seen=seen,
        count_writes=lambda: {one: one.stat().st_mtime_ns for one in folder.rglob("*.json")},
    )


def on_github(github: FakeGitHub) -> Callable[[], Forge]:
    return lambda: GitHubForge(
        connect("GitHub", github.api_url, github_server.TOKEN, github_replies.judge),
        github_server.REPOSITORY,
    )


def github_host(github: FakeGitHub) -> Host:
    github.tags.update(TAGS)
    github.tags.update(dict.fromkeys(ODD_TAGS, SHA))
    return Host(
        connect=on_github(github),
        seen=lambda tag: github.state(next(one for one in github.deployments if one["ref"] == tag)),
        count_writes=lambda: sum(one.method != "GET" for one in github.requests),
    )


def on_gitlab(gitlab: FakeGitLab) -> Callable[[], Forge]:
    return lambda: GitLabForge(
        connect("GitLab", gitlab.api_url, gitlab_server.TOKEN, gitlab_replies.judge),
        gitlab.api_url,
        gitlab_server.PROJECT,
        progress=RecordedProgress(),
    )


def gitlab_host(gitlab: FakeGitLab) -> Host:
    gitlab.tags.update([*TAGS, *ODD_TAGS])
    words = {"running": "in_progress", "failed": "failure", "canceled": "inactive"}

    def seen(tag: str) -> str:
        found = [one["status"] for one in gitlab.deployments if one["ref"] == tag]
        return words.get(found[-1], str(found[-1]))

    return Host(
        connect=on_gitlab(gitlab),
        seen=seen,
        count_writes=lambda: sum(one.method != "GET" for one in gitlab.requests),
    )


def on_gitea(gitea: FakeGitea) -> Callable[[], Forge]:
    return lambda: GiteaForge(
        connect("Gitea", gitea.api_url, gitea_server.TOKEN, gitea_replies.judge),
        gitea_server.REPOSITORY,
        progress=RecordedProgress(),
    )


def gitea_host(gitea: FakeGitea) -> Host:
    words = {"pending": "in_progress", "warning": "inactive"}

    def seen(tag: str) -> str:
        found = [one for one in gitea.statuses if one["description"].split(": ")[0] == tag]
        return words.get(found[-1]["status"], str(found[-1]["status"]))

    return Host(
        connect=on_gitea(gitea),
        seen=seen,
        count_writes=lambda: sum(one.method != "GET" for one in gitea.requests),
    )


LISTING = ["fake", "local", "github", "github enterprise", "gitlab", "gitlab below"]


@pytest.fixture(params=[*LISTING, "gitea"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    match request.param:
        case "fake":
            yield fake_host()
        case "local":
            yield local_host(tmp_path / "forge")
        case "github" | "github enterprise" as kind:
            prefix = "/api/v3" if kind == "github enterprise" else ""
            with github_server.serve(FakeGitHub(prefix=prefix)) as github:
                yield github_host(github)
        case "gitea":
            with forge_server.serve(FakeGitea()) as gitea:
                yield gitea_host(gitea)
        case kind:
            prefix = "/gitlab" if kind == "gitlab below" else ""
            with forge_server.serve(FakeGitLab(prefix=prefix)) as gitlab:
                yield gitlab_host(gitlab)


listing = pytest.mark.parametrize("host", LISTING, indirect=True)


def make(tag: str = "credit@v1.0.0", status: DeploymentStatus = SUCCESS) -> ForgeDeployment:
    artifact, _, version = tag.replace("#", "@", 1).partition("@")
    return ForgeDeployment(
        environment="prod",
        artifact=artifact.replace("=", ":", 1),
        version=version if version.startswith("v") else None,
        tag=tag,
        sha=TAGS.get(tag, SHA),
        status=status,
        description=f"{status} in 4 s",
        log_url="https://ci.example/runs/5",
        environment_url="https://credit.example/",
    )


def deploy(
    host: Host, tag: str = "credit@v1.0.0", status: DeploymentStatus = SUCCESS
) -> PostedDeployment:
    return host.connect().set_deployment(make(tag, status))


def shown(host: Host, environment: str | None = "prod") -> list[tuple[str, str]]:
    found = host.connect().deployments(environment, limit=100)
    return [(one.deployment.tag, one.deployment.status.value) for one in found]


# What every forge promises


def test_a_deployment_is_created_and_then_succeeds(host: Host) -> None:
    first = deploy(host, status=IN_PROGRESS)
    assert first.action == "created"
    assert host.seen("credit@v1.0.0") == "in_progress"
    second = deploy(host, status=SUCCESS)
    assert (second.action, second.url, second.kind) == ("updated", first.url, first.kind)
    assert second.url
    assert host.seen("credit@v1.0.0") == "success"


@pytest.mark.parametrize("status", list(DeploymentStatus))
def test_what_is_said_again_is_not_written_again(host: Host, status: DeploymentStatus) -> None:
    first = deploy(host, status=status)
    before = host.count_writes()
    second = deploy(host, status=status)
    assert (first.action, second.action) == ("created", "unchanged")
    assert host.count_writes() == before


@pytest.mark.parametrize("tag", ODD_TAGS)
def test_a_tag_arrives_as_it_is(host: Host, tag: str) -> None:
    posted = [deploy(host, tag, status) for status in (IN_PROGRESS, FAILURE)]
    assert [one.action for one in posted] == ["created", "updated"]
    assert {one.deployment.tag for one in posted} == {tag}
    assert host.seen(tag) == "failure"


@pytest.mark.parametrize("environment", ["prod/eu-west", "Prod & Co #1", "..", "käse"])
def test_an_environment_arrives_as_it_is(host: Host, environment: str) -> None:
    wanted = replace(make(), environment=environment)
    posted = [host.connect().set_deployment(wanted) for _ in range(2)]
    assert [one.action for one in posted] == ["created", "unchanged"]
    assert posted[0].deployment.environment == environment


@pytest.mark.parametrize("text", ["", "AUC ↑ 👍🏽 " * 100, "two\nlines", "model\udcff.pkl"])
def test_a_description_of_any_length_and_script_is_taken(host: Host, text: str) -> None:
    wanted = replace(make(), description=text)
    posted = [host.connect().set_deployment(wanted) for _ in range(2)]
    assert [one.action for one in posted] == ["created", "unchanged"]


def test_several_artifacts_of_one_commit_share_an_environment(host: Host) -> None:
    deploy(host, "credit@v1.0.0", FAILURE)
    assert deploy(host, "churn@v3.0.0").action == "created"
    assert (host.seen("credit@v1.0.0"), host.seen("churn@v3.0.0")) == ("failure", "success")


# Where there is a list of them


@listing
def test_a_run_cut_short_goes_on_with_its_deployment(host: Host) -> None:
    for status in (QUEUED, IN_PROGRESS, FAILURE, IN_PROGRESS, IN_PROGRESS, SUCCESS, SUCCESS):
        deploy(host, status=status)
    assert shown(host) == [("credit@v1.0.0", "success")]


@listing
def test_a_success_replaces_what_ran_there(host: Host) -> None:
    deploy(host, "credit@v1.0.0")
    deploy(host, "credit@v1.1.0", IN_PROGRESS)
    assert shown(host) == [("credit@v1.1.0", "in_progress"), ("credit@v1.0.0", "success")]
    deploy(host, "credit@v1.1.0")
    assert shown(host) == [("credit@v1.1.0", "success"), ("credit@v1.0.0", "inactive")]


@listing
@pytest.mark.parametrize("status", [FAILURE, ERROR])
def test_a_failure_replaces_nothing(host: Host, status: DeploymentStatus) -> None:
    deploy(host, "credit@v1.0.0")
    deploy(host, "credit@v1.1.0", IN_PROGRESS)
    deploy(host, "credit@v1.1.0", status)
    assert ("credit@v1.0.0", "success") in shown(host)


@listing
def test_other_artifacts_and_environments_are_left_alone(host: Host) -> None:
    deploy(host, "churn@v3.0.0")
    host.connect().set_deployment(replace(make("credit@v1.0.0"), environment="staging"))
    deploy(host, "credit@v1.0.0")
    deploy(host, "credit@v1.1.0")
    assert shown(host, "staging") == [("credit@v1.0.0", "success")]
    assert shown(host, "prod") == [
        ("credit@v1.1.0", "success"),
        ("credit@v1.0.0", "inactive"),
        ("churn@v3.0.0", "success"),
    ]


@listing
def test_what_was_replaced_and_comes_back_is_the_newest(host: Host) -> None:
    for tag in ("credit@v1.0.0", "credit@v1.1.0", "credit@v1.0.0", "credit@v1.0.0"):
        deploy(host, tag, IN_PROGRESS)
        deploy(host, tag)
    assert shown(host) == [
        ("credit@v1.0.0", "success"),
        ("credit@v1.1.0", "inactive"),
        ("credit@v1.0.0", "inactive"),
    ]


@listing
def test_what_was_taken_away_is_inactive_until_it_is_deployed_anew(host: Host) -> None:
    deploy(host)
    deploy(host, status=INACTIVE)
    assert shown(host) == [("credit@v1.0.0", "inactive")]
    deploy(host)
    assert shown(host) == [("credit@v1.0.0", "success"), ("credit@v1.0.0", "inactive")]


@listing
def test_the_newest_are_listed_first(host: Host) -> None:
    forge = host.connect()
    assert forge.deployments("prod", limit=5) == ()
    for number, tag in enumerate(TAGS):
        forge.set_deployment(replace(make(tag, FAILURE), environment=f"site-{number % 2}"))
    tags = list(TAGS)
    found = forge.deployments(limit=2)
    assert [one.deployment.tag for one in found] == [tags[2], tags[1]]
    assert [one.deployment.tag for one in forge.deployments("site-0", limit=9)] == [
        tags[2],
        tags[0],
    ]
    newest = found[0].deployment
    assert (newest.environment, newest.artifact, newest.version) == ("site-0", "churn", "v3.0.0")
    assert (newest.sha, newest.status) == (SHA, FAILURE)


def test_a_forge_without_a_list_says_so() -> None:
    with forge_server.serve(FakeGitea()) as gitea:
        deploy(gitea_host(gitea))
        with pytest.raises(ForgeError, match="status of the commit") as caught:
            on_gitea(gitea)().deployments("prod", limit=5)
    assert "modelci registry show" in (caught.value.hint or "")


STEPS = st.lists(
    st.tuples(st.sampled_from(list(TAGS)), st.sampled_from([IN_PROGRESS, FAILURE, SUCCESS])),
    max_size=12,
)


@settings(deadline=None, max_examples=200)
@given(steps=STEPS)
def test_whatever_happens_what_succeeded_last_is_what_runs(
    steps: list[tuple[str, DeploymentStatus]],
) -> None:
    host = fake_host()
    for tag, status in steps:
        deploy(host, tag, status)
        history = shown(host)
        artifact = tag.partition("@")[0]
        assert (tag, status.value) in history
        if status is SUCCESS:
            running = [one for one in history if one[1] == "success"]
            assert [one for one, _ in running if one.startswith(artifact)] == [tag]
        assert deploy(host, tag, status).action == "unchanged"
        assert shown(host) == history


# GitHub


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with github_server.serve(FakeGitHub()) as server:
        server.tags.update(TAGS)
        yield server


def test_on_github_a_deployment_says_what_it_brings(github: FakeGitHub) -> None:
    wanted = replace(make("credit@v1.1.0"), is_production=True)
    posted = on_github(github)().set_deployment(wanted)
    (made,) = github.deployments
    assert made["task"] == "deploy:modelci"
    assert made["payload"] == {"artifact": "credit", "version": "v1.1.0"}
    assert made["description"] == "credit v1.1.0"
    assert (made["production_environment"], made["transient_environment"]) == (True, False)
    (status,) = github.deployment_statuses[made["id"]]
    assert status["log_url"] == "https://ci.example/runs/5"
    assert status["environment_url"] == "https://credit.example/"
    assert posted.url == f"{github.url}/acme/credit/deployments/prod"
    assert posted.creator == github_server.BOT
    assert posted.seconds == 1767323045  # the fake's 2026-01-02T03:04:05Z


@pytest.mark.parametrize("is_production", [True, False])
def test_on_github_what_ran_is_replaced_in_production_too(
    github: FakeGitHub, *, is_production: bool
) -> None:
    for tag in ("churn@v3.0.0", "credit@v1.0.0", "credit@v1.1.0"):
        on_github(github)().set_deployment(replace(make(tag), is_production=is_production))
    states = {one["ref"]: github.state(one) for one in github.deployments}
    assert states == {
        "churn@v3.0.0": "success",
        "credit@v1.0.0": "inactive",
        "credit@v1.1.0": "success",
    }


def test_on_github_a_first_status_takes_three_requests(github: FakeGitHub) -> None:
    on_github(github)().set_deployment(make(status=IN_PROGRESS))
    number = github.deployments[0]["id"]
    create = ["GET /deployments", "POST /deployments", f"POST /deployments/{number}/statuses"]
    assert github.asked() == create


def test_on_github_the_deployments_of_workflows_jobs_are_not_ours(github: FakeGitHub) -> None:
    jobs = github.add_deployment("credit@v1.0.0", "prod")
    forge = on_github(github)()
    assert forge.set_deployment(make()).action == "created"
    assert github.deployment_statuses[jobs["id"]] == []
    assert len(forge.deployments("prod", limit=9)) == 1


def test_on_github_a_list_that_ignores_the_filter_finds_no_others(github: FakeGitHub) -> None:
    forge = on_github(github)()
    forge.set_deployment(replace(make(), environment="staging"))
    github.add_deployment("credit@v1.0.0", "prod")
    listed = github_server.Reply(body=list(github.deployments))
    fault = github_server.Fault(method="GET", path="/deployments", reply=listed)
    github.faults.append(fault)
    assert forge.set_deployment(make()).action == "created"


def test_on_github_a_deployment_is_found_among_many(github: FakeGitHub) -> None:
    forge = on_github(github)()
    forge.set_deployment(make(status=IN_PROGRESS))
    for _ in range(250):
        github.add_deployment("churn@v3.0.0", "prod", task="deploy:modelci")
    github.requests.clear()
    assert forge.set_deployment(make(status=FAILURE)).action == "updated"
    assert github.asked().count("GET /deployments") == 3


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("path", ["/deployments", "/statuses"])
@pytest.mark.parametrize("how", ["502", "cut"])
def test_on_github_a_lost_reply_makes_no_second_deployment(
    github: FakeGitHub, path: str, how: str, *, after: bool
) -> None:
    if how == "cut":
        github.hang_up("POST", path, after=after)
    else:
        github.fail("POST", path, 502, "Bad Gateway", after=after)
    posted = on_github(github)().set_deployment(make())
    assert posted.deployment.status is SUCCESS
    (made,) = github.deployments
    assert [one["state"] for one in github.deployment_statuses[made["id"]]] == ["success"]


def test_on_github_what_a_run_cut_short_left_running_is_made_inactive(github: FakeGitHub) -> None:
    """The run ends between its own success and the end of what ran before."""
    forge = on_github(github)()
    forge.set_deployment(make("credit@v1.0.0"))
    old = github.deployments[0]

    def die(server: FakeGitHub, request: github_server.Request) -> None:
        if request.method == "POST" and request.path.endswith(f"/{old['id']}/statuses"):
            server.fail("POST", request.path, 403, LOST)

    github.before = die
    with pytest.raises(ForgeError, match=LOST):
        forge.set_deployment(make("credit@v1.1.0"))
    github.before = None
    assert [github.state(one) for one in github.deployments] == ["success", "success"]

    assert forge.set_deployment(make("credit@v1.1.0")).action == "unchanged"

    assert [github.state(one) for one in github.deployments] == ["success", "inactive"]
    last = github.deployment_statuses[old["id"]][-1]
    assert last["description"] == "Replaced by credit@v1.1.0"
    assert last["environment_url"] == "https://credit.example/"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/deployments"), ("POST", "/deployments"), ("POST", "/statuses")]
)
def test_on_github_a_refusal_names_the_permission(
    github: FakeGitHub, method: str, path: str
) -> None:
    github.fail(method, path, 403, "Resource not accessible by integration")
    with pytest.raises(ForgeDeniedError) as caught:
        on_github(github)().set_deployment(make())
    hint = caught.value.hint or ""
    assert "Write `deployments: write` below the job's `permissions:`" in hint


def test_on_github_a_refused_list_names_what_reading_takes(github: FakeGitHub) -> None:
    github.fail("GET", "/deployments", 403, "Resource not accessible by integration")
    with pytest.raises(ForgeDeniedError) as caught:
        on_github(github)().deployments(limit=5)
    assert "`deployments: read`" in (caught.value.hint or "")


def test_on_github_a_tag_that_was_not_pushed_is_named(github: FakeGitHub) -> None:
    with pytest.raises(ForgeError, match=r"no tag credit@v9\.0\.0 to deploy") as caught:
        on_github(github)().set_deployment(make("credit@v9.0.0"))
    assert caught.value.hint == "Push it first: git push origin credit@v9.0.0"


def test_on_github_a_tag_at_another_commit_deploys_nothing(github: FakeGitHub) -> None:
    github.tags["credit@v1.0.0"] = OTHER_SHA
    with pytest.raises(ForgeError, match="is at bbbbbbb; aaaaaaa was to be deployed"):
        on_github(github)().set_deployment(make("credit@v1.0.0"))
    (made,) = github.deployments
    assert github.state(made) == "error"


def test_on_github_what_others_wrote_into_a_deployment_is_no_trouble(github: FakeGitHub) -> None:
    for payload in ("", "{", {"artifact": 7}, {"artifact": "credit", "version": 1}):
        odd = github.add_deployment("credit@v1.0.0", "prod", task="deploy:modelci")
        odd["payload"] = payload
    forge = on_github(github)()
    assert forge.set_deployment(make("credit@v1.1.0")).action == "created"
    statuses = [one.deployment.status for one in forge.deployments("prod", limit=9)]
    assert statuses == [SUCCESS, QUEUED, QUEUED, QUEUED, QUEUED]


# GitLab


@pytest.fixture
def gitlab() -> Iterator[FakeGitLab]:
    with forge_server.serve(FakeGitLab()) as server:
        server.tags.update(TAGS)
        yield server


def test_on_gitlab_a_deployment_is_of_a_tag_and_a_commit(gitlab: FakeGitLab) -> None:
    posted = on_gitlab(gitlab)().set_deployment(make(status=QUEUED))
    (made,) = gitlab.deployments
    assert (made["ref"], made["tag"], made["sha"]) == ("credit@v1.0.0", True, SHA)
    assert made["status"] == "running"
    assert posted.url == f"{gitlab.url}/{gitlab_server.PROJECT}/-/environments/1"
    assert posted.creator == gitlab_server.BOT
    assert (posted.deployment.status, posted.deployment.description) == (IN_PROGRESS, "")


def test_on_gitlab_the_deployments_of_jobs_and_branches_are_not_ours(gitlab: FakeGitLab) -> None:
    job = {"id": 5, "name": "deploy"}
    fields = {"sha": SHA, "tag": True, "status": "success"}
    gitlab.add_deployment("prod", ref="credit@v1.0.0", deployable=job, **fields)
    gitlab.add_deployment("prod", ref="main", **fields)
    forge = on_gitlab(gitlab)()
    assert forge.set_deployment(make()).action == "created"
    assert len(forge.deployments("prod", limit=9)) == 1


def test_on_gitlab_what_has_ended_waits_for_how_it_ends_this_time(gitlab: FakeGitLab) -> None:
    forge = on_gitlab(gitlab)()
    actions = [
        forge.set_deployment(make(status=status)).action
        for status in (IN_PROGRESS, FAILURE, IN_PROGRESS, SUCCESS)
    ]
    assert actions == ["created", "updated", "unchanged", "updated"]
    assert [one["status"] for one in gitlab.deployments] == ["success"]


def test_on_gitlab_a_deployment_is_found_among_many(gitlab: FakeGitLab) -> None:
    forge = on_gitlab(gitlab)()
    forge.set_deployment(make(status=IN_PROGRESS))
    for _ in range(250):
        gitlab.add_deployment("prod", ref="churn@v3.0.0", sha=SHA, tag=True, status="success")
    assert forge.set_deployment(make(status=FAILURE)).action == "updated"


@pytest.mark.parametrize("after", [False, True])
def test_on_gitlab_a_lost_reply_makes_no_second_deployment(
    gitlab: FakeGitLab, *, after: bool
) -> None:
    gitlab.fail("POST", "/deployments", 502, "Bad Gateway", after=after)
    on_gitlab(gitlab)().set_deployment(make())
    assert [one["status"] for one in gitlab.deployments] == ["success"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/deployments"), ("PUT", "/deployments/1")])
def test_on_gitlab_a_refusal_names_token_and_role(
    gitlab: FakeGitLab, method: str, path: str
) -> None:
    forge = on_gitlab(gitlab)()
    if method == "PUT":
        forge.set_deployment(make(status=IN_PROGRESS))
        path = f"/deployments/{gitlab.deployments[0]['id']}"
    gitlab.fail(method, path, 403, "403 Forbidden")
    with pytest.raises(ForgeDeniedError) as caught:
        forge.set_deployment(make())
    hint = caught.value.hint or ""
    assert "GITLAB_TOKEN must have the scope `api`, and to deploy:" in hint
    assert "the role Developer" in hint


def test_on_gitlab_a_tag_that_was_not_pushed_is_named(gitlab: FakeGitLab) -> None:
    with pytest.raises(ForgeError, match=r"no tag credit@v9\.0\.0 to deploy") as caught:
        on_gitlab(gitlab)().set_deployment(make("credit@v9.0.0"))
    assert caught.value.hint == "Push it first: git push origin credit@v9.0.0"


# Gitea


def test_on_gitea_a_commits_status_names_environment_artifact_and_tag() -> None:
    with forge_server.serve(FakeGitea()) as gitea:
        posted = on_gitea(gitea)().set_deployment(make("credit#prod#7"))
    (status,) = gitea.statuses
    assert status["context"] == "deploy/prod/credit"
    assert status["description"] == "credit#prod#7: success in 4 s"
    assert status["target_url"] == "https://ci.example/runs/5"
    assert (posted.kind, posted.url) == ("commit status", "https://ci.example/runs/5")


def test_on_gitea_the_newest_status_of_a_context_counts() -> None:
    with forge_server.serve(FakeGitea()) as gitea:
        host = gitea_host(gitea)
        for status in (IN_PROGRESS, FAILURE, IN_PROGRESS, FAILURE):
            deploy(host, status=status)
            assert host.seen("credit@v1.0.0") == status.value
        assert len(gitea.statuses) == 4


def test_on_gitea_a_refusal_names_the_permission() -> None:
    with forge_server.serve(FakeGitea()) as gitea:
        gitea.fail("POST", f"/statuses/{SHA}", 403, "forbidden")
        with pytest.raises(ForgeDeniedError) as caught:
            on_gitea(gitea)().set_deployment(make())
    assert "`write:repository`" in (caught.value.hint or "")


# The local forge


def test_local_files_keep_the_newest_and_what_still_runs(tmp_path: Path) -> None:
    host = local_host(tmp_path)
    deploy(host, "churn@v3.0.0")
    for number in range(120):
        deploy(host, f"credit@v2.0.{number}", FAILURE)
    entries = json.loads((tmp_path / "deployments" / "prod.json").read_text())
    assert len(entries) == 101
    assert entries[0]["deployment"]["tag"] == "credit@v2.0.119"
    assert entries[-1]["deployment"]["tag"] == "churn@v3.0.0"


def test_a_local_file_that_lists_no_deployments_is_named(tmp_path: Path) -> None:
    file = tmp_path / "deployments" / "prod.json"
    file.parent.mkdir()
    file.write_text('[{"id": "seven"}]')
    with pytest.raises(ForgeError, match=r"prod\.json lists no deployments") as caught:
        deploy(local_host(tmp_path))
    assert "remove it" in (caught.value.hint or "")
    assert file.read_text() == '[{"id": "seven"}]'


# Cutting


@given(text=st.text(), size=st.integers(min_value=3, max_value=200))
def test_a_clipped_text_is_one_line_that_fits(text: str, size: int) -> None:
    line = " ".join(text.split())
    clipped = clip(text, size)
    assert len(clipped.encode()) <= size
    assert clipped == line or (clipped.endswith("…") and line.startswith(clipped[:-1]))
    assert clip(clipped, size) == clipped
