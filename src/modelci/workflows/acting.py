"""What watched windows ask for, done: in one go, or by a job that prepares and one that writes.

The job that watches has no token that writes, for the project's own command runs in it; what it
found and prepared passes as documents (and a bundle of the commit) to one that runs nothing of the
project's. That one takes nothing on trust: it reads strictly, looks at the commit, renders anew.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modelci.config.model import Config, MonitorConfig
from modelci.documents import codec
from modelci.domain.monitoring import Action, ActionKind, Monitoring
from modelci.domain.retraining import Retraining
from modelci.domain.triggers import hold_back_issue
from modelci.domain.windows import parse_window
from modelci.errors import ConfigError, ModelCIError
from modelci.ports import Forge, Journal, Progress
from modelci.workflows import alert, retrain
from modelci.workflows.retrain import Text
from modelci.workflows.watched import choose_monitors, name_of
from modelci.workflows.windows_kept import as_first_said, keep, read_kept

if TYPE_CHECKING:  # it reads data, with libraries that the job which acts has no need of
    from modelci.workflows.monitor import Occasion

FOLDER, RETRAININGS = "monitor", "retraining"
"""The folder below ``.modelci/`` that one job leaves to the other, and the one in it."""

History = Sequence[Monitoring]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What acting takes; the windows before one are there to be shown with it.

    ``root`` is the top of the repository, from which places of data count; ``run_url`` is this
    job's own page.
    ``describe`` makes a pull request's text, ``alarm`` an issue's, each with its marker line.
    """

    root: Path
    config: Config
    retrain: Callable[[History], retrain.Tools]
    forge: Callable[[], Forge]
    alarm: Callable[[Monitoring, History, str], Text]
    journal: Callable[[MonitorConfig], Journal | None]
    progress: Progress
    run_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """A window with what came of its actions; ``failure`` kept one of them from success."""

    document: Monitoring
    failure: ModelCIError | None = None


def take_actions(occasion: "Occasion", tools: Tools) -> Acted:
    """Retrain, and see to the issue; one job does it all, and neither waits for the other."""
    document, settings = occasion.document, occasion.settings

    def propose(said: Monitoring) -> tuple[Action, ...]:
        if retrain.is_due(said.actions):
            tools.forge()  # before the project's command has run for an hour
        current = _place(occasion.current, tools.root)
        ours = tools.retrain(occasion.history)
        return retrain.act(said, settings, current=current, tools=ours)

    done = _attempt(Acted(document=document), ActionKind.RETRAIN_PR, propose, tools)
    if occasion.newer is not None:  # that this one is well closes nothing either
        return done
    return _attempt(
        done,
        ActionKind.ISSUE,
        lambda said: _see_to_issue(said, settings, occasion.history, tools),
        tools,
    )


