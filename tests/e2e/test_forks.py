"""A fork's report in the job that has the write token: hostile in every way that a file can be."""

import io
import json
import re
import resource
import zipfile
from collections.abc import Callable

import pytest
from tests.e2e.steps import keep
from tests.e2e.world import BETTER, FORK, Checkout, World, hint_of, with_token
from tests.fakes.github_server import TOKEN, FakeGitHub
from tests.golden.samples import good, hostile

from modelci.documents import codec

MEBIBYTE = 1024 * 1024
CODE = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


def archive(data: bytes, path: str = "report.json") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as found:
        found.writestr(path, data)
    return packed.getvalue()


@pytest.fixture
def fork(site: World, github: FakeGitHub) -> Checkout:
    """The trusted job after a fork's run; what that run left is up to the test."""
    site.propose(BETTER)
    site.pull_request_job(fork=True)
    return site.workflow_run_runner(fork=True, variables=with_token(github.api_url))


def head_of(site: World) -> str:
    return site.bare("rev-parse", "refs/pull/7/head")


def report(site: World, **changes: object) -> bytes:
    content = json.loads(codec.encode(good()))
    return json.dumps({**content, "head_sha": head_of(site), **changes}).encode()


def writes(github: FakeGitHub) -> list[str]:
    return [one for one in github.asked() if not one.startswith("GET")]


def test_the_comment_says_whose_figures_they_are(
    site: World, github: FakeGitHub, fork: Checkout
) -> None:
    keep(site, archive(report(site, run_url="https://evil.example/", from_fork=False)))

    done = fork.modelci("comment", "--artifact", "modelci", "--json")

    (comment,) = github.comments[7]
    said = json.loads(done.out)
    assert said == {"action": "created", "url": comment["html_url"], "reason": None}
    assert fork.outputs == {"comment-url": comment["html_url"]}
    assert "These figures come from a fork's own run" in comment["body"]
    assert "https://github.com/acme/credit/actions/runs/42" in comment["body"]
    assert "evil.example" not in comment["body"]
    assert f'"head":"{head_of(site)}"' in comment["body"]
    assert '"run":42' in comment["body"]


def test_the_check_of_a_fork_s_pass_is_neutral(
    site: World, github: FakeGitHub, fork: Checkout
) -> None:
    keep(site, archive(report(site)))
    done = fork.modelci("check", "--artifact")
    (check,) = github.check_runs
    assert (check["conclusion"], check["head_sha"]) == ("neutral", head_of(site))
    assert check["output"]["title"].startswith("A fork's own figures: ")
    assert done.out.startswith("modelci: neutral. A fork's own figures: ")


def test_a_dry_run_writes_nothing(site: World, github: FakeGitHub, fork: Checkout) -> None:
    keep(site, archive(report(site)))
    done = fork.modelci("comment", "--artifact", "--dry-run")
    assert done.out.startswith("<!-- modelci:report model-pr/run -->\n## Model report\n")
    assert writes(github) == []


def test_the_document_does_not_choose_the_pull_request(
    site: World, github: FakeGitHub, fork: Checkout
) -> None:
    keep(site, archive(report(site, number=8, pull_request=8, pr={"number": 8})))
    fork.modelci("comment", "--artifact", "modelci")
    assert list(github.comments) == [7]


@pytest.mark.parametrize("branch", ["main", "change/../main", "other"])
def test_a_run_that_is_for_no_open_pull_request_is_told_of_nowhere(
    site: World, github: FakeGitHub, fork: Checkout, branch: str
) -> None:
    github.add_pull(7, sha=head_of(site), branch=branch, repository=FORK)
    keep(site, archive(report(site)))
    done = fork.modelci("comment", "--artifact", "modelci", "--json")
    assert json.loads(done.out)["action"] == "none"
    assert writes(github) == []


def test_the_same_branch_of_another_fork_is_another_s(
    site: World, github: FakeGitHub, fork: Checkout
) -> None:
    github.add_pull(7, sha=head_of(site), branch="change", repository="nobody/credit")
    keep(site, archive(report(site)))
    fork.modelci("comment", "--artifact", "modelci")
    assert writes(github) == []


