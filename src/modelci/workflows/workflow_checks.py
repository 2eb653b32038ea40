"""What ``modelci doctor`` sees of CI files: who calls modelci, and whether its jobs may do that."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from modelci.config.model import Config, MonitorConfig
from modelci.domain.checks import Check, ok, problem, warning
from modelci.domain.monitoring import ActionKind
from modelci.domain.wording import listed
from modelci.formats import parse_yaml
from modelci.ports import FileTree
from modelci.workflows.init import GITLAB_INCLUDED, GITLAB_PIPELINE, UNPUBLISHED


def check_workflows(
    tree: FileTree, config: Config, *, has_stages: Callable[[], bool]
) -> Iterator[Check]:
    """Hold the forge's files to what the configuration wants of their jobs.

    ``has_stages`` says whether jobs run code of the project's; data alone need no packages.
    """
    ours = {
        path: text
        for path, text in _workflow_files(tree)
        if "modelci " in text or CALLED.search(text)
    }
    if not ours:
        yield warning("workflows", "none calls modelci", "`modelci init` writes them.")
    needs = _NEEDS
    if config.comment.pictures:
        needs = (*needs, _PICTURES_NEED)
    if config.promote.dispatch:
        needs = (*needs, *_DISPATCH_NEEDS)
    needs = (*needs, *_monitor_needs(config.monitor))
    github = {
        path: parse_yaml(text.encode(), path)
        for path, text in ours.items()
        if path.startswith(_GITHUB)
    }
    for path, parsed in github.items():
        yield from _check_workflow(path, parsed, needs)
    yield from _check_double_comments(github)
    yield from _check_calls(ours, config)
    for path in sorted(ours.keys() - github.keys()):
        yield ok(path, "calls modelci")
    included = GITLAB_INCLUDED in tree.paths() and GITLAB_INCLUDED not in ours
    if included and GITLAB_PIPELINE in tree.paths():
        yield problem(
            GITLAB_INCLUDED,
            f"{GITLAB_PIPELINE} does not include it",
            f"Say there: `include: {{local: {GITLAB_INCLUDED}}}`.",
        )
    yield from _check_installs(ours, tree.paths(), has_stages=has_stages())
    if config.monitor:
        yield from _check_schedule(ours, github)


def _monitor_needs(monitors: Sequence[MonitorConfig]) -> tuple["_Need", ...]:
    """Return what the jobs that act on watched windows need, by the actions that may come."""
    kinds = {trigger.action for one in monitors for trigger in one.triggers}
    pushes = ActionKind.RETRAIN_PR in kinds or any(one.history == "git" for one in monitors)
    needed = ["contents: write"] if pushes else []
    needed += ["pull-requests: write"] if ActionKind.RETRAIN_PR in kinds else []
    needed += ["issues: write"] if ActionKind.ISSUE in kinds else []
    commands = (("act", None), ("monitor", "--no-"))
    return tuple(("", verb, harmless, one) for one in needed for verb, harmless in commands)


def _check_schedule(ours: Mapping[str, str], github: Mapping[str, Any]) -> Iterator[Check]:
    """Say where nothing watches by itself; of other forges' schedules nobody knows from files."""
    watching = [
        path
        for path, text in ours.items()
        if "modelci monitor" in text or "monitor" in CALLED.findall(text)
    ]
    if not watching:
        yield warning(
            "monitor",
            "no workflow calls `modelci monitor`",
            "`modelci init` writes model-monitor.yml.",
        )
    idle = [path for path in watching if path in github and not _is_scheduled(github[path])]
    if watching and len(idle) == len(watching):
        yield warning(
            idle[0],
            "it watches only when somebody starts it",
            'Say there: `on: {schedule: [{cron: "23 5 * * *"}]}`.',
        )


def _is_scheduled(workflow: Any) -> bool:
    return isinstance(workflow, dict) and "schedule" in _events(workflow.get("on"))


