"""``modelci doctor``: what would stand in the way, and the fix for each."""

import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from modelci.config.load import FILE, Loaded
from modelci.config.model import Config, ForgeConfig, MonitorConfig, PromoteConfig
from modelci.domain.artifacts import Artifact
from modelci.domain.checks import Check, Examination, Health
from modelci.domain.doubts import deciding_commits, doubt_clocks
from modelci.domain.events import CIContext
from modelci.domain.gates import Outcome, judge_all
from modelci.domain.metrics import diff_metrics
from modelci.domain.monitoring import ActionKind
from modelci.domain.pipeline import RunOptions
from modelci.domain.registry import Doubt, Rule, TagRecord, fold_registry
from modelci.domain.remotes import DataRemote
from modelci.domain.snapshot import NOT_CACHED, Snapshot
from modelci.domain.wording import counted
from modelci.errors import ConfigError, ModelCIError
from modelci.formats import parse_yaml
from modelci.ports import Git, Pipeline, Progress, SnapshotReader, Tables
from modelci.workflows.deploy_checks import Surroundings, check_deploy
from modelci.workflows.forge import choose_forge
from modelci.workflows.init import GITLAB_INCLUDED, GITLAB_PIPELINE, UNPUBLISHED
from modelci.workflows.promote import chosen_artifacts
from modelci.workflows.proposal import (
    elsewhere,
    legacy_artifacts,
    propose_artifacts,
    source_of_metrics,
    way_to_one_project,
)
from modelci.workflows.trust import check_remotes


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    git: Git
    context: CIContext
    reader: Callable[[], SnapshotReader]
    pipeline: Callable[[], Pipeline]
    configuration: Callable[[], Loaded]
    tables: Callable[[], Tables] | None
    progress: Progress | None
    templates: Callable[[Config], None] | None
    remotes: Callable[[], Sequence[DataRemote]]
    around: Callable[[], Surroundings]


def examine(
    *,
    git: Callable[[], Git],
    reader: Callable[[], SnapshotReader],
    pipeline: Callable[[], Pipeline],
    configuration: Callable[[], Loaded],
    context: CIContext,
    tables: Callable[[], Tables] | None = None,
    progress: Progress | None = None,
    templates: Callable[[Config], None] | None = None,
    remotes: Callable[[], Sequence[DataRemote]] = tuple,
    around: Callable[[], Surroundings] = Surroundings,
) -> Examination:
    """Check everything; a check that cannot be made is a problem with its own fix.

    With ``tables`` and ``progress`` what the configuration evaluates is tried on the work tree's
    files. ``templates`` renders something with the project's own ones, or raises ConfigError.
    ``remotes`` are DVC's, and ``around`` tells what of targets can be seen from here.
    """
    try:
        found = git()
    except ModelCIError as error:
        return Examination(checks=(_failed("git", error),))
    world = _World(
        git=found,
        context=context,
        reader=reader,
        pipeline=pipeline,
        configuration=configuration,
        tables=tables,
        progress=progress,
        templates=templates,
        remotes=remotes,
        around=around,
    )
    broken: tuple[Check, ...] = ()
    try:
        configuration()
    except ModelCIError as error:
        # Once is enough; the other checks go on as if there was no such file.
        broken = (_failed(FILE, error),)
        world = replace(world, configuration=lambda: Loaded(config=Config(), origins={}))
    checks = tuple(check for group in _GROUPS for check in _safely(group, world))
    return Examination(checks=(*broken, *checks))


def _safely(group: "_Group", world: _World) -> Sequence[Check]:
    try:
        return tuple(group.check(world))
    except ModelCIError as error:
        return (_failed(group.name, error),)


