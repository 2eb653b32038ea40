"""A pull request's report and its comment, beside the chain of commands that people run today."""

import atexit
import json
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from bench.harness import BenchError, Case, Goal, Side
from bench.repositories import add_plot, build_history, build_many
from tests.fakes.github_server import REPOSITORY, TOKEN, FakeGitHub, serve

if TYPE_CHECKING:
    from bench.harness import Bench

_PULL = 7
_MOST_REQUESTS = 3
_COMMITS = 20
_POST = (
    "cat metrics.md params.md plots.md | jq -Rs '{body: .}' | "
    'curl -sSf -o posted.json -H "Authorization: Bearer $GITHUB_TOKEN" --json @- '
    f'"$GITHUB_API_URL/repos/{REPOSITORY}/issues/{_PULL}/comments"'
)
_REPORT = "modelci report HEAD~1 HEAD --format md --out report.md"


def _ours(name: str, *commands: str) -> Side:
    lines = (f". ../github.sh; exec {command}" for command in commands)
    return Side(name=name, commands=tuple(("sh", "-c", line) for line in lines))


_OURS = _ours("modelci", f"{_REPORT} --comment --pr {_PULL}")
_TWO = _ours("modelci, in two", _REPORT, f"modelci comment --pr {_PULL}")
_THEIRS = Side(
    name="dvc and curl",
    commands=tuple(
        ("sh", "-c", f". ../github.sh; {command}")
        for command in (
            "exec dvc metrics diff --md HEAD~1 HEAD > metrics.md",
            "exec dvc params diff --md HEAD~1 HEAD > params.md",
            "exec dvc plots diff HEAD~1 HEAD > plots.md",
            _POST,
        )
    ),
)


def chain_cases() -> tuple[Case, ...]:
    """Return the cases of what a pull request's job does once its pipeline has run."""
    return tuple(
        Case(
            name=f"pull-request-{files}-files",
            about=f"report and comment: {files} metrics files, a plot, {_COMMITS} commits",
            sides=(_OURS, _TWO, _THEIRS),
            goal=Goal(peer=_THEIRS.name, times_faster=5),
            build=partial(_build, files=files),
            check=_check,
        )
        for files in (10, 100)
    )


def history_case() -> Case:
    """Return the case of 1,000 metrics over 50 commits."""
    command = ("modelci", "history", "*", "--last", "50", "--json")
    floor = Side(name="import click", commands=(("python", "-c", "import click"),))
    return Case(
        name="history-1000-metrics",
        about="1,000 metrics of one JSON file over 50 commits, all changed in each",
        sides=(Side(name="modelci history", commands=(command,)), floor),
        goal=Goal(peer=floor.name, seconds_more=2),
        build=partial(build_history, leaves=1_000, commits=50),
        check=_check_history,
    )


# A case has no end of its own: the server lives until the process ends, and no longer, since a
# daemon's thread dies before a generator is closed.
_servers = ExitStack()
atexit.register(_servers.close)
_github: list[FakeGitHub] = []


def _build(bench: "Bench", *, files: int) -> None:
    build_many(bench, files=files, commits=_COMMITS)
    add_plot(bench)
    github = _servers.enter_context(serve(FakeGitHub()))
    head = bench.read("git", "rev-parse", "HEAD").decode().strip()
    github.add_pull(_PULL, sha=head)
    _github[:] = [github]
    lines = {"GITHUB_API_URL": github.api_url, "GITHUB_TOKEN": TOKEN, "GITHUB_ACTIONS": "true"}
    lines |= {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_RUN_ID": "1"}
    text = "".join(f"export {name}={value}\n" for name, value in lines.items())
    (bench.repository.parent / "github.sh").write_text(text)


def _check(bench: "Bench") -> None:
    """Refuse figures where a comment was not posted, or took more requests than promised."""
    del bench
    (github,) = _github
    bodies = [one["body"] for one in github.comments.get(_PULL, [])]
    if len(bodies) != 2 or not any("modelci:" in body for body in bodies):
        raise BenchError(f"{len(bodies)} comments were posted instead of one of each side")
    asked = [one for one in github.asked() if one]
    ends = asked.index(f"POST /issues/{_PULL}/comments") + 1  # with the first comment's creation
    for mine in (asked[:ends], asked[ends:-1]):  # in one process, and in two; the last is curl's
        if len(mine) > _MOST_REQUESTS:
            raise BenchError(f"Report and comment took {len(mine)} requests: {mine}")


def _check_history(bench: "Bench") -> None:
    found = json.loads(bench.read("modelci", "history", "*", "--last", "50", "--json"))
    sizes = {len(one["points"]) for one in found["metrics"]}
    if len(found["metrics"]) != 1_000 or sizes != {50}:
        raise BenchError(f"There are {len(found['metrics'])} metrics of {sizes} points.")