_GITHUB = ".github/workflows/"
_FOLDERS = (_GITHUB, ".gitea/workflows/", ".forgejo/workflows/")
_LOCAL = re.compile(
    r"""(?:\blocal:\s*|^\s*-\s+|\binclude:\s*)['"]?/?([\w./*-]+\.ya?ml)""", re.MULTILINE
)


def _workflow_files(tree: FileTree) -> Iterator[tuple[str, str]]:
    """Yield the CI files of every forge by path, GitLab's as far as its own file leads to them."""
    files = [path for path in tree.paths() if path.endswith((".yml", ".yaml"))]
    found = [path for path in files if path.startswith(_FOLDERS)]
    for path, data in sorted(tree.read(found).items()):
        yield path, data.decode(errors="replace")
    wanted, seen = [GITLAB_PIPELINE], {GITLAB_PIPELINE}
    while wanted:
        texts = {path: data.decode(errors="replace") for path, data in tree.read(wanted).items()}
        yield from texts.items()
        patterns = {one for text in texts.values() for one in _LOCAL.findall(text)}
        wanted = [
            path
            for path in files
            if path not in seen and any(fnmatchcase(path, one) for one in patterns)
        ]
        seen.update(wanted)


def _check_double_comments(workflows: Mapping[str, Any]) -> Iterator[Check]:
    """Name the workflow of a pull request that comments although another does it afterwards."""
    later = [path for path, one in workflows.items() if _comments(one, "workflow_run")]
    for path, one in workflows.items():
        if later and _comments(one, "pull_request"):
            yield warning(
                path,
                f"it comments, and {later[0]} comments once more on the same pull request",
                f"Drop its job that comments, or `modelci init --force` writes {path} anew.",
            )


def _comments(workflow: Any, event: str) -> bool:
    if not isinstance(workflow, dict) or not isinstance(workflow.get("jobs"), dict):
        return False
    events = workflow.get("on")
    return event in (events if isinstance(events, (dict, list)) else [events]) and any(
        _calls(job, "comment", "--dry-run")
        or _calls(job, "ci", "--no-write")
        or _called(job) == "comment"
        for job in workflow["jobs"].values()
        if isinstance(job, dict)
    )


def _check_installs(
    ours: Mapping[str, str], paths: Sequence[str], *, has_stages: bool
) -> Iterator[Check]:
    """Say what the jobs cannot install, or do not."""
    pinned = [path for path, text in ours.items() if _FROM_INDEX.search(text)]
    if pinned:
        yield warning(
            "installation", f"{listed(pinned)}: {UNPUBLISHED.detail}", UNPUBLISHED.instead
        )
    lacking = [path for path, text in ours.items() if _OF_THE_PROJECT.search(text)]
    if has_stages and lacking and "requirements.txt" not in paths:
        yield warning(
            "requirements.txt",
            f"{listed(lacking)}: the packages that stages import are installed from "
            "requirements.txt, which is not there",
            "Write requirements.txt, or install what the stages import in those jobs' way.",
        )


_OF_THE_PROJECT = re.compile(
    r"-f requirements\.txt|^\s*requirements: requirements\.txt", re.MULTILINE
)
"""As whole files have it, and those that call ours."""

_FROM_INDEX = re.compile(
    r"""pip install ['"]?modelci(?:\[[\w,]+\])?(?:==[\w.]+)?['"]?\s*$""", re.MULTILINE
)


_Need = tuple[str, str, str | None, str]
_NEEDS: tuple[_Need, ...] = (
    # event ("" is any), command, what it must not be called with, permission
    ("", "comment", "--dry-run", "pull-requests: write"),
    ("", "comment --artifact", "--dry-run", "actions: read"),
    ("", "check", None, "checks: write"),
    ("", "check --artifact", None, "actions: read"),
    ("", "promote", "--dry-run", "contents: write"),
    ("pull_request", "ci", "--no-write", "pull-requests: write"),
    ("push", "ci", "--no-write", "contents: write"),
)
_PICTURES_NEED = ("", "comment", "--dry-run", "contents: write")
_DISPATCH_NEEDS = (
    ("", "promote", "--dry-run", "actions: write"),
    ("push", "ci", "--no-write", "actions: write"),
)