def _check_git(world: _World) -> Iterator[Check]:
    git = world.git
    if git.head() is None:
        yield _problem("git", "there is no commit yet", "`git add` and `git commit` your project.")
        return
    found = git.default_branch(world.configuration().config.default_branch)
    if found is None:
        yield _problem(
            "default branch",
            "unknown, so a report has no base",
            "`git remote set-head origin --auto`, or set default_branch in modelci.yaml.",
        )
    else:
        yield _ok("default branch", found[0])
    if git.is_shallow():
        yield _ok("history", "shallow; modelci fetches what a comparison needs")
    if git.remote() is None:
        yield _warning("git remote", "none: promotions stay in this clone", "`git remote add`.")


def _check_dvc(world: _World) -> Iterator[Check]:
    if not (world.git.root / ".dvc").is_dir():
        below = elsewhere(world.git.work_tree())
        if below:
            named = _listed([f"{folder}/" for folder in below])
            yield _problem(
                "dvc",
                f"the DVC project is in {named}, not at the top of the Git repository",
                way_to_one_project(below),
            )
            return
        yield _problem("dvc", "this is no DVC repository", "`dvc init`")
        return
    yield _ok("dvc", world.pipeline().version())
    name = world.pipeline().check_remote()
    if name is None:
        yield _warning(
            "dvc remote",
            "none: CI can neither restore data nor keep models",
            "`dvc remote add -d NAME URL`, then commit .dvc/config.",
        )
        return
    yield _ok("dvc remote", name)
    yield from _check_reach(world)
    if not world.configuration().config.run.push:
        yield _warning(
            "run.push",
            "false: a merge tags models that CI does not upload to the DVC remote",
            "In modelci.yaml: `run: {pull: true, push: true}`.",
        )


def _check_trust(world: _World) -> Iterator[Check]:
    if (world.git.root / ".dvc").is_dir():
        yield from check_remotes(world.configuration().config, world.remotes())


def _check_reach(world: _World) -> Iterator[Check]:
    """Warn of a DVC remote that is a folder of this machine, where jobs run on others."""
    data = world.git.work_tree().read([_DVC_CONFIG]).get(_DVC_CONFIG, b"")
    settings = ConfigParser(interpolation=None, strict=False)
    try:
        settings.read_string(data.decode(errors="replace"))
        name = settings.get("core", "remote", fallback="")
        url = settings.get(f"'remote \"{name}\"'", "url", fallback="")
        forge = choose_forge(ForgeConfig(), CIContext(), world.git.remote_url())
    except (ConfigParserError, ConfigError):
        return  # DVC reads its own file; and without a forge there are no jobs elsewhere
    if url and ("://" not in url or url.startswith("file://")):
        yield _warning(
            "dvc remote",
            f"{name} is a folder of this machine ({url}): jobs of {forge.repository} have no way "
            "to it",
            f"`dvc remote modify {shlex.quote(name)} url URL`, of storage that CI can reach (S3, "
            "GCS, Azure, SSH, …).",
        )


_DVC_CONFIG = ".dvc/config"


def _check_pipeline(world: _World) -> Iterator[Check]:
    tree = world.git.work_tree()
    snapshot = world.reader().read(tree)
    has_files = any(f"/{path}".endswith(("/dvc.yaml", ".dvc")) for path in tree.paths())
    if not snapshot.stages and not snapshot.tracked and not has_files:
        yield _warning("pipeline", "no dvc.yaml and no .dvc file", "`dvc stage add`, `dvc add`.")
    elif not (snapshot.stages or snapshot.tracked or snapshot.metrics):
        yield _warning(
            "pipeline",
            "no stage and no tracked file: `modelci run` refuses; `modelci ci` runs nothing, and "
            "reports and promotes",
            "`dvc stage add`, `dvc add`, if there is something to run.",
        )
    else:
        counts = {
            "stage": snapshot.stages,
            "metric": snapshot.metrics,
            "tracked file": snapshot.tracked,
        }
        told = ", ".join(counted(len(found), name) for name, found in counts.items())
        yield _ok("pipeline", told)
    for stage, reasons in list(snapshot.stale.items())[:5]:
        yield _warning(
            "dvc.lock",
            f"out of date for {stage}: {'; '.join(reasons)}",
            "`modelci run`, then commit dvc.lock.",
        )
    for note in snapshot.notes[:5]:
        yield _of_note(note)
    config = world.configuration().config
    yield _check_artifacts(snapshot, config.promote, legacy_artifacts(tree))
    yield from _check_gates(config, snapshot)
    if snapshot.stages:
        # DVC's own word on cycles, overlapping outputs and the like; it raises.
        world.pipeline().plan((), RunOptions())


