"""A retraining pull request: its branch is prepared without a token, then pushed and proposed.

``prepare`` runs the project's code and writes nothing that others see but data, on the DVC remote;
``propose`` has the write token and runs none. ``act`` does both, where one job may. All of them can
be run again: a window whose commit the branch has is not prepared anew.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from modelci.config.model import MonitorConfig
from modelci.domain.monitoring import Action, ActionKind, Monitoring
from modelci.domain.retraining import (
    PLACEHOLDER,
    TRAILER,
    Built,
    ParamValue,
    Retraining,
    RetrainOrder,
    is_commit_id,
    name_branch,
    name_window,
    read_window,
    steers_ci,
    write_message,
)
from modelci.domain.windows import is_newer
from modelci.errors import ConfigError, PipelineError
from modelci.ports import (
    Forge,
    Git,
    PostedProposal,
    Progress,
    Proposal,
    ProposalState,
    Retrainer,
)

_SEEN = 50  # commits of the branch that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What a pull request says; ``body`` has the marker line on top."""

    title: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What it takes to retrain; ``forge`` is asked for only once something is to be proposed.

    ``describe`` makes the pull request's text of what was found and of what the branch changes,
    with a marker line. ``default_branch`` is what it is proposed to, where that is configured.
    """

    git: Git
    forge: Callable[[], Forge]
    retrainer: Retrainer
    describe: Callable[[Monitoring, Retraining, str], Text]
    progress: Progress
    default_branch: str | None = None


def is_due(actions: Iterable[Action]) -> bool:
    """Whether a retraining is asked for, and nothing holds it back."""
    return any(map(_is_due, actions))


def act(
    monitoring: Monitoring, settings: MonitorConfig, *, current: str, tools: Tools
) -> tuple[Action, ...]:
    """Prepare and propose, where an action asks for it; return the actions with what came of it."""
    if not is_due(monitoring.actions):
        return monitoring.actions
    retraining = prepare(monitoring, settings, current=current, tools=tools)
    return propose(monitoring, settings, retraining, tools=tools)


def prepare(
    monitoring: Monitoring, settings: MonitorConfig, *, current: str, tools: Tools
) -> Retraining:
    """Make the commit of a window's retraining branch, or find it on the remote.

    ``current`` is where the window's data are. Raises PipelineError where the project's command
    fails, ConfigError where nothing says what is to change.
    """
    _require_change(settings)
    plan = _look(monitoring, settings, tools)
    if plan.held_back is not None or plan.is_known:
        return plan
    built = tools.retrainer.build(_order(plan, settings, current=current), progress=tools.progress)
    _refuse_steering(built.changed)
    return _with(plan, built)


def propose(
    monitoring: Monitoring, settings: MonitorConfig, retraining: Retraining, *, tools: Tools
) -> tuple[Action, ...]:
    """Push what was prepared and open its pull request, or bring the open one up to date.

    ``retraining`` may come from a job that ran the project's code: its commit is held to what it
    may be. Returns the actions, a retraining with its ``url`` and what was ``done``, or why not.
    """
    if not is_due(monitoring.actions):
        return monitoring.actions
    _check_origin(monitoring, settings, retraining, tools)
    return tuple(
        _mark(one, retraining, monitoring, settings, tools) if _is_due(one) else one
        for one in monitoring.actions
    )


# -- gather ----------------------------------------------------------------------------------------


def _require_change(settings: MonitorConfig) -> None:
    ours = settings.retrain
    if not (ours.cmd or ours.add or ours.params):
        raise ConfigError(
            f"Nothing says how {settings.model} is retrained.",
            hint="monitor.retrain: {cmd: python scripts/next_window.py, add: [data/train.csv]}; or "
            'params: {train.until: "{window}"}.',
        )


def _look(monitoring: Monitoring, settings: MonitorConfig, tools: Tools) -> Retraining:
    """Return what is on the remote of a window's branch, as far as it can stay."""
    git, model = tools.git, settings.model
    branch = name_branch(settings.retrain.branch, model)
    found = git.default_branch(tools.default_branch)
    if found is None or git.remote() is None:
        lacking = "default branch to propose it to" if git.remote() else "Git remote to push it to"
        base = found[0] if found else ""
        return Retraining(
            model=model,
            window=monitoring.window,
            branch=branch,
            base=base,
            base_sha="",
            held_back=f"there is no {lacking}",
        )
    base, ref = found
    if branch == base:
        raise ConfigError(
            f"monitor.retrain.branch is {base}, the default branch: nothing is pushed there.",
            hint="`branch: modelci/retrain-{model}` is the usual one.",
        )
    plan = Retraining(
        model=model,
        window=monitoring.window,
        branch=branch,
        base=base,
        base_sha=git.remote_branch(base) or git.resolve(ref).sha,
        replaces=git.remote_branch(branch),
    )
    return _settle(plan, git, settings.window)


