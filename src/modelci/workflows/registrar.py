"""Puts a plan of tags on record: judges it, pushes it, and tells who has to know.

Promotions, assignments and rollbacks differ in what they plan, and in nothing of this.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from modelci.config.model import PromoteConfig, RegistryConfig
from modelci.domain.allowance import settle
from modelci.domain.changes import TrackedFile
from modelci.domain.promotion import MOST_TAGS, Promotion, keep_allowance, lift
from modelci.errors import ForgeError
from modelci.ports import Forge, Git, Pipeline, Progress
from modelci.workflows.pushing import Pause, Tags, Task, carry_out, pause_briefly
from modelci.workflows.signing import policy_in_force, require_good, require_signed_versions
from modelci.workflows.stored import look_for_bytes

_NO_EVENT = (
    "GitHub starts no workflow for a tag that a job's own GITHUB_TOKEN pushed: deploy in this run, "
    "let promote.dispatch name the workflow to start, or push with an app's token and set "
    "promote.starts_workflows: true."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """The repository, the rules of the registry, and everyone else to ask or to tell.

    ``by`` is who answers for what a reason lifts. Without a ``pipeline`` nobody looks for bytes,
    without a ``forge`` none is told of tags.
    """

    git: Git
    settings: PromoteConfig
    registry: RegistryConfig
    progress: Progress
    by: str
    pipeline: Callable[[], Pipeline] | None = None
    forge: Forge | None = None
    default_branch: str | None = None
    on_github: bool = False
    pause: Pause = pause_briefly

    def put_through(self, task: Task, *, dry_run: bool) -> Promotion:
        """Plan by the tags as they are, ask whether it may be, and (no ``dry_run``) do it."""
        tags = task.read()
        promotion = task.judge(task.plan(tags), tags)
        found = promotion if dry_run else self.carry_out(task, promotion, tags)
        return replace(found, notes=(*found.notes, *self.again_notes(found.standing)))

    def again_notes(self, standing: Sequence[str]) -> tuple[str, ...]:
        """Say that the deployment of assignments made before is started again.

        Nobody knows whether the run that made them came to that: it may have been cut short between
        the push and the start. To deploy what is deployed changes nothing.
        """
        workflow = self.settings.dispatch
        return tuple(
            f"{name} was there before: {workflow} starts for it again, in case it never did."
            for name in (standing if workflow else ())
        )

    def judge(
        self,
        promotion: Promotion,
        tags: Tags,
        files: Mapping[str, TrackedFile],
        *,
        brings: bool = True,
        vouch: str | None = None,
    ) -> Promotion:
        """Return the promotion as it may be pushed: which rules it lifts stands in its tags.

        ``files`` are bytes that must be stored, by artifact. ``brings`` says that versions come to
        stages: then somebody must have signed them who may, as the tags themselves in any case.
        ``vouch`` is what one can do about a version from before signatures, if anything. Raises
        PromotionError.
        """
        if not promotion.tags:
            return promotion
        policy = policy_in_force(self.git, self.registry, default_branch=self.default_branch)
        versions = tags if brings else ()
        unsigned = (
            require_signed_versions(self.git, promotion.tags, versions, policy, vouch=vouch)
            if policy
            else ()
        )
        found = look_for_bytes(files, self.pipeline, is_required=self.settings.require_remote)
        lifted = settle((*unsigned, *found.objections), promotion.allowed)
        promotion = keep_allowance(lift(promotion, lifted), by=self.by)
        if policy:
            require_good(self.git, promotion.tags, policy)
        notes = (*promotion.notes, *found.notes, *self._event_notes(promotion))
        return replace(promotion, notes=notes)

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
