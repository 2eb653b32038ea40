"""``modelci rollback`` and its kin: changes to one artifact's registry, each a new tag."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from modelci.config.model import Config
from modelci.domain.changes import TrackedFile
from modelci.domain.promotion import PlannedTag, Promotion
from modelci.domain.registry import TagRecord
from modelci.domain.rollback import PLANS, RegistryChange, Wish
from modelci.domain.tags import is_artifact_name, is_stage_name
from modelci.domain.versions import Version
from modelci.errors import UsageError
from modelci.ports import Forge, Git, Pipeline, Progress, SnapshotReader
from modelci.workflows.promote import event_notes, record
from modelci.workflows.pushing import ATTEMPTS, Pause, Tags, Task, carry_out, pause_briefly
from modelci.workflows.signing import require_signatures
from modelci.workflows.stored import require_bytes

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
    required; then nothing was tagged.
    """
    _require_sense(wish)
    git = git.with_remote(config.promote.remote) if config.promote.remote else git
    planner = _Planner(action=action, wish=wish, remote=git.remote(), changes=[])
    tags = planner.read(git)
    planned = planner.plan(tags)
    change = planner.changes[-1]
    if not change.tags:
        return replace(change, done=not dry_run)
    # What holds a stage may hold it on: a release only says so once more.
    assigned = tags if action == _ROLLBACK else ()
    require_signatures(git, change.tags, assigned, config.registry, default_branch=default_branch)
    notes: tuple[str, ...] = ()
    if action == _ROLLBACK:
        notes = require_bytes(
            _files(git, reader, change),
            pipeline,
            is_required=config.promote.require_remote,
            allowed=None,
        )
    starts = config.promote.starts_workflows or config.promote.dispatch is not None
    notes += event_notes(planned, on_github=on_github, starts=starts)
    if not dry_run:
        change = _carry_out(git, planner, tags, progress=progress, pause=pause)
        notes += record(replace(planned, tags=change.tags), forge, progress=progress)
    return replace(change, notes=(*change.notes, *notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planner:
    """Plans a change as often as need be; ``changes`` are what it came to, the last one last."""

    action: str
    wish: Wish
    remote: str | None
    changes: list[RegistryChange]

    def read(self, git: Git) -> Tags:
        """Return the artifact's tags as they are now."""
        return git.tags([self.wish.artifact], remote=self.remote)

    def plan(self, tags: Sequence[TagRecord]) -> Promotion:
        """Plan from these tags; return the tags to push in the form that pushing takes."""
        change = replace(PLANS[self.action](tags, self.wish), remote=self.remote)
        self.changes.append(change)
        return Promotion(commit=change.commit or "", tags=change.tags, remote=self.remote)

    def outcome(self, made: Promotion) -> RegistryChange:
        """Return the change whose tags were made; where others made them, that all is done."""
        mine = (one for one in reversed(self.changes) if one.tags == made.tags)
        return replace(next(mine, self.changes[-1]), tags=made.tags, done=True)


def _carry_out(
    git: Git, planner: _Planner, tags: Tags, *, progress: Progress, pause: Pause
) -> RegistryChange:
    """Push what is planned, and a rollback again until it stands.

    Whoever read the tags before a third one came may push under another number and a later time:
    then nothing is refused, and who looks last has to see it.
    """
    made = list[PlannedTag]()
    for _ in range(ATTEMPTS):
        task = Task(read=partial(planner.read, git), plan=planner.plan)
        done = carry_out(git, task, planner.plan(tags), tags, progress=progress, pause=pause)
        change = planner.outcome(done)
        made.extend(change.tags)
        if planner.action != _ROLLBACK or not change.tags or change.after is None:
            break
        to = Version.parse(change.after.removeprefix("v"))
        tags, planner = planner.read(git), replace(planner, wish=replace(planner.wish, to=to))
        if not planner.plan(tags).tags:
            break
        progress.note(f"{change.stage} was assigned at the same time; rolling it back again.")
    return replace(change, tags=tuple(made))


def _require_sense(wish: Wish) -> None:
    if not is_artifact_name(wish.artifact):
        raise UsageError(f"{wish.artifact!r} cannot be an artifact's name.")
    if wish.stage is not None and not is_stage_name(wish.stage):
        raise UsageError(f"{wish.stage!r} cannot be a stage's name.")
    if not wish.reason.strip():
        raise UsageError("The reason is empty.", hint="--reason says why; it stays in the tag.")


def _files(git: Git, reader: SnapshotReader, change: RegistryChange) -> list[TrackedFile]:
    """Return what DVC tracks of the artifact in the commit to go back to."""
    if change.commit is None or not git.has(change.commit):
        return []
    snapshot = reader.read(git.tree(change.commit))
    path = next((one.path for one in snapshot.artifacts if one.name == change.artifact), None)
    if path is None:
        return []
    inside = (path, *(str(folder) for folder in PurePosixPath(path).parents))
    return [snapshot.tracked[one] for one in inside if one in snapshot.tracked][:1]