def _settle(plan: Retraining, git: Git, pattern: str) -> Retraining:
    """Keep the window's commit if the branch has it, and hands off what people pushed there.

    ``pattern`` is how windows are named: one does not take the place of a newer one.
    """
    done = git.trailers(TRAILER, since=None, until=plan.base_sha)
    if name_window(plan.model, plan.window) in done:
        # The command may add the same data twice: it is not asked again.
        return replace(plan, held_back=f"{plan.base} has the retraining on {plan.window}")
    if plan.replaces is None:
        return plan
    commits = git.commits_since(plan.base_sha, plan.replaces, limit=_SEEN)
    if not commits:  # merged
        return plan
    window = read_window(commits, plan.model)
    if window is None:
        return replace(plan, held_back=f"somebody else has pushed to {plan.branch}")
    if window != plan.window:
        why = f"the branch has the newer window {window}"
        newer = is_newer(window, plan.window, pattern)
        return replace(plan, held_back=why if newer else None)
    changed = git.changed_files(git.resolve(plan.replaces).parents[0], plan.replaces)
    return replace(plan, commit=plan.replaces, changed=tuple(one.path for one in changed))


def _order(plan: Retraining, settings: MonitorConfig, *, current: str) -> RetrainOrder:
    ours = settings.retrain
    return RetrainOrder(
        base=plan.base_sha,
        message=write_message(plan.model, plan.window),
        window=plan.window,
        current=current,
        params={key: _fill(value, plan.window) for key, value in ours.params.items()},
        cmd=ours.cmd,
        add=tuple(path.replace(PLACEHOLDER, plan.window) for path in ours.add),
        run=ours.run,
    )


def _fill(value: ParamValue, window: str) -> ParamValue:
    return value.replace(PLACEHOLDER, window) if isinstance(value, str) else value


def _with(plan: Retraining, built: Built) -> Retraining:
    if built.commit is None:
        why = f"{plan.base} has the data of {plan.window}: nothing would change"
        return replace(plan, held_back=why, stages=built.stages, is_empty=True)
    return replace(plan, commit=built.commit, changed=built.changed, stages=built.stages)


# -- decide ----------------------------------------------------------------------------------------


def _is_due(action: Action) -> bool:
    return action.kind is ActionKind.RETRAIN_PR and action.held_back is None


def _refuse_steering(paths: Sequence[str]) -> None:
    found = steers_ci(paths)
    if found:
        raise PipelineError(
            f"Retraining has changed {found[0]}, which says what CI runs.",
            hint="A retraining pull request brings data and parameters: keep monitor.retrain.cmd "
            "from that, and change it in a pull request of your own.",
        )


