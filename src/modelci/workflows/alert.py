"""An issue about a deployed model: opened or updated while something fails, closed when well."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from modelci.config.model import MonitorConfig
from modelci.domain.monitoring import Action, ActionKind, Monitoring
from modelci.domain.triggers import Trigger, has_fired
from modelci.ports import Forge, Issue, Progress
from modelci.workflows.retrain import Text

LABELS = ("modelci",)


def act(
    monitoring: Monitoring,
    settings: MonitorConfig,
    *,
    forge: Callable[[], Forge],
    describe: Callable[[Monitoring, str], Text],
    progress: Progress,
) -> tuple[Action, ...]:
    """Open or update the model's issue where an action asks for it; close it when all is well.

    To be called for every window, also without actions; the ``forge`` is asked for only where a
    trigger speaks of an issue at all. Returns the actions, the issue's with its ``url`` and what
    was ``done``.
    """
    triggers = [one for one in settings.triggers if one.action is ActionKind.ISSUE]
    if not triggers:
        return monitoring.actions
    marker = write_marker(settings)
    if any(map(_is_due, monitoring.actions)):
        text = describe(monitoring, marker)
        posted = forge().upsert_issue(
            Issue(title=text.title, body=text.body, marker=marker, labels=LABELS)
        )
        for note in posted.notes:
            progress.warn(f"{posted.url}: {note}")
        progress.note(f"Issue {posted.action}: {posted.url}")
        return tuple(
            replace(one, done=posted.action, url=posted.url) if _is_due(one) else one
            for one in monitoring.actions
        )
    if is_well(monitoring, triggers):
        closed = forge().close_issue(marker, why=f"{monitoring.window} is well again.")
        if closed is not None:
            progress.note(f"Issue closed: {closed.url}")
    return monitoring.actions


def is_well(monitoring: Monitoring, triggers: Iterable[Trigger]) -> bool:
    """Whether everything that an issue may be about was judged, and none of it fails.

    What the data do not decide (too few rows, no labels yet) is no recovery.
    """
    return all(has_fired(one, monitoring) is False for one in triggers)


def write_marker(settings: MonitorConfig) -> str:
    """Return the line that a watched model's issue is found by."""
    return f"<!-- modelci: monitor {settings.model}#{settings.stage or ''} -->"


def _is_due(action: Action) -> bool:
    return action.kind is ActionKind.ISSUE and action.held_back is None
