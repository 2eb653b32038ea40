"""Carries out a plan of tags: push, and where somebody else was first plan again, a few times."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from modelci.domain.promotion import PlannedTag, Promotion
from modelci.domain.registry import TagRecord
from modelci.domain.tags import Action, TagName
from modelci.errors import ForgeDeniedError, ForgeError, PromotionError, TagTakenError
from modelci.ports import NO_BLOBS, Blobs, Git, Progress

ATTEMPTS = 3
_MOST_NAME = 100

Tags = tuple[TagRecord, ...]
Pause = Callable[[int], None]


def pause_briefly(attempt: int) -> None:
    """Wait a moment, of a random length: two that clash shall not clash again."""
    time.sleep(random.uniform(0.02, 0.2) * 2**attempt)  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A promotion that can be planned as often as need be.

    ``read`` asks the remote for its tags, ``plan`` decides from them, ``judge`` returns the plan as
    it may be pushed, or refuses it by a PromotionError. ``commit_to`` says which commit the first
    push brings to which branch.
    """

    read: Callable[[], Tags]
    plan: Callable[[Tags], Promotion]
    judge: Callable[[Promotion, Tags], Promotion]
    commit_to: Callable[[], tuple[str, str] | None] = lambda: None
    beside: Callable[[Sequence[PlannedTag]], Blobs] = lambda _: NO_BLOBS


def carry_out(
    git: Git,
    task: Task,
    promotion: Promotion,
    tags: Tags,
    *,
    progress: Progress,
    pause: Pause = pause_briefly,
) -> Promotion:
    """Push what ``promotion``, decided from ``tags`` and judged, lacks; return what has been done.

    Every push is atomic. One that is refused, or whose answer is lost, is followed by a look at the
    remote: what is there as planned is done, what is left is planned and judged anew. Raises
    PromotionError naming the winner where somebody else's outcome stands instead.
    """
    made: list[PlannedTag] = []
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _push(git, promotion, task, made)
            return replace(promotion.with_tags(made), done=True)
        except ForgeDeniedError:
            raise
        except (TagTakenError, ForgeError) as error:
            progress.note(f"The push did not go through, looking again: {error}")
            pause(attempt)
            after = _look(task, error)
            made.extend(_arrived(promotion.tags, made, after))
            following = _plan_again(task, promotion, made, change=(tags, after), error=error)
            if not following.tags and task.commit_to() is None:
                return _finished(promotion, following, made)
            if attempt == ATTEMPTS:
                raise
            promotion, tags = _judge_again(task, following, after, made), after
    raise AssertionError  # the last attempt returns or raises


def _finished(promotion: Promotion, following: Promotion, made: Sequence[PlannedTag]) -> Promotion:
    """Return what was done where nothing is left to do: by us, or by others who wanted the same."""
    notes = dict.fromkeys((*(promotion.notes if made else ()), *following.notes))
    return replace(following.with_tags(made), notes=tuple(notes), done=True)


def _push(
    git: Git,
    promotion: Promotion,
    task: Task,
    made: list[PlannedTag],
) -> None:
    """Push group by group, and add to ``made`` what is there."""
    commit_to = task.commit_to()
    for group in promotion.pushes or ((),):
        if not group and not commit_to:
            return
        try:
            git.push(group, remote=promotion.remote, commit_to=commit_to, blobs=task.beside(group))
        except TagTakenError:
            raise
        except PromotionError as error:
            if not made:
                raise
            raise _told(error, made) from error
        made.extend(group)
        commit_to = None


def _judge_again(
    task: Task, promotion: Promotion, tags: Tags, made: Sequence[PlannedTag]
) -> Promotion:
    try:
        return task.judge(promotion, tags)
    except PromotionError as error:
        if not made:
            raise
        raise _told(error, made) from error


def _told(error: PromotionError, made: Sequence[PlannedTag]) -> PromotionError:
    """Return the refusal of the rest, which says what of it all had been tagged before."""
    names = ", ".join(tag.name for tag in made)
    return PromotionError(f"{error} But {names} had been tagged.", hint=error.hint)


def _look(task: Task, error: PromotionError | ForgeError) -> Tags:
    try:
        return task.read()
    except ForgeError:
        raise error from None


def _arrived(
    planned: Sequence[PlannedTag], made: Sequence[PlannedTag], tags: Tags
) -> Iterator[PlannedTag]:
    """Yield what was planned and is there, although the push's answer did not say so."""
    there = {(one.tag, one.commit, one.seconds, one.message.strip()) for one in tags}
    for tag in planned:
        if tag not in made and (tag.name, tag.commit, tag.seconds, tag.message.strip()) in there:
            yield tag


def _plan_again(
    task: Task,
    promotion: Promotion,
    made: Sequence[PlannedTag],
    *,
    change: tuple[Tags, Tags],
    error: PromotionError | ForgeError,
) -> Promotion:
    """Plan what is missing after a ``change`` of the tags; refuse where a rival has decided."""
    before, after = change
    own = {(tag.name, tag.commit) for tag in made}
    known = {(tag.ref, tag.commit, tag.seconds) for tag in before}
    theirs = [
        one
        for one in after
        if (one.ref, one.commit, one.seconds) not in known and (one.tag, one.commit) not in own
    ]
    try:
        following = task.plan(after)
    except PromotionError as refusal:
        if not theirs:
            raise
        raise PromotionError(
            f"{_describe(max(theirs, key=_time))} came first. {refusal}", hint=refusal.hint
        ) from error
    rivals = [one for one in theirs if _clashes(one, promotion.tags)]
    if following.tags and rivals:
        names = ", ".join(tag.name for tag in made)
        left = f"Of this promotion {names} had been tagged." if made else "Nothing was tagged."
        raise PromotionError(
            f"{_describe(max(rivals, key=_time))} came first. {left}",
            hint=f"`modelci registry history {rivals[0].name.artifact}` shows what happened; "
            "then decide anew.",
        ) from error
    return following


def _time(tag: TagRecord) -> tuple[int, str]:
    return tag.seconds, tag.tag


def _describe(tag: TagRecord) -> str:
    # Anybody may call themselves anything, control characters included.
    who = "".join(one for one in tag.tagger if one.isprintable())[:_MOST_NAME] or "somebody"
    return f"{tag.tag} by {who} ({_when(tag.seconds)}, on {tag.commit[:7]})"


def _when(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):  # a tagger may claim any instant
        return f"second {seconds}"


def _clashes(theirs: TagRecord, planned: Sequence[PlannedTag]) -> bool:
    """Whether their tag decides otherwise what one of ours was to decide."""
    return any(_decides_otherwise(theirs, tag) for tag in planned)


def _decides_otherwise(theirs: TagRecord, tag: PlannedTag) -> bool:
    ours = TagName.parse(tag.name)
    if ours is None or theirs.name.artifact != ours.artifact:
        return False
    if ours.action is Action.REGISTER:
        return theirs.name.version is not None and theirs.commit != tag.commit
    if theirs.name.stage != ours.stage:
        return False
    return theirs.name.action is Action.UNASSIGN or theirs.commit != tag.commit