def _check_origin(
    monitoring: Monitoring, settings: MonitorConfig, retraining: Retraining, tools: Tools
) -> None:
    """Refuse a commit that is not one of ours: on top of the default branch, and data alone."""
    git, branch = tools.git, name_branch(settings.retrain.branch, settings.model)
    named = (retraining.model, retraining.window, retraining.branch)
    if named != (settings.model, monitoring.window, branch):
        raise ConfigError(
            f"What was prepared is {retraining.model} on {retraining.window}, for the branch "
            f"{retraining.branch}; that is not what the window asks for.",
            hint=_ANEW,
        )
    if retraining.commit is None:
        return
    if not is_commit_id(retraining.commit):  # a name may mean something else a moment later
        raise ConfigError("What was prepared names no commit by its id.", hint=_ANEW)
    git.remote_branch(branch)  # where it is, if nothing was bundled
    parents = git.resolve(retraining.commit).parents
    base = git.default_branch(tools.default_branch)
    on_base = base is not None and retraining.base == base[0]
    if not on_base or len(parents) != 1 or not git.is_on_branch(parents[0], retraining.base):
        raise ConfigError(
            f"{retraining.commit[:7]} is not one commit on top of the default branch.", hint=_ANEW
        )
    changes = git.changed_files(parents[0], retraining.commit)
    _refuse_steering([one.path for one in changes])


_ANEW = "Prepare it anew: `modelci retrain`."


def hold_back(found: PostedProposal | None, retraining: Retraining) -> str | None:
    """Say why a window's commit is not proposed (again); None where it is."""
    if found is None or found.head_sha != retraining.commit:
        return None
    if found.state is ProposalState.MERGED:
        return f"the pull request of {retraining.window} is merged"
    if found.state is ProposalState.CLOSED:
        return f"somebody closed the pull request of {retraining.window}"
    return None


# -- act -------------------------------------------------------------------------------------------


def _mark(
    action: Action,
    retraining: Retraining,
    monitoring: Monitoring,
    settings: MonitorConfig,
    tools: Tools,
) -> Action:
    if retraining.commit is None:
        return _leave(action, retraining, tools)
    # What the branch is now counts, and not what was said of it.
    tip = tools.git.remote_branch(retraining.branch)
    now = _settle(
        replace(retraining, commit=None, held_back=None, replaces=tip), tools.git, settings.window
    )
    if now.held_back is not None:
        return replace(action, held_back=now.held_back)
    forge = tools.forge()
    found = forge.find_proposal(retraining.branch, base=retraining.base)
    why = hold_back(found, retraining)
    if found is not None and why is not None:
        return replace(action, held_back=why, url=found.url)
    if tip != retraining.commit:
        tools.git.push_branch(retraining.branch, retraining.commit, expected=tip)
    posted = _post(forge, monitoring, settings, retraining, tools)
    tools.progress.note(f"Retraining pull request {posted.action}: {posted.url}")
    return replace(action, done=posted.action, url=posted.url)


def _post(
    forge: Forge,
    monitoring: Monitoring,
    settings: MonitorConfig,
    retraining: Retraining,
    tools: Tools,
) -> PostedProposal:
    marker = f"<!-- modelci: retrain {retraining.model} -->"
    text = tools.describe(monitoring, retraining, marker)
    posted = forge.propose(
        Proposal(
            branch=retraining.branch,
            base=retraining.base,
            head_sha=retraining.commit or "",
            title=text.title,
            body=text.body,
            marker=marker,
            labels=settings.retrain.labels,
            auto_merge=settings.retrain.auto_merge,
        )
    )
    for note in posted.notes:
        tools.progress.warn(f"{posted.url}: {note}")
    return posted


def _leave(action: Action, retraining: Retraining, tools: Tools) -> Action:
    """Propose nothing; an open pull request whose data the base has by now is closed."""
    held_back = retraining.held_back or "nothing was prepared"
    if not retraining.is_empty or retraining.replaces is None:
        return replace(action, held_back=held_back)
    closed = tools.forge().withdraw(
        retraining.branch, base=retraining.base, why=f"{held_back[:1].upper()}{held_back[1:]}."
    )
    if closed is not None:
        tools.progress.note(f"Retraining pull request closed: {closed.url}")
    return replace(action, held_back=held_back, url=closed.url if closed else None)
