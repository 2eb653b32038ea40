"""``modelci rollback`` and its kin: changes to one artifact's registry, each a new tag."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from modelci.domain.registry import TagRecord
from modelci.domain.rollback import PLANS, RegistryChange, Wish, winner
from modelci.domain.tags import is_artifact_name, is_stage_name
from modelci.errors import PromotionError, UsageError
from modelci.ports import Git, Progress

_ATTEMPTS = 5

Check = Callable[[RegistryChange, Sequence[TagRecord]], None]


def change_registry(
    action: str,
    wish: Wish,
    *,
    git: Git,
    progress: Progress,
    checks: Sequence[Check] = (),
    dry_run: bool = False,
) -> RegistryChange:
    """Carry out ``action`` (a key of ``PLANS``), decided from the remote's tags as they are now.

    Whoever pushes first wins: after a refusal the tags are read again, and what is still missing
    is tried again, so that two who want the same both succeed. ``checks`` may refuse what is
    planned, from the tags that it was planned from. Raises PromotionError, which names the
    winner, where the stage has meanwhile gone elsewhere; then nothing was tagged.
    """
    _require_sense(wish)
    remote = git.remote()
    tags = git.tags([wish.artifact], remote=remote)
    for attempt in range(_ATTEMPTS):
        change = replace(PLANS[action](tags, wish), remote=remote)
        if dry_run or not change.tags:
            return replace(change, done=not dry_run)
        for check in checks:
            check(change, tags)
        try:
            git.push(change.tags, remote=remote)
        except PromotionError as refusal:
            before, tags = tags, git.tags([wish.artifact], remote=remote)
            if attempt + 1 == _ATTEMPTS or not _have_changed(before, tags):
                raise
            _require_same_world(action, wish, before, tags, refusal)
            progress.note(f"{remote} has newer tags of {wish.artifact}; deciding again.")
            continue
        for tag in change.tags:
            progress.note(f"{tag.name} → {remote or 'this clone (there is no remote)'}")
        return replace(change, done=True)
    raise AssertionError  # the last attempt returns or raises


def _require_sense(wish: Wish) -> None:
    if not is_artifact_name(wish.artifact):
        raise UsageError(f"{wish.artifact!r} cannot be an artifact's name.")
    if wish.stage is not None and not is_stage_name(wish.stage):
        raise UsageError(f"{wish.stage!r} cannot be a stage's name.")
    if not wish.reason.strip():
        raise UsageError("The reason is empty.", hint="--reason says why; it stays in the tag.")


def _have_changed(before: Sequence[TagRecord], after: Sequence[TagRecord]) -> bool:
    return {tag.ref for tag in before} != {tag.ref for tag in after}


def _require_same_world(
    action: str,
    wish: Wish,
    before: Sequence[TagRecord],
    after: Sequence[TagRecord],
    refusal: PromotionError,
) -> None:
    """Refuse what would now mean something else than when it was asked for.

    "The version before" is another one once the stage has moved; a version named by --to, and a
    hold, are what they were.
    """
    if wish.stage is None or wish.to is not None or action == "release-hold":
        return
    ours, theirs = winner(before, wish.stage), winner(after, wish.stage)
    if theirs is None or (ours is not None and ours.ref == theirs.ref):
        return
    if not PLANS[action](after, wish).tags:
        return  # they wanted the same
    raise PromotionError(
        f"{theirs.name} by {theirs.tagger or 'somebody'} came first: {wish.stage} is another's "
        "now, nothing was tagged.",
        hint=f"`modelci registry history {wish.artifact}` shows what happened; then decide anew.",
    ) from refusal
