"""How long a run may still take, by how long its stages took last time."""

from collections.abc import Collection, Mapping
from statistics import median

from modelci.domain.wording import size


def seconds_left(
    *,
    running: Mapping[str, float],
    ended: Collection[str],
    waiting: int,
    last: Mapping[str, float],
    lanes: int,
) -> float | None:
    """Return the seconds that are left, or None where nothing is known of the last run.

    ``running`` are stages with the seconds they have run; of the ``waiting`` ones only the number
    is known: they take what the last run's stages took that have not yet begun. A stage that the
    last run did not run takes what is usual. With ``lanes`` at a time the work is shared evenly,
    but no stage is shared, and one that is late is taken to end now.
    """
    if not last:
        return None
    usual = median(last.values())
    rests = [max(0.0, last.get(name, usual) - spent) for name, spent in running.items()]
    coming = [last[name] for name in last if name not in ended and name not in running]
    if len(coming) > waiting:  # the last run had more stages: which of them come is not known
        work, longest = waiting * sum(coming) / len(coming), 0.0
    else:
        work = sum(coming) + usual * (waiting - len(coming))
        longest = max(coming, default=0.0)
    return max([(sum(rests) + work) / max(1, lanes), longest, *rests])


def clock(seconds: float) -> str:
    """Return ``0:07``, ``12:05`` or ``3:00:09``."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def whole_seconds(spent: float, done: float, total: float | None) -> float | None:
    """Return how long something takes in all by what is done of it; None while nothing tells."""
    if total is None or not 0 < done <= total:
        return None
    return spent * total / done


def amount(done: float, total: float | None, unit: str) -> str:
    """Return ``45 % of 1.20 GB``, ``12 of 340 files`` or ``3.40 MB``; nothing of seconds."""
    if unit == "s" or (not done and not total) or (unit != "bytes" and total == 1):
        return ""
    if unit == "bytes":
        return f"{_share(done, total)} of {size(total)}" if total else size(done)
    if total is None:
        return f"{done:,.0f} {unit}".rstrip()
    return f"{done:,.0f} of {total:,.0f} {unit}".rstrip()


def _share(done: float, total: float) -> str:
    return f"{min(1.0, done / total):.0%}".replace("%", " %")
