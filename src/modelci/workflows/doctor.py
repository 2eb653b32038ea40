"""``modelci doctor``: what would stand in the way, and the fix for each."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, replace
from difflib import get_close_matches

from modelci.config.load import FILE, Loaded
from modelci.config.model import Config, ForgeConfig, PromoteConfig
from modelci.domain.artifacts import Artifact
from modelci.domain.checks import Check, Examination, ok, problem, warning
from modelci.domain.doubts import deciding_commits, doubt_clocks
from modelci.domain.events import CIContext
from modelci.domain.gates import GateResult, Outcome, judge_all
from modelci.domain.metrics import Direction, diff_metrics
from modelci.domain.pipeline import RunOptions
from modelci.domain.registry import Doubt, Rule, TagRecord, fold_registry
from modelci.domain.remotes import DataRemote
from modelci.domain.snapshot import NOT_CACHED, Snapshot
from modelci.domain.wording import counted, listed
from modelci.errors import ConfigError, ModelCIError
from modelci.ports import Git, ModelScanner, Pipeline, Progress, SnapshotReader, Tables
from modelci.workflows.deploy_checks import Surroundings, check_deploy
from modelci.workflows.forge import choose_forge
from modelci.workflows.model_checks import check_models, check_names
from modelci.workflows.promote import chosen_artifacts
from modelci.workflows.proposal import (
    elsewhere,
    legacy_artifacts,
    propose_artifacts,
    source_of_metrics,
    way_to_one_project,
)
from modelci.workflows.trust import check_remotes
from modelci.workflows.workflow_checks import check_workflows


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
    scanner: Callable[[], ModelScanner] | None


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
    scanner: Callable[[], ModelScanner] | None = None,
) -> Examination:
    """Check everything; a check that cannot be made is a problem with its own fix.

    With ``tables`` and ``progress`` what the configuration evaluates is tried on the work tree's
    files. ``templates`` renders something with the project's own ones, or raises ConfigError.
    ``remotes`` are DVC's, and ``around`` tells what of targets can be seen from here. With a
    ``scanner`` the declared models are scanned, as a report scans them.
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
        scanner=scanner,
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
        yield problem("git", "there is no commit yet", "`git add` and `git commit` your project.")
        return
    found = git.default_branch(world.configuration().config.default_branch)
    if found is None:
        yield problem(
            "default branch",
            "unknown, so a report has no base",
            "`git remote set-head origin --auto`, or set default_branch in modelci.yaml.",
        )
    else:
        yield ok("default branch", found[0])
    if git.is_shallow():
        yield ok("history", "shallow; modelci fetches what a comparison needs")
    if git.remote() is None:
        yield warning("git remote", "none: promotions stay in this clone", "`git remote add`.")


