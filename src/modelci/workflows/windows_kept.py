"""What is remembered of past windows: enough for rows of breaches, cooling down, and trends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from modelci.documents import codec
from modelci.domain.gates import Subject
from modelci.domain.monitoring import ColumnDrift, Monitoring
from modelci.domain.profile import ColumnProfile
from modelci.domain.windows import Window, parse_window
from modelci.errors import ConfigError
from modelci.ports import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Past windows, the oldest first; ``notes`` name what could not be read."""

    windows: tuple[Monitoring, ...] = ()
    notes: tuple[str, ...] = ()

    def before(self, window: Window, pattern: str) -> tuple[Monitoring, ...]:
        """Return the windows that ended before this one starts."""
        return tuple(
            one for one in self.windows if parse_window(one.window, pattern).start < window.start
        )

    def newer_than(self, window: Window, pattern: str) -> str | None:
        """Return the name of the newest window that starts after this one, if one does."""
        later = [
            one.window
            for one in self.windows
            if parse_window(one.window, pattern).start > window.start
        ]
        return later[-1] if later else None

    def with_window(self, document: Monitoring, pattern: str) -> "Kept":
        """Return the same with one window more, or in place of what it was before."""
        others = [one for one in self.windows if one.window != document.window]
        ordered = sorted(
            [*others, document], key=lambda one: parse_window(one.window, pattern).start
        )
        return replace(self, windows=tuple(ordered))

    def find(self, name: str) -> Monitoring | None:
        """Return what is kept of one window."""
        return next((one for one in self.windows if one.window == name), None)


def read_kept(journal: Journal | None, pattern: str) -> Kept:
    """Return the windows that a journal has, of those that ``pattern`` names."""
    entries = {} if journal is None else journal.read()
    found, notes = list[tuple[datetime, Monitoring]](), list[str]()
    for name, data in entries.items():
        try:
            found.append(_decode(name, data, pattern))
        except (ConfigError, ValueError) as error:
            place = "" if journal is None else f" ({journal.place})"
            notes.append(f"The history of {name}{place} is left out: {error}")
    windows = (one for _, one in sorted(found, key=lambda pair: pair[0]))
    return Kept(windows=tuple(windows), notes=tuple(notes))


def _decode(name: str, data: bytes, pattern: str) -> tuple[datetime, Monitoring]:
    """Return a window with when it starts; whoever can push may have written anything."""
    document = codec.decode(Monitoring, data, source=f"the entry {name}")
    if document.window != name:
        raise ValueError(f"it is of the window {document.window}.")
    if datetime.fromisoformat(document.created).tzinfo is None:
        raise ValueError("it does not say when it was made.")
    return parse_window(name, pattern).start, document


def keep(journal: Journal | None, document: Monitoring, kept: Kept) -> bool:
    """Add a window to the journal; False where it says no more than what is there.

    Distributions are left out: they are in the page and the document of the window's own run.
    """
    if journal is None:
        return False
    known = kept.find(document.window)
    slim = without_distributions(document)
    if known is not None and _says(slim) == _says(known):
        return False
    found = document.verdict
    watched = document.watched
    return journal.write(
        document.window,
        codec.encode(slim).encode(),
        message=f"Watch {watched.artifact} {watched.stage or ''}, {document.window}: "
        f"{found.failed} failed, {found.warned} warned, {found.passed} passed",
        seconds=int(datetime.fromisoformat(document.created).timestamp()),
    )


def as_first_said(document: Monitoring, kept: Kept) -> Monitoring:
    """Return a document with the time and run of the one that said the same of its window.

    What is written to a forge then does not change because somebody looked again.
    """
    known = kept.find(document.window)
    if known is None or _finds(without_distributions(document)) != _finds(known):
        return document
    return replace(document, created=known.created, run_url=known.run_url, version=known.version)


def without_distributions(document: Monitoring) -> Monitoring:
    """Return a document a hundredth the size, with all that was measured and judged."""
    scores = document.scores
    return replace(
        document,
        columns=tuple(map(_slim, document.columns)),
        scores=None if scores is None else _slim(scores),
    )


def _slim(drift: ColumnDrift) -> ColumnDrift:
    current = drift.current
    return replace(
        drift,
        reference=_bare(drift.reference),
        current=None if current is None else _bare(current),
    )


def _bare(column: ColumnProfile) -> ColumnProfile:
    return replace(column, number=None, category=None)


def _says(document: Monitoring) -> Mapping[str, object]:
    """Return what a run of the same window again says too, whenever and wherever that is."""
    # What an action came to differs (created, then unchanged); that it was done does not.
    done = [(one.kind, one.done is not None) for one in document.actions]
    return {**_finds(document), "actions": done}


def _finds(document: Monitoring) -> Mapping[str, object]:
    same = "rows labelled columns scores chosen_now performance skew consecutive".split()
    return {
        "watched": replace(document.watched, age_days=None),
        "gates": [one for one in document.gates if one.subject is not Subject.AGE],
        **{name: getattr(document, name) for name in same},
    }


def unlabelled(kept: Kept, *, commit: str | None, limit: int = 12) -> tuple[str, ...]:
    """Return the windows that were not judged by labels, of the version that is watched now.

    The newest ``limit`` of them, the oldest first.
    """
    names = [
        one.window for one in kept.windows if not one.labelled and one.watched.commit == commit
    ]
    return tuple(names[-limit:])