def _of_note(note: str) -> Check:
    """Return what a snapshot left out as a warning, under the name of what it is about."""
    for words, name, fix in _NOTES:
        if words in note:
            return _warning(name, note, fix)
    return _warning("metrics", note, "See the file named.")


_NOTES = (
    (
        NOT_CACHED,
        "metrics",
        "`dvc pull` brings what the DVC remote has; `modelci run` makes it.",
    ),
    (
        "another DVC project",
        "dvc",
        "Move its remotes to the top's .dvc/config, and `git rm -r` its own .dvc/; the rest stays.",
    ),
    ("compared with dvc.lock", "dvc.lock", "`modelci plan` compares it, file by file."),
)


def _check_artifacts(
    snapshot: Snapshot, settings: PromoteConfig, legacy: Sequence[Artifact]
) -> Check:
    if not snapshot.artifacts and settings.artifacts is None:
        heading, *found = propose_artifacts(snapshot, legacy) or (
            "artifacts:",
            "NAME: {path: models/model.skops, type: model}",
        )
        entries = ", ".join(one.strip() for one in found)
        return _warning(
            "artifacts",
            "none are declared: nothing can be promoted",
            f"In the dvc.yaml at the top: `{heading} {{{entries}}}`.",
        )
    try:
        chosen = chosen_artifacts(snapshot, settings)
    except ModelCIError as error:
        return _failed("artifacts", error)
    return _ok("artifacts", ", ".join(artifact.name for artifact in chosen))


def _check_gates(config: Config, snapshot: Snapshot) -> Iterator[Check]:
    """Judge what is there against itself: whatever does not hold now blocks every change."""
    gates = config.all_gates()
    if not gates:
        first = "" if snapshot.metrics else f"{source_of_metrics(snapshot)} metrics; then "
        yield _warning(
            "gates",
            "none: no pull request is ever blocked",
            f"{first}`modelci init` proposes some.",
        )
        return
    deltas = diff_metrics(snapshot.metrics, snapshot.metrics, config.metrics)
    results = judge_all(gates, deltas)
    troubled = [one for one in results if one.outcome is not Outcome.PASSED]
    for one in troubled:
        make = _problem if one.blocks else _warning
        yield make("gates", f"{one.gate}: {one.reason}", "Mend the gate in modelci.yaml.")
    if not troubled:
        yield _ok("gates", f"{counted(len(gates), 'gate')}, all hold for what is here")


def _check_evaluation(world: _World) -> Iterator[Check]:
    config = world.configuration().config
    asked = config.evaluation or config.data
    if world.tables is None or world.progress is None or not asked:
        return
    from modelci.workflows.rehearsal import rehearse  # noqa: PLC0415 - it loads pandas

    tree = world.git.work_tree()
    yield from rehearse(
        config,
        world.reader().read(tree),
        tree,
        tables=world.tables(),
        progress=world.progress,
    )


def _check_monitors(world: _World) -> Iterator[Check]:
    config = world.configuration().config
    if not config.monitor:
        return
    from modelci.workflows.watch_checks import check_monitors  # noqa: PLC0415 - it loads pandas

    tree = world.git.work_tree()
    snapshot = world.reader().read(tree)
    yield from check_monitors(config, snapshot, tree, git=world.git, reader=world.reader())


def _check_templates(world: _World) -> Iterator[Check]:
    config = world.configuration().config
    if config.report.templates is not None and world.templates is not None:
        world.templates(config)
        yield _ok("report.templates", f"{config.report.templates} renders")


