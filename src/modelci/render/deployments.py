"""A deployment, and what runs where: for a terminal, for scripts, and as a summary's Markdown."""

from collections.abc import Iterator, Sequence

from modelci.domain.deployment import (
    Deployed,
    Deployment,
    Deployments,
    DeployOutcome,
    DeployStep,
    Running,
    StepKind,
    StepRecord,
    StepState,
)
from modelci.domain.provenance import CheckState
from modelci.domain.wording import counted
from modelci.render.escape import PROSE_LIMIT, code, prose, table_row, terminal, web_address
from modelci.render.quantities import ABSENT, duration
from modelci.render.registry import BOLD, paint, plain_lines, table

_MOST_HISTORY = 5
_GREEN, _RED, _DIM = "\x1b[32m", "\x1b[31m", "\x1b[2m"
_SIGNS = {
    StepState.DONE: ("✓", _GREEN),
    StepState.SKIPPED: ("·", _DIM),
    StepState.FAILED: ("✗", _RED),
}
_MARKS = {StepState.DONE: "✅", StepState.SKIPPED: "⏭️", StepState.FAILED: "❌"}


def headline(deployment: Deployment) -> str:
    """Return what a deployment came to, in a sentence of plain text."""
    one, what = deployment, f"{deployment.artifact} {_label(deployment)} ({deployment.tag})"
    now = f"{one.after.label} runs" if one.after else "nothing runs"
    if one.is_left:
        return f"{what} runs on {one.target}, but has failed: nothing ran there before it."
    return {
        DeployOutcome.PLANNED: f"{what} would be deployed to {one.target}, where {now}.",
        DeployOutcome.DEPLOYED: f"{what} runs on {one.target}.",
        DeployOutcome.UNCHANGED: f"{what} runs on {one.target} already.",
        DeployOutcome.FAILED: f"{what} was not deployed to {one.target}, where {now}.",
        DeployOutcome.SWITCHED_BACK: f"{what} was switched back on {one.target}: {now}.",
    }[one.outcome]


def _label(deployment: Deployment) -> str:
    return deployment.version or deployment.commit[:7]


# -- a terminal ------------------------------------------------------------------------------


def render_deployment(deployment: Deployment, *, width: int = 100, colour: bool = False) -> str:
    """Return what came of each step, or what the plan has, and the sentence on all of it."""
    del width  # lines are short, and sentences are the terminal's to fold
    return "".join(f"{line}\n" for line in _lines(deployment, colour=colour))


def _lines(one: Deployment, *, colour: bool) -> Iterator[str]:
    yield paint(terminal(headline(one), PROSE_LIMIT), BOLD, colour=colour)
    if one.outcome is DeployOutcome.PLANNED:
        yield from (f"  {_planned(step)}" for step in one.plan)
    for step in one.steps:
        sign, style = _SIGNS[step.state]
        said = terminal(step.detail, PROSE_LIMIT)
        yield (
            f"  {paint(sign, style, colour=colour)} {step.kind:<11} "
            f"{duration(step.seconds):>8}  {said}"
        )
    for finding in one.findings:
        if finding.state is not CheckState.OK:
            detail = terminal(finding.detail, PROSE_LIMIT)
            yield f"  {finding.state}: {terminal(finding.subject)}: {detail}"
    if one.allowed is not None:
        yield f"! Allowed: {terminal(one.allowed, PROSE_LIMIT)}"
    yield from (f"! {terminal(note, PROSE_LIMIT)}" for note in one.notes)
    if one.release:
        yield f"Release {terminal(one.release)}, commit {terminal(one.commit[:7])}."


def _planned(step: DeployStep) -> str:
    if step.kind is StepKind.TRIAL:
        if step.share == 0.0:
            return "trial: end the one that an earlier run left"
        what = "copies of requests" if step.share is None else f"{step.share:.0%} of the requests"
        return f"trial: {what}, for {step.seconds:g} s or more"
    if step.kind is StepKind.WATCH:
        return f"watch: {step.seconds:g} s"
    return str(step.kind)


def render_deployments(found: Deployments, *, width: int = 100, colour: bool = False) -> str:
    """Return what runs where, what ran before, and where the registry says otherwise."""
    del width
    if not found.deployed:
        return "\n".join(["Nothing is deployed.", *_notes(found)]) + "\n"
    titles = ["Target", "Artifact", "Runs", "Since", "By", "Tag", "Before"]
    parts = [table(titles, map(_row, found.deployed), colour=colour)]
    parts += [_history(one, colour=colour) for one in found.deployed if _is_alone(found)]
    remarks = [line for one in found.deployed for line in _remarks(one)]
    lines = [*remarks, *_notes(found)]
    return "\n".join([*parts, *(["\n".join(lines) + "\n"] if lines else [])])


