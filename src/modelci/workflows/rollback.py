"""``modelci rollback`` and its kin: changes to one artifact's registry, each a new tag."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from modelci.config.model import Config
from modelci.domain.allowance import in_order
from modelci.domain.changes import TrackedFile
from modelci.domain.promotion import PlannedTag, Promotion
from modelci.domain.rollback import PLANS, RegistryChange, Wish
from modelci.domain.tags import is_artifact_name, is_stage_name
from modelci.domain.versions import Version
from modelci.errors import PromotionError, UsageError
from modelci.ports import Forge, Git, Pipeline, Progress, SnapshotReader
from modelci.workflows.promote import reason_for
from modelci.workflows.pushing import ATTEMPTS, Pause, Tags, Task, pause_briefly
from modelci.workflows.registrar import Registrar

_ROLLBACK = "rollback"


def change_registry(
    action: str,
    wish: Wish,
    *,
    git: Git,
    reader: SnapshotReader,
    pipeline: Callable[[], Pipeline] | None,
    config: Config,
    progress: Progress,
    default_branch: str | None = None,
    forge: Forge | None = None,
    on_github: bool = False,
    dry_run: bool = False,
    pause: Pause = pause_briefly,
) -> RegistryChange:
    """Carry out ``action`` (a key of ``PLANS``), decided from the remote's tags as they are now.

    After a refused push the tags are read again: two who want the same both succeed. Raises
    PromotionError, which names the winner, where the stage has meanwhile gone elsewhere, where
    the bytes to go back to are not kept, or their version's tag lacks a signature that is
    required; then nothing was tagged. ``wish.allowed`` lifts, of the version that a rollback
    names, missing bytes and that it bears no signature.
    """
    _require_sense(wish)
    git = git.with_remote(config.promote.remote)
    registrar = Registrar(
        git=git,
        settings=config.promote,
        registry=config.registry,
        progress=progress,
        by=wish.by,
        pipeline=pipeline,
        forge=forge,
        default_branch=default_branch,
        on_github=on_github,
        pause=pause,
    )
    planner = _Planner(action=action, wish=wish, registrar=registrar, reader=reader, changes=[])
    tags = planner.read()
    planned = planner.judge(planner.plan(tags), tags)
    if dry_run or not planned.tags:
        change = replace(planner.changes[-1], done=not dry_run)
    else:
        change = _carry_out(planner, planned, tags)
    return replace(change, notes=(*change.notes, *registrar.again_notes(change.standing)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planner:
    """Plans a change as often as need be; ``changes`` are what it came to, the last one last."""

    action: str
    wish: Wish
    registrar: Registrar
    reader: SnapshotReader
    changes: list[RegistryChange]

    @property
    def task(self) -> Task:
        """The change in the form that pushing takes."""
        return Task(read=self.read, plan=self.plan, judge=self.judge)

    def read(self) -> Tags:
        """Return the artifact's tags as they are now."""
        git = self.registrar.git
        return git.tags([self.wish.artifact], remote=git.remote())

    def plan(self, tags: Tags) -> Promotion:
        """Plan from these tags; return the tags to push."""
        change = replace(PLANS[self.action](tags, self.wish), remote=self.registrar.git.remote())
        self._require_same(change)
        self.changes.append(change)
        return Promotion(
            commit=change.commit or "",
            tags=change.tags,
            remote=change.remote,
            notes=change.notes,
            allowed=change.allowed,
        )

    def _require_same(self, change: RegistryChange) -> None:
        """Refuse a rollback that the tags of others have made one to another version."""
        first = next((one for one in self.changes if one.tags), change)
        if self.action == _ROLLBACK and change.tags and change.commit != first.commit:
            raise PromotionError(
                f"It was to go back to {first.after}, and would now go to {change.after}.",
                hint=f"`modelci registry history {change.artifact}` shows what happened; then "
                "decide anew.",
            )

    def judge(self, promotion: Promotion, tags: Tags) -> Promotion:
        """Judge what was planned last. Only a rollback brings a version to a stage.

        What holds a stage may hold it on: a release of a hold only says so once more.
        """
        change, is_rollback = self.changes[-1], self.action == _ROLLBACK
        files = _files(self.registrar.git, self.reader, change) if is_rollback else {}
        judged = self.registrar.judge(
            promotion,
            tags,
            files,
            brings=is_rollback,
            vouch=f"`modelci rollback {change.artifact} --stage {change.stage} --to {change.after} "
            "--reason … --allow REASON` goes back nevertheless: who signs that tag answers for it.",
        )
        self.changes.append(
            replace(
                change,
                tags=judged.tags,
                notes=judged.notes,
                allowed_rules=judged.allowed_rules,
            )
        )
        return judged

    def outcome(self, made: Promotion) -> RegistryChange:
        """Return the change whose tags were made; where others made them, that all is done."""
        mine = (one for one in reversed(self.changes) if one.tags == made.tags)
        change = next(mine, self.changes[-1])
        return replace(
            change,
            tags=made.tags,
            notes=made.notes,
            allowed_rules=made.allowed_rules,
            done=True,
        )


def _carry_out(planner: _Planner, planned: Promotion, tags: Tags) -> RegistryChange:
    """Push what is planned, and a rollback again until it stands.

    Whoever read the tags before a third one came may push under another number and a later time:
    then nothing is refused, and who looks last has to see it.
    """
    made, notes = list[PlannedTag](), dict[str, None]()
    for _ in range(ATTEMPTS):
        change = planner.outcome(planner.registrar.carry_out(planner.task, planned, tags))
        made.extend(change.tags)
        notes |= dict.fromkeys(change.notes)
        if planner.action != _ROLLBACK or not change.tags or change.after is None:
            break
        to = Version.parse(change.after.removeprefix("v"))
        planner = replace(planner, wish=replace(planner.wish, to=to))
        tags = planner.read()
        planned = planner.judge(planner.plan(tags), tags)
        if not planned.tags:
            break
        planner.registrar.progress.note(
            f"{change.stage} was assigned at the same time; rolling it back again."
        )
    rules = in_order(rule for tag in made for rule in tag.allowed_rules)
    return replace(change, tags=tuple(made), notes=tuple(notes), allowed_rules=rules)


def _require_sense(wish: Wish) -> None:
    if not is_artifact_name(wish.artifact):
        raise UsageError(f"{wish.artifact!r} cannot be an artifact's name.")
    if wish.stage is not None and not is_stage_name(wish.stage):
        raise UsageError(f"{wish.stage!r} cannot be a stage's name.")
    if not wish.reason.strip():
        raise UsageError("The reason is empty.", hint="--reason says why; it stays in the tag.")
    if reason_for(wish.allowed) is not None and wish.to is None:
        raise UsageError(
            "--allow lifts rules for a version that is named, and none is.",
            hint="Name it with --to: tags that anybody pushed say what held the stage before.",
        )


def _files(git: Git, reader: SnapshotReader, change: RegistryChange) -> dict[str, TrackedFile]:
    """Return what DVC tracks of the artifact in the commit to go back to."""
    if change.commit is None or not git.has(change.commit):
        return {}
    snapshot = reader.read(git.tree(change.commit))
    path = next((one.path for one in snapshot.artifacts if one.name == change.artifact), None)
    if path is None:
        return {}
    inside = (path, *(str(folder) for folder in PurePosixPath(path).parents))
    found = [snapshot.tracked[one] for one in inside if one in snapshot.tracked]
    return {change.artifact: found[0]} if found else {}
