"""Waivers: why a gate may fail for a while, who says so, and until when."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date

from modelci.domain.gates import GateResult, Waiver
from modelci.domain.pipeline import ChangeKind
from modelci.domain.report import WaiverChange


def waive(
    results: Iterable[GateResult], waivers: Sequence[Waiver], today: date
) -> tuple[GateResult, ...]:
    """Give those results that would block the first waiver that holds today."""
    valid = {waiver.gate: waiver for waiver in reversed(waivers) if today <= waiver.expires}
    return tuple(
        replace(result, waiver=valid[result.gate.metric])
        if result.blocks and result.gate.metric in valid
        else result
        for result in results
    )


def notes_on(waivers: Iterable[Waiver], names: Collection[str], today: date) -> tuple[str, ...]:
    """Say which waivers have expired, and which mean no gate (``names``: the gates' metrics)."""
    notes = []
    for waiver in waivers:
        if waiver.gate not in names:
            known = f"gates here: {', '.join(sorted(names))}" if names else "there are no gates"
            notes.append(f"The waiver of {waiver.author} for {waiver.gate} means no gate; {known}.")
        elif waiver.expires < today:
            notes.append(
                f"The waiver of {waiver.author} for {waiver.gate} expired on "
                f"{waiver.expires.isoformat()}."
            )
    return tuple(notes)


def diff_waivers(base: Iterable[Waiver], head: Iterable[Waiver]) -> tuple[WaiverChange, ...]:
    """Return the waivers that only one side has, first those that the head drops."""
    before, after = tuple(base), tuple(head)
    return (
        *(WaiverChange(kind=ChangeKind.DELETED, waiver=one) for one in before if one not in after),
        *(WaiverChange(kind=ChangeKind.ADDED, waiver=one) for one in after if one not in before),
    )