def _is_alone(found: Deployments) -> bool:
    return len(found.deployed) == 1


def _row(one: Deployed) -> list[str]:
    running, previous = one.state.running, one.state.previous
    name = f"{one.target} ({one.kind})"
    if running is None:
        return [name, terminal(one.artifact), *[ABSENT] * 5]
    return [
        name,
        terminal(one.artifact),
        terminal(running.label),
        running.since,
        _name(running.by) or ABSENT,
        terminal(running.tag),
        terminal(previous.label if previous else ABSENT),
    ]


def _history(one: Deployed, *, colour: bool) -> str:
    rows = [
        [run.since, terminal(run.label), terminal(run.tag), _name(run.by), _why(run)]
        for run in one.state.history[:_MOST_HISTORY]
    ]
    more = len(one.state.history) - len(rows)
    drawn = table(["When", "Version", "Tag", "By", "Why"], rows, colour=colour)
    return drawn + (f"… and {more:,} more: see --json\n" if more > 0 else "")


def _name(who: str) -> str:
    """Return who deployed without the address that Git has of them."""
    return terminal(who.partition(" <")[0])


def _why(run: Running) -> str:
    said = terminal(run.reason or "", 160)
    return said if run.settled else f"{said} (not watched to the end)".strip()


def _remarks(one: Deployed) -> Iterator[str]:
    where = f"{one.target}: {terminal(one.artifact)}"
    if one.healthy is False:
        yield f"! {where}: does not answer now"
    yield from (f"! {where}: {terminal(said, PROSE_LIMIT)}" for said in one.differs)
    trial = one.state.trial
    if trial is not None:
        what = "copies of requests" if trial.shadow else f"{trial.share:.0%} of the requests"
        yield f"! {where}: {terminal(trial.release)} is tried with {what}"


def _notes(found: Deployments) -> list[str]:
    return [f"! {terminal(note, PROSE_LIMIT)}" for note in found.notes]


def plain_deployments(found: Deployments) -> str:
    """Return a line for each target and artifact.

    Target, kind, artifact, version, commit, tag, since, by, release, and current, behind or down.
    """
    return plain_lines(map(_plain, found.deployed))


def _plain(one: Deployed) -> Sequence[str]:
    state = "down" if one.healthy is False else "behind" if one.differs else "current"
    run = one.state.running
    if run is None:
        return one.target, one.kind, one.artifact, *[""] * 6, state
    known = (run.version or "", run.commit, run.tag, run.since, run.by, run.release)
    return one.target, one.kind, one.artifact, *known, state


# -- a job's summary -------------------------------------------------------------------------


def render_summary(deployment: Deployment) -> str:
    """Return the deployment as Markdown for a job's summary."""
    return "\n\n".join(_blocks(deployment)) + "\n"


def _blocks(one: Deployment) -> Iterator[str]:
    is_well = one.outcome in {
        DeployOutcome.DEPLOYED,
        DeployOutcome.UNCHANGED,
        DeployOutcome.PLANNED,
    }
    yield f"### {'✅' if is_well else '❌'} {prose(headline(one))}"
    if one.reason:
        yield f"**Why**: {prose(one.reason)}"
    if one.hint:
        yield f"**Next**: {prose(one.hint)}"
    if one.steps:
        yield "\n".join(_steps(one.steps))
    elif one.plan:
        yield "\n".join(f"1. {prose(_planned(step))}" for step in one.plan)
    if one.allowed is not None:
        yield f"⚠️ Allowed: {prose(one.allowed)}"
    for note in one.notes:
        yield f"⚠️ {prose(note)}"
    yield _origin(one)


def _steps(steps: Sequence[StepRecord]) -> Iterator[str]:
    yield "| step | | took | |"
    yield "| --- | --- | ---: | --- |"
    for step in steps:
        cells = [str(step.kind), _MARKS[step.state], duration(step.seconds), prose(step.detail)]
        yield table_row(cells)


def _origin(one: Deployment) -> str:
    words = [f"Commit {code(one.commit[:7])}"]
    if one.release:
        words.append(f"release {code(one.release)}")
    if one.before and one.before != one.after:
        words.append(f"before: {prose(one.before.label)}")
    if one.observations:
        seen = one.observations[-1]
        words.append(f"{counted(seen.requests, 'request')} seen, {seen.errors:,} failed")
    run = web_address(one.run_url)
    return ", ".join(words) + (f" ([run]({run}))." if run else ".")
