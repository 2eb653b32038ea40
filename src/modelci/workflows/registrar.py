"""Puts a plan of tags on record: judges it, pushes it, and tells who has to know.

Promotions, assignments and rollbacks differ in what they plan, and in nothing of this.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from modelci.config.model import PromoteConfig, RegistryConfig
from modelci.domain.changes import TrackedFile
from modelci.domain.promotion import MOST_TAGS, Promotion
from modelci.errors import ForgeError
from modelci.ports import Forge, Git, Pipeline, Progress
from modelci.workflows.pushing import Pause, Tags, Task, carry_out, pause_briefly
from modelci.workflows.signing import require_signatures
from modelci.workflows.stored import require_bytes

_NO_EVENT = (
    "GitHub starts no workflow for a tag that a job's own GITHUB_TOKEN pushed: deploy in this run, "
    "let promote.dispatch name the workflow to start, or push with an app's token and set "
    "promote.starts_workflows: true."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """The repository, the rules of the registry, and everyone else to ask or to tell.

    Without a ``pipeline`` nobody looks for bytes, without a ``forge`` none is told of tags.
    """

    git: Git
    settings: PromoteConfig
    registry: RegistryConfig
    progress: Progress
    pipeline: Callable[[], Pipeline] | None = None
    forge: Forge | None = None
    default_branch: str | None = None
    on_github: bool = False
    pause: Pause = pause_briefly

    def put_through(self, task: Task, *, dry_run: bool) -> Promotion:
        """Plan by the tags as they are, ask whether it may be, and (no ``dry_run``) do it."""
        tags = task.read()
        promotion = task.judge(task.plan(tags), tags)
        return promotion if dry_run else self.carry_out(task, promotion, tags)

    def judge(
        self,
        promotion: Promotion,
        tags: Tags,
        files: Sequence[TrackedFile],
        *,
        brings: bool = True,
    ) -> Promotion:
        """Return the promotion with notes on what was not checked, if all of it may be pushed.

        ``files`` must be stored. ``brings`` says that versions come to stages, and thus must be
        signed by somebody who may; the tags themselves must be in any case. Raises PromotionError.
        """
        if not promotion.tags:
            return promotion
        require_signatures(
            self.git,
            promotion.tags,
            tags if brings else (),
            self.registry,
            default_branch=self.default_branch,
        )
        notes = require_bytes(
            files,
            self.pipeline,
            is_required=self.settings.require_remote,
            allowed=promotion.allowed,
        )
        return replace(promotion, notes=(*promotion.notes, *notes, *self._event_notes(promotion)))

    def carry_out(self, task: Task, promotion: Promotion, tags: Tags) -> Promotion:
        """Push what was judged, and tell people and the forge of the tags that there are now."""
        done = carry_out(self.git, task, promotion, tags, progress=self.progress, pause=self.pause)
        return replace(done, notes=(*done.notes, *self._record(done)))

    def _event_notes(self, promotion: Promotion) -> tuple[str, ...]:
        """Say which of the planned tags no workflow will hear of."""
        if not self.on_github:
            return ()
        many = [group[0].artifact for group in promotion.pushes if len(group) > MOST_TAGS]
        crowded = (
            f"GitHub starts no workflow for a push of more than {MOST_TAGS} tags: that of {one}."
            for one in many
        )
        starts = self.settings.starts_workflows or self.settings.dispatch is not None
        return (*crowded, *(() if starts else (_NO_EVENT,)))

    def _record(self, promotion: Promotion) -> tuple[str, ...]:
        """Say which tags there are now; return what went wrong. Releases come afterwards."""
        where = promotion.remote or "this clone (there is no remote)"
        notes = []
        for tag in promotion.tags:
            self.progress.note(f"{tag.name} → {where}")
            try:
                if self.forge is not None:
                    self.forge.record_tag(tag.name, commit=tag.commit, message=tag.message)
            except ForgeError as error:
                # The tags are what counts, and they are there.
                notes.append(f"{tag.name} is tagged, but the forge was not told: {error}")
                self.progress.warn(notes[-1])
        return tuple(notes)
