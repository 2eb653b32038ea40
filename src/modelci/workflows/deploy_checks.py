"""What `modelci doctor` says of ``deploy``: targets, golden requests, and secrets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath

from modelci.config.model import Config, ModelConfig, SigningMethod, TargetConfig, TargetKind
from modelci.domain.checks import Check, ok, problem, warning
from modelci.domain.provenance import find_tracked
from modelci.domain.registry import TagRecord
from modelci.domain.snapshot import Snapshot
from modelci.domain.tags import Action
from modelci.ports import FileTree
from modelci.workflows.recipe import GOLDEN_SUFFIX
from modelci.workflows.revisions import promoted_artifacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the environment gives: ``forge_token`` names the variable that is wanted, if it is not.

    ``look`` examines a target, by its name, from this machine.
    """

    look: Callable[[str], Sequence[Check]] = lambda _name: ()
    forge_token: str | None = None
    has_signing_key: bool = True


def check_deploy(
    config: Config,
    snapshot: Snapshot,
    tree: FileTree,
    tags: Sequence[TagRecord],
    around: Surroundings,
) -> Iterator[Check]:
    """Yield what stands in the way of deploying what the registry's ``tags`` come to say."""
    targets = config.deploy.targets
    for name, target in targets.items():
        found = [*_check_stages(name, target, config, tags), *around.look(name)]
        yield from found
        if not found:
            takes = ", ".join(target.stages) or "no stage: it is named by --to"
            yield ok(f"target {name}", f"{target.kind}, takes {takes}")
    yield from _check_shared(targets)
    yield from _check_golden(config, snapshot, tree)
    yield from _check_secrets(config, around)


def _check_stages(
    name: str, target: TargetConfig, config: Config, tags: Sequence[TagRecord]
) -> Iterator[Check]:
    listed = {*config.promote.stages, *config.promote.assign}
    assigned = {tag.name.stage for tag in tags if tag.name.action is Action.ASSIGN}
    known = sorted(listed | {stage for stage in assigned if stage})
    for stage in target.stages:
        if known and stage not in known:
            near = get_close_matches(stage, known, n=1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            yield warning(
                f"target {name}",
                f"it takes stage {stage!r}, which neither promote.stages nor any tag knows",
                f"{meant}There are {', '.join(known)}.",
            )


def _check_shared(targets: Mapping[str, TargetConfig]) -> Iterator[Check]:
    """Name what two targets cannot both have, and stages of which a tag cannot tell the target."""
    folders = {name: one.path for name, one in targets.items() if one.path}
    servers = {n: one for n, one in targets.items() if one.kind is TargetKind.SERVER}
    addresses = {name: one.server.listen for name, one in servers.items()}
    for what, held in (("path", folders), ("server.listen", addresses)):
        for value, names in _shared(held):
            yield problem(
                "deploy.targets",
                f"{' and '.join(names)} have the same {what}, {value}",
                f"Give each a {what} of its own.",
            )
    for stage in dict.fromkeys(stage for one in targets.values() for stage in one.stages):
        names = [name for name, one in targets.items() if stage in one.stages]
        if len(names) > 1:
            yield warning(
                "deploy.targets",
                f"{' and '.join(names)} take stage {stage!r}: a tag of it does not tell where to",
                "Name the target with --to, or let one alone take the stage.",
            )


def _shared(held: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    for value in dict.fromkeys(held.values()):
        names = [name for name, one in held.items() if one == value]
        if len(names) > 1:
            yield value, names


def _check_golden(config: Config, snapshot: Snapshot, tree: FileTree) -> Iterator[Check]:
    wanted = set(promoted_artifacts(snapshot, config.promote))
    tell = problem if config.deploy.require_golden else warning
    for one in snapshot.artifacts:
        settings = config.models.get(one.name, ModelConfig())
        golden = settings.golden or str(PurePosixPath(one.path).with_suffix(GOLDEN_SUFFIX))
        if one.name in wanted and not _is_there(golden, snapshot, tree.paths()):
            yield tell(
                f"golden requests of {one.name}",
                f"there is no {golden}: nothing says how a deployed version should answer",
                f"Let a stage of the pipeline write it: `modelci golden {one.path} DATA --out "
                f"{golden}`.",
            )


def _is_there(path: str, snapshot: Snapshot, files: Sequence[str]) -> bool:
    written = any(path in stage.outs for stage in snapshot.stages)
    return written or find_tracked(snapshot, path) is not None or path in files


def _check_secrets(config: Config, around: Surroundings) -> Iterator[Check]:
    if config.deploy.require_provenance and around.forge_token is not None:
        yield warning(
            "deploy.require_provenance",
            f"{around.forge_token} is not set here: the provenance of a release cannot be read",
            f"Set {around.forge_token} where it is deployed.",
        )
    signing = config.signing
    takes_key = signing.method is not SigningMethod.SIGSTORE and signing.private_key is None
    if config.promote.sign_models and takes_key and not around.has_signing_key:
        yield warning(
            "promote.sign_models",
            "MODELCI_SIGNING_KEY_PEM is not set here, and signing.private_key names no file",
            "Set it in the job that promotes.",
        )
