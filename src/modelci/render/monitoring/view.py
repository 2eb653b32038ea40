"""A window seen through its reader's eyes: the verdict in one sentence, and what comes first."""

from collections.abc import Iterator, Sequence

from modelci.domain.gates import GateResult, Outcome, Subject
from modelci.domain.monitoring import NO_ROWS, Monitoring, Watched
from modelci.domain.wording import counted
from modelci.render.digest import (
    Headline,
    Phrase,
    Role,
    Tone,
    count_outcomes,
    culprits,
    sentence,
    short_sha,
)
from modelci.render.escape import clean
from modelci.render.rows import metric_of

_FOUND = {
    Subject.PERFORMANCE: "performance fell",
    Subject.SCHEMA: "the schema is broken",
    Subject.SKEW: "answers differ",
    Subject.DRIFT: "drift found",
    Subject.AGE: "the version is too old",
}
"""What a gate that fails has found, the gravest first."""

ESTIMATE = (
    "≈ is an estimate from the scores alone: it cannot see that outcomes follow otherwise now."
)

_UNDECIDED = frozenset({Outcome.INCONCLUSIVE, Outcome.INCOMPARABLE, Outcome.MISSING})


def say(monitoring: Monitoring) -> str:
    """Return the verdict as a sentence of plain text."""
    return sentence(headline(monitoring))


def pull_request_title(monitoring: Monitoring) -> str:
    """Return the title of a pull request that retrains the model."""
    name, window = clean(monitoring.watched.artifact, 60), clean(monitoring.window, 60)
    return f"Retrain {name}: {_found(monitoring)} in {window}"


def issue_title(monitoring: Monitoring) -> str:
    """Return the title of an issue; it stays the same from window to window."""
    watched = monitoring.watched
    stage = f" in {clean(watched.stage, 60)}" if watched.stage else ""
    return f"{clean(watched.artifact, 60)}{stage} needs attention"


def version_label(watched: Watched) -> str:
    """Return ``v1.4.0 (prod)``, or what else names the version."""
    name = watched.version or watched.tag or short_sha(watched.commit or "")
    stage = f"({watched.stage})" if watched.stage else ""
    return " ".join(part for part in (name, stage) if part)


def headline(monitoring: Monitoring) -> Headline:
    """Return the verdict in phrases that every renderer sets in its own way."""
    results = monitoring.gates
    troubled = [one for one in results if one.outcome is not Outcome.PASSED]
    blocking = [one for one in troubled if one.blocks]
    tone, word, rest = (
        (Tone.BAD, *_blocked(monitoring, blocking))
        if blocking
        else (Tone.INFO, "Nothing is judged", (_END,))
        if not results
        else (Tone.WARNING, "Undecided", ((Role.PLAIN, f": {NO_ROWS}."),))
        if not monitoring.rows
        else _held(results, troubled)
    )
    return Headline(tone=tone, phrases=((Role.STRONG, word), *_where(monitoring), *rest))


def explanation(monitoring: Monitoring) -> str:
    """Return what the findings mean together, where that is more than each alone says."""
    # What could not be judged (too few labels, no reference) has not fallen.
    fallen = _with(monitoring, Subject.PERFORMANCE, Outcome.FAILED, Outcome.WARNED)
    fell = {
        one.measure
        for one in monitoring.performance
        if one.realised is not None and one.measure in fallen
    }
    looked = any(one.subject is Subject.DRIFT for one in monitoring.gates)
    drifted = _troubled(monitoring, Subject.DRIFT)
    if fell and looked and not drifted:
        return (
            "Inputs and scores look as they did, the labels do not: outcomes follow from the "
            "inputs in another way now (concept drift). No look at the inputs alone can see that."
        )
    if drifted and _measured_well(monitoring):
        return (
            "The inputs changed, and by its labels the model is as good as before: "
            "look at the data before you retrain."
        )
    return ""


def _measured_well(monitoring: Monitoring) -> bool:
    """Whether labels were there, and all that was judged by them holds."""
    judged = any(one.subject is Subject.PERFORMANCE for one in monitoring.gates)
    known = any(one.realised is not None for one in monitoring.performance)
    return judged and known and not _troubled(monitoring, Subject.PERFORMANCE)


def _troubled(monitoring: Monitoring, subject: Subject) -> set[str]:
    return _with(monitoring, subject, *(set(Outcome) - {Outcome.PASSED}))


def _with(monitoring: Monitoring, subject: Subject, *outcomes: Outcome) -> set[str]:
    """Return what gates of the subject are about that have one of the outcomes."""
    return {
        metric_of(one)
        for one in monitoring.gates
        if one.subject is subject and one.outcome in outcomes
    }


def _where(monitoring: Monitoring) -> Iterator[Phrase]:
    label = version_label(monitoring.watched)
    yield Role.PLAIN, " in "
    yield Role.NAME, monitoring.watched.artifact
    yield Role.PLAIN, f"{' ' if label else ''}{label}, window "
    yield Role.NAME, monitoring.window


def _blocked(
    monitoring: Monitoring, blocking: Sequence[GateResult]
) -> tuple[str, tuple[Phrase, ...]]:
    failed = [one for one in blocking if one.outcome is Outcome.FAILED]
    if failed:
        start = f": {counted(len(failed), 'gate')} failed"
        return _capital(_found(monitoring)), ((Role.PLAIN, start), *culprits(failed), _END)
    why = "" if monitoring.rows else f": {NO_ROWS}"
    start = f"{why}: {counted(len(blocking), 'gate')} cannot be decided"
    return "Unclear", ((Role.PLAIN, start), *culprits(blocking), _END)


def _held(
    results: Sequence[GateResult], troubled: Sequence[GateResult]
) -> tuple[Tone, str, tuple[Phrase, ...]]:
    total = len(results)
    if not troubled:
        hold = "the only gate holds." if total == 1 else f"all {total:,} gates hold."
        return Tone.GOOD, "Well", ((Role.PLAIN, f": {hold}"),)
    if len(troubled) == total and _UNDECIDED.issuperset(one.outcome for one in troubled):
        reasons = {one.reason for one in troubled}
        why = f": {reasons.pop()}" if len(reasons) == 1 else ""
        return Tone.WARNING, "Undecided", ((Role.PLAIN, f": no gate could be decided{why}."),)
    start = f": {count_outcomes(troubled)}"
    return Tone.WARNING, "Well, with warnings", ((Role.PLAIN, start), *culprits(troubled), _END)


_END: Phrase = (Role.PLAIN, ".")


def _found(monitoring: Monitoring) -> str:
    """Return what failed, by kind: ``performance fell, drift found``."""
    kinds = {one.subject for one in monitoring.gates if one.blocks}
    return ", ".join(word for kind, word in _FOUND.items() if kind in kinds) or "a gate failed"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