def _check_dvc(world: _World) -> Iterator[Check]:
    if not (world.git.root / ".dvc").is_dir():
        below = elsewhere(world.git.work_tree())
        if below:
            named = listed([f"{folder}/" for folder in below])
            yield problem(
                "dvc",
                f"the DVC project is in {named}, not at the top of the Git repository",
                way_to_one_project(below),
            )
            return
        yield problem("dvc", "this is no DVC repository", "`dvc init`")
        return
    yield ok("dvc", world.pipeline().version())
    name = world.pipeline().check_remote()
    if name is None:
        yield warning(
            "dvc remote",
            "none: CI can neither restore data nor keep models",
            "`dvc remote add -d NAME URL`, then commit .dvc/config.",
        )
        return
    yield ok("dvc remote", name)
    yield from _check_reach(world)
    if not world.configuration().config.run.push:
        yield warning(
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
        yield warning(
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
        yield warning("pipeline", "no dvc.yaml and no .dvc file", "`dvc stage add`, `dvc add`.")
    elif not (snapshot.stages or snapshot.tracked or snapshot.metrics):
        yield warning(
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
        yield ok("pipeline", told)
    for stage, reasons in list(snapshot.stale.items())[:5]:
        yield warning(
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
            return warning(name, note, fix)
    return warning("metrics", note, "See the file named.")


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
        return warning(
            "artifacts",
            "none are declared: nothing can be promoted",
            f"In the dvc.yaml at the top: `{heading} {{{entries}}}`.",
        )
    try:
        chosen = chosen_artifacts(snapshot, settings)
    except ModelCIError as error:
        return _failed("artifacts", error)
    return ok("artifacts", ", ".join(artifact.name for artifact in chosen))


def _check_gates(config: Config, snapshot: Snapshot) -> Iterator[Check]:
    """Judge what is there against itself: whatever does not hold now blocks every change."""
    gates = config.all_gates()
    if not gates:
        first = "" if snapshot.metrics else f"{source_of_metrics(snapshot)} metrics; then "
        yield warning(
            "gates",
            "none: no pull request is ever blocked",
            f"{first}`modelci init` proposes some.",
        )
        return
    deltas = diff_metrics(snapshot.metrics, snapshot.metrics, config.metrics)
    results = judge_all(gates, deltas)
    troubled = [one for one in results if one.outcome is not Outcome.PASSED]
    yield from (_of_gate(one, snapshot) for one in troubled)
    if not troubled:
        yield ok("gates", f"{counted(len(gates), 'gate')}, all hold for what is here")


def _of_gate(result: GateResult, snapshot: Snapshot) -> Check:
    """Return what is wrong with a gate, or with the model that it judges."""
    detail, delta = f"{result.gate}: {result.reason}", result.delta
    is_known = delta is not None and (
        not result.gate.rule.is_relative_to_base or delta.direction is not Direction.UNKNOWN
    )
    if is_known and result.outcome in {Outcome.FAILED, Outcome.WARNED}:
        told = "blocked" if result.blocks else "warned"
        return warning(
            "gates",
            f"{detail}: the model that is here does not hold it",
            f"A pull request would be {told}, as it should where the model is not good enough "
            "yet. Loosen the gate in modelci.yaml only if that is meant.",
        )
    make = problem if result.blocks else warning
    return make("gates", detail, f"{_meant(result.gate.metric, snapshot)}Mend it in modelci.yaml.")


def _meant(metric: str, snapshot: Snapshot) -> str:
    """Say which metric may be meant by a gate's; "" where it is one, or like none."""
    names = {key.name for key in snapshot.metrics}
    # A gate that names the last part alone means every metric that ends so.
    near = get_close_matches(metric, sorted(names | {one.rpartition(".")[2] for one in names}), n=1)
    return f"Did you mean {near[0]!r}? " if near and near[0] != metric else ""


def _check_models(world: _World) -> Iterator[Check]:
    config, tree = world.configuration().config, world.git.work_tree()
    snapshot = world.reader().read(tree)
    yield from check_names(snapshot, config)
    if world.scanner is not None:
        yield from check_models(snapshot, tree, config, world.scanner)


def _check_evaluation(world: _World) -> Iterator[Check]:
    config = world.configuration().config
    asked = config.evaluation or config.data
    if not config.evaluation and any(one.rule.is_relative_to_base for one in config.all_gates()):
        yield ok(
            "evaluation",
            "none: gates compare two numbers, and cannot tell a change from chance; "
            "`evaluation:` in modelci.yaml names the predictions to judge by",
        )
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
        yield ok("report.templates", f"{config.report.templates} renders")


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
        yield ok("tags", counted(here, "registry tag"))
    else:
        tags = world.git.tags(remote=remote, messages=False)
        there = sum(tag.flaw is None for tag in tags)
        if there > here:
            yield warning(
                "tags",
                f"{counted(there, 'registry tag')} at {remote}, {here:,} in this clone",
                "`git fetch --tags` (promotions read the remote's anyway).",
            )
        else:
            yield ok("tags", f"{counted(here, 'registry tag')}, {there:,} at {remote}")
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
        yield problem(f"tag {one.ref}", f"{one.rule}: {one.message}", _removal(one.ref, remote))
    if len(problems) > _MOST_TAGS:
        rest = counted(len(problems) - _MOST_TAGS, "more tag")
        yield problem("tags", f"{rest} like these", "`modelci registry --json` lists them all.")
    light = list(dict.fromkeys(tag.tag for tag in (*tags, *ours) if tag.flaw is Rule.LIGHTWEIGHT))
    if light:
        name = shlex.quote(light[0])
        yield warning(
            "tags",
            f"{counted(len(light), 'lightweight tag')} of a registry's name: {listed(light)}",
            "Only annotated tags count. If it is meant to: "
            f"`git tag -f -a -m Register {name} {name}`, and push it with --force.",
        )
    times = world.git.commit_times(deciding_commits(states))
    for state in states:
        # The future is the registry's own to warn of: there is no clock here.
        skews = doubt_clocks(state, now=sys.maxsize, commit_times=times)
        for doubt in (*(one for one in state.warnings if one.doubt is not Doubt.DVC), *skews):
            yield warning(f"registry {state.name}", doubt.message, _FIXES[doubt.doubt])


def _removal(ref: str, remote: str | None) -> str:
    name = shlex.quote(ref)
    # Either side may lack it: the one command must not keep the other from running.
    away = f"; git push {remote} --delete {shlex.quote(f'refs/tags/{ref}')}" if remote else ""
    return f"`git tag -d {name}{away}`; then, if it was meant, make it anew by `git tag -a`."


_MOST_TAGS = 10
_FIXES = {
    Doubt.TIE: "Assign the one that is meant once more.",
    Doubt.IGNORED: "Assign another version to the stage: GTO cannot unassign this one.",
    Doubt.MOVED: "Deregister the version where it is not meant; never use its name again.",
    Doubt.SKEW: "Set the clock of the machine that tagged, and assign once more.",
}


def _check_workflows(world: _World) -> Iterator[Check]:
    tree = world.git.work_tree()
    return check_workflows(
        tree,
        world.configuration().config,
        has_stages=lambda: bool(world.reader().read(tree).stages),
    )


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    check: Callable[[_World], Iterator[Check]]


_GROUPS = (
    _Group("git", _check_git),
    _Group("dvc", _check_dvc),
    _Group("dvc remotes", _check_trust),
    _Group("pipeline", _check_pipeline),
    _Group("models", _check_models),
    _Group("evaluation", _check_evaluation),
    _Group("monitor", _check_monitors),
    _Group("report.templates", _check_templates),
    _Group("deploy", _check_deploy),
    _Group("tags", _check_tags),
    _Group("workflows", _check_workflows),
)


def _failed(name: str, error: ModelCIError) -> Check:
    return problem(name, str(error), error.hint)