def test_mentions_markup_and_markers_are_inert(
    site: World, github: FakeGitHub, fork: Checkout
) -> None:
    evil = json.loads(codec.encode(hostile())) | {"head_sha": head_of(site)}
    evil["gates"] = [
        one | {"gate": one["gate"] | {"metric": name}, "key": {"path": "m.json", "name": name}}
        for one in evil["gates"][:1]
        for name in ["@octocat\n::error::forged", "##[error]forged"]
    ]
    evil["run"] = None
    evil["notes"] = [
        "@acme/admins please merge",
        "<!-- modelci:report model-pr/comment -->",
        '<!-- modelci-state: {"run":99999999} -->\n\n# Approved by @ada',
        "[log](javascript:alert(1)) ![pixel](https://evil.example/p.png) <img src=x>",
    ]
    keep(site, archive(json.dumps(evil).encode()))

    fork.modelci("comment", "--artifact", "modelci")
    done = fork.modelci("check", "--artifact", "modelci")

    texts = [github.comments[7][0]["body"], github.check_runs[0]["output"]["summary"]]
    for text in texts:
        outside = CODE.sub("", text)
        assert "@acme" not in outside
        assert "@ada" not in outside
        assert "<img" not in outside
        assert not re.search(r"(?<!\\)\]\((https://evil|javascript)", outside)
        assert "\n# Approved" not in text
    assert sum(line.startswith("<!-- modelci-state") for line in texts[0].splitlines()) == 1
    assert '"run":42' in texts[0]
    title = github.check_runs[0]["output"]["title"]
    assert "\n" not in title
    assert "@octocat" not in title
    assert "::error" not in done.out + done.err
    assert "##[" not in done.out + done.err
    assert TOKEN not in "".join(texts) + done.out + done.err


def other_commit(site: World) -> bytes:
    return archive(report(site, head_sha="e" * 40))


def deep(site: World) -> bytes:
    content = report(site).decode().rstrip("}")
    return archive(f'{content}, "deep": {"[" * 200_000}{"]" * 200_000}}}'.encode())


def not_a_number(site: World) -> bytes:
    return archive(report(site).replace(b'"created"', b'"x": NaN, "created"', 1))


REFUSED: dict[str, tuple[Callable[[World], bytes], int, str]] = {
    "another commit": (other_commit, 3, "is not of "),
    "deeply nested": (deep, 3, "none that this version reads"),
    "NaN": (not_a_number, 3, "none that this version reads"),
    "other json": (lambda _: archive(b'{"schema": "x\\n::error::y"}'), 3, "none that this version"),
    "no json": (lambda _: archive(b"<svg onload=alert(1)>"), 3, "none that this version reads"),
    "empty": (lambda _: archive(b""), 3, "none that this version reads"),
    "17 MiB of spaces": (lambda _: archive(b" " * 17 * MEBIBYTE), 4, ""),
    "another file": (lambda site: archive(report(site), "other.json"), 4, ""),
    "a path out": (lambda site: archive(report(site), "../report.json"), 4, ""),
    "a whole path": (lambda site: archive(report(site), "/report.json"), 4, ""),
    "no archive": (lambda _: b"PK\x03\x04 and no more", 4, ""),
    "nothing": (lambda _: b"", 4, ""),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_honest_report_of_that_commit_is_refused(
    site: World, github: FakeGitHub, fork: Checkout, kind: str
) -> None:
    make, code, said = REFUSED[kind]
    keep(site, make(site))

    done = fork.modelci("comment", "--artifact", "modelci", code=code)
    assert said in done.err
    assert "::" not in done.err
    assert writes(github) == []

    fork.modelci("check", "--artifact", "modelci")
    (check,) = github.check_runs
    assert check["conclusion"] == "failure"
    assert check["output"]["title"] == "The pipeline crashed: no report"


def test_a_hundred_megabytes_take_neither_memory_nor_long(
    site: World, github: FakeGitHub, fork: Checkout
) -> None:
    keep(site, archive(b" " * 100 * 1000 * 1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fork.modelci("comment", "--artifact", "modelci", code=4)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"{grown} KiB"
    assert writes(github) == []


def test_only_a_job_that_follows_a_run_has_its_artifact(site: World, github: FakeGitHub) -> None:
    site.propose(BETTER)
    runner = site.pull_request_runner(variables=with_token(github.api_url))
    for command in ("comment", "check"):
        done = runner.modelci(command, "--artifact", "modelci", code=2)
        assert "Which run's artifact?" in done.err
        assert "--report" in hint_of(done)


def test_a_token_that_may_not_read_artifacts_is_told_which_line_is_missing(
    site: World, github: FakeGitHub, fork: Checkout
) -> None:
    keep(site, archive(report(site)))
    for command in ("comment", "check"):
        github.fail("GET", "/actions/runs/42/artifacts", 403, "Resource not accessible")
        done = fork.modelci(command, "--artifact", "modelci", code=4)
        assert "`actions: read`" in hint_of(done)
    assert writes(github) == []


@pytest.mark.parametrize(
    "options",
    [
        ("comment", "--artifact", "modelci", "--pr", "8"),
        ("comment", "--artifact", "modelci", "--report", "report.json"),
        ("check", "--artifact", "modelci", "--report", "report.json"),
        ("check", "--start", "--failed"),
    ],
)
def test_options_that_exclude_each_other(fork: Checkout, options: tuple[str, ...]) -> None:
    assert "exclude each other" in fork.modelci(*options, code=2).err