def _check_deploy(world: _World) -> Iterator[Check]:
    config = world.configuration().config
    if not config.deploy.targets:
        return
    git = world.git.with_remote(config.promote.remote)
    tree = git.work_tree()
    yield from check_deploy(
        config,
        world.reader().read(tree),
        tree,
        git.tags(remote=git.remote(), messages=False),
        world.around(),
    )


def _check_tags(world: _World) -> Iterator[Check]:
    ours = tags = world.git.tags(messages=False)
    here = sum(tag.flaw is None for tag in tags)
    remote = world.git.remote()
    if remote is None:
        yield _ok("tags", f"{here} registry tags")
    else:
        tags = world.git.tags(remote=remote, messages=False)
        there = sum(tag.flaw is None for tag in tags)
        if there > here:
            yield _warning(
                "tags",
                f"{there} registry tags at {remote}, {here} in this clone",
                "`git fetch --tags` (promotions read the remote's anyway).",
            )
        else:
            yield _ok("tags", f"{here} registry tags, {there} at {remote}")
    yield from _check_odd_tags(world, tags, remote, ours)


def _check_odd_tags(
    world: _World, tags: Sequence[TagRecord], remote: str | None, ours: Sequence[TagRecord]
) -> Iterator[Check]:
    """Name the tags that break a rule of the registry, and the answers that hang by a thread.

    Those of this clone alone (``ours``) too: GTO reads them here.
    """
    states = fold_registry(tags)
    both = (*states, *(fold_registry(ours) if remote else ()))
    found = {(one.ref, one.rule): one for state in both for one in state.problems}
    problems = list(found.values())
    for one in problems[:_MOST_TAGS]:
        yield _problem(f"tag {one.ref}", f"{one.rule}: {one.message}", _removal(one.ref, remote))
    if len(problems) > _MOST_TAGS:
        rest = counted(len(problems) - _MOST_TAGS, "more tag")
        yield _problem("tags", f"{rest} like these", "`modelci registry --json` lists them all.")
    light = list(dict.fromkeys(tag.tag for tag in (*tags, *ours) if tag.flaw is Rule.LIGHTWEIGHT))
    if light:
        name = shlex.quote(light[0])
        yield _warning(
            "tags",
            f"{counted(len(light), 'lightweight tag')} of a registry's name: {_listed(light)}",
            "Only annotated tags count. If it is meant to: "
            f"`git tag -f -a -m Register {name} {name}`, and push it with --force.",
        )
    times = world.git.commit_times(deciding_commits(states))
    for state in states:
        # The future is the registry's own to warn of: there is no clock here.
        skews = doubt_clocks(state, now=sys.maxsize, commit_times=times)
        for doubt in (*(one for one in state.warnings if one.doubt is not Doubt.DVC), *skews):
            yield _warning(f"registry {state.name}", doubt.message, _FIXES[doubt.doubt])


def _removal(ref: str, remote: str | None) -> str:
    name = shlex.quote(ref)
    # Either side may lack it: the one command must not keep the other from running.
    away = f"; git push {remote} --delete {shlex.quote(f'refs/tags/{ref}')}" if remote else ""
    return f"`git tag -d {name}{away}`; then, if it was meant, make it anew by `git tag -a`."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


_MOST_TAGS = 10
_FIXES = {
    Doubt.TIE: "Assign the one that is meant once more.",
    Doubt.IGNORED: "Assign another version to the stage: GTO cannot unassign this one.",
    Doubt.MOVED: "Deregister the version where it is not meant; never use its name again.",
    Doubt.SKEW: "Set the clock of the machine that tagged, and assign once more.",
}