def _attempt(
    so_far: Acted,
    kind: ActionKind,
    take: Callable[[Monitoring], tuple[Action, ...]],
    tools: Tools,
) -> Acted:
    """Take the action of a kind; that it fails is told, and keeps no other from being taken."""
    document = so_far.document
    try:
        return replace(so_far, document=replace(document, actions=take(document)))
    except ModelCIError as error:
        if so_far.failure is not None:  # one can be raised in the end
            tools.progress.warn(f"{error} {error.hint or ''}".strip())
        actions = tuple(
            replace(one, failed=str(error)) if one.kind is kind and one.held_back is None else one
            for one in document.actions
        )
        return Acted(document=replace(document, actions=actions), failure=so_far.failure or error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What came of one model's retraining: it is prepared, or ``failure`` says why not."""

    model: str
    window: str
    retraining: Retraining | None = None
    failure: ModelCIError | None = None


def prepare_all(folder: Path, tools: Tools, *, models: Sequence[str] = ()) -> tuple[Prepared, ...]:
    """Prepare what the windows in a folder ask for, one retraining a model: the newest window's.

    Each is left in the folder, its commit in a bundle beside it; one that fails keeps no other
    back. Raises UsageError for a model that is not watched, ConfigError where the folder has no
    window.
    """
    meant = choose_monitors(tools.config, models) if models else tools.config.monitor
    due = {
        document.watched.artifact: (document, settings)
        for document, settings in _read_windows(folder, tools.config)
        if retrain.is_due(document.actions) and settings in meant
    }
    return tuple(_try(document, settings, folder, tools) for document, settings in due.values())


def _try(document: Monitoring, settings: MonitorConfig, folder: Path, tools: Tools) -> Prepared:
    so_far = Prepared(model=name_of(settings), window=document.window)
    try:
        return replace(so_far, retraining=_prepare(document, settings, folder, tools))
    except ModelCIError as error:
        return replace(so_far, failure=error)


def act_on(folder: Path, tools: Tools) -> tuple[Acted, ...]:
    """Do what the windows in a folder ask for, with what was prepared for it, and remember them.

    One that cannot be done keeps no other back.
    """
    windows = _read_windows(folder, tools.config)
    newest = {name_of(settings): document.window for document, settings in windows}
    return tuple(
        _act_on(
            _undone(document, tools.run_url),
            settings,
            folder,
            tools,
            is_late=document.window != newest[name_of(settings)],
        )
        for document, settings in windows
    )


def _read_windows(folder: Path, config: Config) -> tuple[tuple[Monitoring, MonitorConfig], ...]:
    """Return the windows with their settings, those of this checkout; the oldest first."""
    read = [codec.read(Monitoring, path) for path in sorted(folder.glob("*.json"))]
    if not read:
        raise ConfigError(
            f"{folder} has no watched window.",
            hint="Run `modelci monitor --no-write` first, which leaves them there; --from names "
            "another folder.",
        )
    found = [(document, _settings(document, config)) for document in read]
    return tuple(sorted(found, key=lambda one: _start(*one)))


def _undone(document: Monitoring, run_url: str | None) -> Monitoring:
    """Return a window as it was decided: that something was done is not the other job's to say."""
    actions = tuple(replace(one, done=None, url=None, failed=None) for one in document.actions)
    return replace(document, actions=actions, run_url=run_url)


def _settings(document: Monitoring, config: Config) -> MonitorConfig:
    watched = (document.watched.artifact, document.watched.stage)
    for settings in config.monitor:
        if (settings.model, settings.stage) == watched:
            return settings
    raise ConfigError(
        f"{watched[0]} in {watched[1] or 'no stage'} is not watched by this modelci.yaml.",
        hint="Check out the commit that the watching job had.",
    )


def _start(document: Monitoring, settings: MonitorConfig) -> datetime:
    try:
        return parse_window(document.window, settings.window).start
    except ValueError as error:
        raise ConfigError(f"A watched window is no window of {settings.model}: {error}.") from error


def _prepare(
    document: Monitoring, settings: MonitorConfig, folder: Path, tools: Tools
) -> Retraining:
    ours = tools.retrain(())
    done = retrain.prepare(
        document, settings, current=_place(document.current, tools.root), tools=ours
    )
    path, bundle = _paths(folder, settings)
    bundle.unlink(missing_ok=True)
    if done.commit is not None and not done.is_known:
        ours.git.bundle(bundle, sha=done.commit, since=done.base_sha)
    codec.write(done, path)
    return done


def _place(current: str, root: Path) -> str:
    """Return where data are for a command that runs in another folder."""
    return current if "://" in current else str(root / current)


def _act_on(
    document: Monitoring,
    settings: MonitorConfig,
    folder: Path,
    tools: Tools,
    *,
    is_late: bool,
) -> Acted:
    """Do what one window asks for; that a late one is well is no news of the model."""
    journal = tools.journal(settings)
    kept = read_kept(journal, settings.window)
    window = parse_window(document.window, settings.window)
    history = kept.before(window, settings.window)
    newer = None if is_late else kept.newer_than(window, settings.window)
    document = replace(document, actions=hold_back_issue(document.actions, newer))
    done = _attempt(
        Acted(document=as_first_said(document, kept)),
        ActionKind.RETRAIN_PR,
        lambda said: _propose(said, settings, folder, tools.retrain(history)),
        tools,
    )
    is_due = any(one.held_back is None for one in done.document.actions)
    if newer is None and (is_due or not is_late):
        done = _attempt(
            done,
            ActionKind.ISSUE,
            lambda said: _see_to_issue(said, settings, history, tools),
            tools,
        )
    document = replace(document, actions=done.document.actions)
    if keep(journal, document, kept) and journal is not None:
        tools.progress.note(f"Remembered at {journal.place}")
    return Acted(document=document, failure=done.failure)


def _propose(
    document: Monitoring, settings: MonitorConfig, folder: Path, tools: retrain.Tools
) -> tuple[Action, ...]:
    if not retrain.is_due(document.actions):
        return document.actions
    path, bundle = _paths(folder, settings)
    done = codec.read(Retraining, path) if path.is_file() else None
    if done is None or done.window != document.window:
        return _unprepared(document.actions)
    if done.commit is not None and bundle.is_file():
        base = tools.git.default_branch(tools.default_branch)
        if base is not None:
            tools.git.remote_branch(base[0])  # what the bundle's commit stands on
        found = tools.git.unbundle(bundle)
        if found != done.commit:
            raise ConfigError(
                f"{bundle} holds {found[:7]}, and not {done.commit[:7]}.",
                hint="Prepare it anew: `modelci retrain`.",
            )
    return retrain.propose(document, settings, done, tools=tools)


def _unprepared(actions: Iterable[Action]) -> tuple[Action, ...]:
    why = "nothing was prepared for it: see the job that watches"
    return tuple(replace(one, held_back=why) if retrain.is_due([one]) else one for one in actions)


def _see_to_issue(
    document: Monitoring, settings: MonitorConfig, history: History, tools: Tools
) -> tuple[Action, ...]:
    return alert.act(
        document,
        settings,
        forge=tools.forge,
        describe=lambda found, marker: tools.alarm(found, history, marker),
        progress=tools.progress,
    )


def _paths(folder: Path, settings: MonitorConfig) -> tuple[Path, Path]:
    stem = re.sub(r"[^\w.-]+", "-", settings.model)
    below = folder / RETRAININGS
    return below / f"{stem}.json", below / f"{stem}.bundle"