def _check_workflow(path: str, workflow: Any, needs: Sequence[_Need] = _NEEDS) -> Iterator[Check]:
    if not isinstance(workflow, dict) or not isinstance(workflow.get("jobs"), dict):
        yield problem(path, "it has no jobs", "`modelci init --force` writes it anew.")
        return
    events = _events(workflow.get("on"))
    lacking = [
        f"job {name} calls `modelci {verb}` without `permissions: {needed}`"
        for name, job in workflow["jobs"].items()
        for event, verb, harmless, needed in needs
        if isinstance(job, dict) and (not event or event in events) and _calls(job, verb, harmless)
        if not _grants(job.get("permissions", workflow.get("permissions")), needed)
    ]
    lacking += [
        f"job {name} calls {_called(job)}.yml without `permissions: {needed}`"
        for name, job in workflow["jobs"].items()
        for needed in CALLED_NEEDS.get(_called(job), ())
        if not _grants(job.get("permissions", workflow.get("permissions")), needed)
    ]
    for text in lacking:
        yield problem(path, text, "Add that line to the job.")
    if not lacking:
        yield ok(path, "its jobs have the permissions they need")


CALLED = re.compile(
    r"\buses:\s*['\"]?[\w.-]+/modelci/\.github/workflows/"
    r"(pull-request|comment|merge|deploy|monitor)\.yml@"
)
"""A call of a reusable workflow of ours, by its name."""

CALLED_NEEDS: Mapping[str, Sequence[str]] = {
    "pull-request": ("contents: read",),
    "comment": ("actions: read", "checks: write", "contents: read", "pull-requests: write"),
    "merge": ("contents: write", "deployments: write", "pull-requests: read"),
    "deploy": ("contents: read", "deployments: write"),
    "monitor": ("contents: write", "issues: write", "pull-requests: write"),
}
"""What the jobs of these need: GitHub starts no call that grants less."""


def _called(job: Any) -> str:
    """Return which of our reusable workflows a job calls; empty if none."""
    uses = job.get("uses") if isinstance(job, dict) else None
    found = CALLED.match(f"uses: {uses}") if isinstance(uses, str) else None
    return found[1] if found else ""


def _check_calls(ours: Mapping[str, str], config: Config) -> Iterator[Check]:
    """Name settings for which the jobs of a called workflow have no permission."""
    beyond = {
        "comment": ("comment.pictures", config.comment.pictures),
        "merge": ("promote.dispatch", bool(config.promote.dispatch)),
    }
    for path, text in ours.items():
        for name in CALLED.findall(text):
            setting, is_set = beyond.get(name, ("", False))
            if is_set:
                yield warning(
                    path,
                    f"{setting} is set, and no job of the called {name}.yml may do that",
                    f"Drop {setting}, or take the whole file: `modelci init --force`.",
                )


def _calls(job: dict[str, Any], verb: str, harmless: str | None) -> bool:
    steps = job.get("steps")
    listed = steps if isinstance(steps, list) else []
    runs = [step.get("run") for step in listed if isinstance(step, dict)]
    lines = [line for run in runs if isinstance(run, str) for line in run.splitlines()]
    return any(
        f"modelci {verb}" in line and (harmless is None or harmless not in line) for line in lines
    )


def _events(on: Any) -> Collection[str]:
    """Return what starts a workflow; pushed tags alone are no push to a branch."""
    if isinstance(on, dict):
        push = on.get("push")
        of_tags = isinstance(push, dict) and "tags" in push and "branches" not in push
        return [one for one in on if one != "push" or not of_tags]
    return on if isinstance(on, list) else [on]


def _grants(permissions: Any, needed: str) -> bool:
    scope, _, level = needed.partition(": ")
    enough = ["write"] if level == "write" else ["read", "write"]
    if isinstance(permissions, dict):
        return permissions.get(scope) in enough
    # Nothing said: the repository's default, which may be read-only.
    return permissions in [f"{one}-all" for one in enough]