def _check_workflows(world: _World) -> Iterator[Check]:
    tree = world.git.work_tree()
    ours = {
        path: text
        for path, text in _workflow_files(world)
        if "modelci " in text or CALLED.search(text)
    }
    if not ours:
        yield _warning("workflows", "none calls modelci", "`modelci init` writes them.")
    needs = _NEEDS
    if world.configuration().config.comment.pictures:
        needs = (*needs, _PICTURES_NEED)
    if world.configuration().config.promote.dispatch:
        needs = (*needs, *_DISPATCH_NEEDS)
    needs = (*needs, *_monitor_needs(world.configuration().config.monitor))
    github = {
        path: parse_yaml(text.encode(), path)
        for path, text in ours.items()
        if path.startswith(_GITHUB)
    }
    for path, parsed in github.items():
        yield from _check_workflow(path, parsed, needs)
    yield from _check_double_comments(github)
    yield from _check_calls(ours, world.configuration().config)
    for path in sorted(ours.keys() - github.keys()):
        yield _ok(path, "calls modelci")
    included = GITLAB_INCLUDED in tree.paths() and GITLAB_INCLUDED not in ours
    if included and GITLAB_PIPELINE in tree.paths():
        yield _problem(
            GITLAB_INCLUDED,
            f"{GITLAB_PIPELINE} does not include it",
            f"Say there: `include: {{local: {GITLAB_INCLUDED}}}`.",
        )
    yield from _check_installs(ours, tree.paths(), has_stages=_has_stages(world))
    if world.configuration().config.monitor:
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
        yield _warning(
            "monitor",
            "no workflow calls `modelci monitor`",
            "`modelci init` writes model-monitor.yml.",
        )
    idle = [path for path in watching if path in github and not _is_scheduled(github[path])]
    if watching and len(idle) == len(watching):
        yield _warning(
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


def _workflow_files(world: _World) -> Iterator[tuple[str, str]]:
    """Yield the CI files of every forge by path, GitLab's as far as its own file leads to them."""
    tree = world.git.work_tree()
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
            yield _warning(
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


def _has_stages(world: _World) -> bool:
    """Whether jobs run code of the project's; data alone need no packages."""
    return bool(world.reader().read(world.git.work_tree()).stages)


def _check_installs(
    ours: Mapping[str, str], paths: Sequence[str], *, has_stages: bool
) -> Iterator[Check]:
    """Say what the jobs cannot install, or do not."""
    pinned = [path for path, text in ours.items() if _FROM_INDEX.search(text)]
    if pinned:
        yield _warning(
            "installation", f"{_listed(pinned)}: {UNPUBLISHED.detail}", UNPUBLISHED.instead
        )
    for path, text in ours.items() if has_stages else ():
        if "-f requirements.txt" in text and "requirements.txt" not in paths:
            yield _warning(
                path,
                "it installs the project's own packages from requirements.txt, which is not there",
                "Write requirements.txt, or install what the stages import in that job's way.",
            )


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
        yield _problem(path, "it has no jobs", "`modelci init --force` writes it anew.")
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
        yield _problem(path, text, "Add that line to the job.")
    if not lacking:
        yield _ok(path, "its jobs have the permissions they need")


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
                yield _warning(
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


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    check: Callable[[_World], Iterator[Check]]


_GROUPS = (
    _Group("git", _check_git),
    _Group("dvc", _check_dvc),
    _Group("dvc remotes", _check_trust),
    _Group("pipeline", _check_pipeline),
    _Group("evaluation", _check_evaluation),
    _Group("monitor", _check_monitors),
    _Group("report.templates", _check_templates),
    _Group("deploy", _check_deploy),
    _Group("tags", _check_tags),
    _Group("workflows", _check_workflows),
)


def _ok(name: str, detail: str) -> Check:
    return Check(name=name, health=Health.OK, detail=detail)


def _warning(name: str, detail: str, fix: str) -> Check:
    return Check(name=name, health=Health.WARNING, detail=detail, fix=fix)


def _problem(name: str, detail: str, fix: str | None) -> Check:
    return Check(name=name, health=Health.PROBLEM, detail=detail, fix=fix)


def _failed(name: str, error: ModelCIError) -> Check:
    return _problem(name, str(error), error.hint)
