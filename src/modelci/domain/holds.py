"""Holds: after a rollback, automation leaves a stage alone until a person releases it.

A hold is kept where everything else is: in tags, which are never moved or deleted. The newest
assignment (or unassignment) of a stage that carries the trailer ``Modelci-Hold`` decides: ``true``
holds the stage, ``released`` lets it go. A tag without the trailer changes nothing, so that one
``gto assign`` past a hold is not taken for its release.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelci.domain.registry import TagRecord
from modelci.domain.tags import Action

HOLD = "Modelci-Hold"
REASON = "Modelci-Reason"
BY = "Modelci-By"
HELD, RELEASED = "true", "released"

_TRAILER = re.compile(r"(?P<key>[A-Za-z0-9-]+): *(?P<value>.*)")
_SIGNATURE = re.compile(
    r"^-----BEGIN (?:PGP SIGNATURE|PGP MESSAGE|SIGNED MESSAGE|SSH SIGNATURE)-----", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why automation may not assign ``stage``; ``tag`` put the hold on ``commit``'s version."""

    artifact: str
    stage: str
    commit: str
    tag: str
    seconds: int
    reason: str = ""
    by: str = ""

    @property
    def sentence(self) -> str:
        """What holds the stage, in a line for people."""
        reason = f": {self.reason}" if self.reason else ""
        by = f" (by {self.by})" if self.by else ""
        return f"{self.artifact}#{self.stage} is held by {self.tag}{by}{reason}"


def trailers(message: str) -> Mapping[str, str]:
    """Return the trailers of a tag's message: the ``Key: value`` lines of its last paragraph.

    A signature behind them is no part of the message. Of one key written twice the last counts.
    """
    paragraphs = without_signature(message).strip().split("\n\n")
    lines = paragraphs[-1].splitlines() if len(paragraphs) > 1 else []
    found = (_TRAILER.fullmatch(line) for line in lines)
    return {one["key"]: one["value"].strip() for one in found if one}


def without_signature(text: str) -> str:
    """Return what is signed of a tag: all that stands before the last signature, as Git reads."""
    starts = [found.start() for found in _SIGNATURE.finditer(text)]
    return text[: starts[-1]] if starts else text


def held(tags: Iterable[TagRecord], artifact: str, stage: str) -> Hold | None:
    """Return the hold on a stage, or None where automation may assign it."""
    return find_holds(tag for tag in tags if tag.name.artifact == artifact).get((artifact, stage))


def find_holds(tags: Iterable[TagRecord]) -> Mapping[tuple[str, str], Hold]:
    """Return every hold that stands, by artifact and stage."""
    found: dict[tuple[str, str], Hold] = {}
    for tag in in_order(tags):
        stage = tag.name.stage
        if stage is None or tag.name.action not in {Action.ASSIGN, Action.UNASSIGN}:
            continue
        said = trailers(tag.message)
        if said.get(HOLD) == HELD:
            found[tag.name.artifact, stage] = Hold(
                artifact=tag.name.artifact,
                stage=stage,
                commit=tag.commit,
                tag=str(tag.name),
                seconds=tag.seconds,
                reason=said.get(REASON, ""),
                by=said.get(BY, ""),
            )
        elif said.get(HOLD) == RELEASED:
            found.pop((tag.name.artifact, stage), None)
    return found


def in_order(tags: Iterable[TagRecord]) -> list[TagRecord]:
    """Return the tags that count, oldest first."""
    good = (tag for tag in tags if tag.flaw is None)
    # By the counter as a number: of one second #9 came before #10.
    return sorted(good, key=lambda tag: (tag.seconds, tag.name.counter or 0, str(tag.name)))
