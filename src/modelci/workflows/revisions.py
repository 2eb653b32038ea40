"""Finds what to compare with: the right base, also in a shallow or detached CI checkout."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from modelci.config.model import PromoteConfig
from modelci.domain.events import CIContext, EventKind
from modelci.domain.registry import (
    ArtifactState,
    Holder,
    RegisteredVersion,
    find_version,
    fold_registry,
    newest_version,
)
from modelci.domain.report import Revision
from modelci.domain.snapshot import Snapshot
from modelci.domain.tags import is_artifact_name
from modelci.domain.wording import meant
from modelci.errors import ForgeError, UsageError
from modelci.ports import Commit, Git, Progress

RESULTS_SUBJECT = "Record the pipeline's results"
"""The subject of the commit of what a merge's run wrote into Git's files."""

_STEPS: tuple[int | None, ...] = (50, 500, None)
_FULL_HISTORY = "Give the checkout its history (actions/checkout: `fetch-depth: 0`), or name BASE."


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How names of the registry are understood: which version holds a stage, and whose tags count.

    They are this clone's, or the remote's where this clone has none of the artifact; with
    ``remote`` always the remote's. ``asking_remote`` is how the command at hand is told so.
    """

    holder: Holder = Holder.NEWEST
    remote: bool = False
    progress: Progress | None = None
    asking_remote: str = "--remote reads the remote's tags, not this clone's."

    def tags_of(self, git: Git) -> str | None:
        """Return the remote whose tags are read first; None: this clone's own."""
        if not self.remote:
            return None
        found = git.remote()
        if found is None:
            raise UsageError("This repository has no remote.", hint="`git remote add origin URL`.")
        return found


_LOCAL = Names()


def name_head(git: Git, head: str | None, names: Names = _LOCAL) -> Revision:
    """Return the head: a revision where one is named, else the work tree on top of HEAD."""
    if head is not None:
        return named(git, head, names)
    commit = git.head()
    if commit is None:
        return Revision(sha=None, name="work tree", chosen="no commit yet", dirty=True)
    dirty = git.is_dirty()
    chosen = "work tree"
    return Revision(sha=commit.sha, name=git.branch() or "HEAD", chosen=chosen, dirty=dirty)


_RANGE = re.compile(r"(?P<base>.*?)(?P<dots>\.{2,3})(?P<head>[^.].*|)", re.DOTALL)
_ENTRY = re.compile(
    r"(?P<artifact>[^@#]+)(?:@(?P<version>latest|v\d[^!#@]*)|#(?P<stage>[^!#@]+))", re.DOTALL
)
_MOST_KNOWN = 5


def parse_range(
    git: Git, base: str | None, head: str | None, names: Names = _LOCAL
) -> tuple[str | None, str | None]:
    """Return base and head of ``A..B``, or of ``A...B`` (from their merge base on).

    A side that is left out is HEAD. Other names are returned as they are: no name of a revision
    holds two dots.
    """
    found = _RANGE.fullmatch(base) if base else None
    if found is None:
        return base, head
    if head is not None:
        raise UsageError(
            f"{base} names both revisions: {head} is one too many.",
            hint="Give BASE..HEAD, or BASE HEAD.",
        )
    first, second = found["base"] or "HEAD", found["head"] or "HEAD"
    if found["dots"] == "..":
        return first, second
    one, other = named(git, first, names), named(git, second, names)
    common = git.merge_base(one.sha or "", other.sha or "")
    if common is None:
        raise UsageError(f"{first} and {second} have no common history.", hint=_FULL_HISTORY)
    return common, second


def named(git: Git, name: str, names: Names = _LOCAL) -> Revision:
    """Return what a name means: a revision of Git, or a version in the registry.

    ``NAME@v1.2.0`` is that version, ``NAME@v1`` and ``NAME@latest`` the greatest active one,
    ``NAME#prod`` what holds the stage. What has the form and names a known artifact is never taken
    for a branch. The version's commit is fetched if it is not here.
    """
    entry = _ENTRY.fullmatch(name)
    if entry is None or not is_artifact_name(entry["artifact"]):
        return _of_git(git, name)
    artifact = entry["artifact"]
    source = names.tags_of(git)
    state = _find_state(git, artifact, names, remote=source)
    more = f" {names.asking_remote}" if state and source is None and git.remote() else ""
    if state is None:
        try:
            return _of_git(git, name)
        except UsageError as error:
            state = _ask_remote(git, name, artifact, names)
            if state is None:
                raise _unknown(git, name, artifact, names) from error
    found = _registered(state, entry["version"], entry["stage"], name, more)
    _bring(git, found.sha or "", name)
    return found


def _of_git(git: Git, name: str) -> Revision:
    return Revision(sha=git.resolve(name).sha, name=name, chosen="given")


def _find_state(
    git: Git, artifact: str, names: Names, *, remote: str | None
) -> ArtifactState | None:
    tags = git.tags([artifact], remote=remote, messages=False)
    return next(iter(fold_registry(tags, holder=names.holder)), None)


def _ask_remote(git: Git, name: str, artifact: str, names: Names) -> ArtifactState | None:
    """Return what the remote's tags say of an artifact that this clone has no tags of."""
    remote = git.remote()
    if remote is None or names.remote:
        return None
    if names.progress:
        names.progress.note(f"This clone has no tags of {artifact}: fetching those of {remote}")
    try:
        return _find_state(git, artifact, names, remote=remote)
    except ForgeError as error:
        message = f"This clone knows of no {name!r}, and could not ask {remote} for it. {error}"
        raise type(error)(message, hint=error.hint) from error


def _unknown(git: Git, name: str, artifact: str, names: Names) -> UsageError:
    remote = git.remote()
    where = "this clone" if remote is None else f"this clone or of {remote}"
    flag = " --remote" if remote else ""
    known = {tag.name.artifact for tag in git.tags(remote=names.tags_of(git), messages=False)}
    return UsageError(
        f"{name!r} is no revision, and no tag of {remote if names.remote else where} speaks of an "
        f"artifact {artifact!r}.",
        hint=f"{meant(artifact, known)}"
        f"`modelci registry{flag}` lists the artifacts that there are.",
    )


def _registered(
    state: ArtifactState, version: str | None, stage: str | None, name: str, more: str
) -> Revision:
    if stage is not None:
        holder = state.stages.get(stage)
        if holder is None:
            known = ", ".join(f"{state.name}#{one}" for one in sorted(state.stages))
            raise UsageError(
                f"Nothing of {state.name} holds stage {stage!r}.",
                hint=(f"There are {known}." if known else "None of its stages is held.") + more,
            )
        return Revision(sha=holder.commit, name=name, chosen=f"{holder.label} holds {stage}")
    found = find_version(state, version or "latest")
    if found is None:
        labels = [f"v{one.version}" for one in state.versions if one.active]
        rest = f" and {len(labels) - _MOST_KNOWN:,} more" if len(labels) > _MOST_KNOWN else ""
        known = ", ".join(labels[:_MOST_KNOWN]) + rest
        raise UsageError(
            f"{state.name} has no version {version}.",
            hint=(f"There are {known}." if known else "None of its versions is active.") + more,
        )
    return Revision(sha=found.commit, name=name, chosen=f"version v{found.version}")


def promoted_artifacts(snapshot: Snapshot, settings: PromoteConfig) -> tuple[str, ...]:
    """Return the names of the artifacts that are promoted: those configured, else all."""
    if settings.artifacts is not None:
        return settings.artifacts
    return tuple(artifact.name for artifact in snapshot.artifacts)


def choose_base(
    git: Git,
    head: Revision,
    context: CIContext,
    *,
    base: str | None,
    default_branch: str | None,
    artifacts: Sequence[str],
    progress: Progress,
    names: Names = _LOCAL,
) -> Revision | None:
    """Return the base: as given, as the CI event says, or the merge base; None at the root.

    What is on the default branch is compared with the newest version of ``artifacts``, if any.
    """
    if base is not None:
        return named(git, base, names)
    if head.sha is None:
        return None
    commit = git.resolve(head.sha)
    if context.event is EventKind.PULL_REQUEST:
        return _pull_request_base(git, commit, context, progress)
    # The run job may have put a commit of results on top of what was pushed.
    pushed = context.sha in {commit.sha, *commit.parents}
    main = default_branch or context.default_branch
    if context.event is EventKind.PUSH and pushed and context.branch == main:
        version = _newest_version(git, commit, artifacts, remote=git.remote())
        if version is not None:
            return version
    if context.event is EventKind.PUSH and context.before and pushed:
        try:
            _bring(git, context.before)
        except ForgeError as error:
            progress.warn(f"What the push replaced cannot be compared with. {error}")
        else:
            return Revision(
                sha=context.before,
                name=context.before[:7],
                chosen="what the push replaced",
                merged=main is not None and context.branch == main,
            )
    return _local_base(
        git,
        commit,
        head,
        configured=default_branch,
        announced=context.default_branch,
        artifacts=artifacts,
        progress=progress,
        names=names,
    )


def _pull_request_base(
    git: Git, commit: Commit, context: CIContext, progress: Progress
) -> Revision | None:
    name = context.base_ref or "base"
    if len(commit.parents) == 2 and commit.parents[1] == context.head_sha:
        # The forge's test merge: its own first parent is what the head was merged into.
        _bring(git, commit.parents[0])
        return Revision(sha=commit.parents[0], name=name, chosen=f"{name} as the test merge has it")
    return _merge_base(git, commit, name, _remote_branch(git, name), progress)


def _local_base(
    git: Git,
    commit: Commit,
    head: Revision,
    *,
    configured: str | None,
    announced: str | None,
    artifacts: Sequence[str],
    progress: Progress,
    names: Names,
) -> Revision | None:
    found = git.default_branch(configured or announced)
    named = configured or announced
    if found is None and named and git.remote():
        # A checkout of one branch lacks the default branch, but we are told its name.
        found = named, _remote_branch(git, named)
    if found is None:
        if not commit.parents and not head.dirty:
            return None
        raise UsageError(
            "The default branch is not known, so there is nothing to compare with.",
            hint="Name BASE, set default_branch in modelci.yaml, or `git remote set-head origin "
            "--auto`.",
        )
    name, ref = found
    base = _merge_base(git, commit, name, ref, progress)
    if base is None or base.sha != commit.sha:
        return base
    if head.dirty:
        return Revision(sha=commit.sha, name="HEAD", chosen="the last commit")
    version = _newest_version(git, commit, artifacts, remote=names.tags_of(git))
    if version is not None:
        return version
    if not commit.parents:
        return None
    _bring(git, commit.parents[0])
    return Revision(
        sha=commit.parents[0],
        name="HEAD^",
        chosen=f"the parent of a commit that is on {name}",
        merged=True,
    )


def is_results(commit: Commit) -> bool:
    """Whether the commit holds nothing but what a run wrote, and stands for the one below it."""
    return commit.subject == RESULTS_SUBJECT


def last_promoted(states: Iterable[ArtifactState], commit: Commit) -> RegisteredVersion | None:
    """Return the newest version that is not of this very commit."""
    return newest_version(
        states, besides={commit.sha, *(commit.parents if is_results(commit) else ())}
    )


def _newest_version(
    git: Git, head: Commit, artifacts: Sequence[str], *, remote: str | None
) -> Revision | None:
    """Return the version that a promotion of ``head`` is judged against: what was promoted last.

    ``remote``'s tags are asked (in CI), or this clone's (a report needs no network).
    """
    if not artifacts:
        return None
    version = last_promoted(fold_registry(git.tags(artifacts, remote=remote)), head)
    if version is None or not git.has(version.commit):
        return None
    return Revision(
        sha=version.commit,
        name=version.tag,
        chosen="the newest version",
        tag=version.tag,
        merged=True,
    )


def _merge_base(
    git: Git, commit: Commit, name: str, ref: str, progress: Progress
) -> Revision | None:
    found = git.merge_base(commit.sha, ref)
    for step in _STEPS:
        if found is not None or not git.is_shallow():
            break
        progress.note(f"Fetching {step or 'all'} commits to find the merge base with {name}")
        _explained(lambda step=step: git.deepen(step))  # type: ignore[misc]
        found = git.merge_base(commit.sha, ref)
    if found is None:
        raise UsageError(
            f"The commit checked out and {name} have no common history.", hint=_FULL_HISTORY
        )
    return Revision(sha=found, name=name, chosen=f"merge base with {name}")


def _bring(git: Git, sha: str, what: str = "The base") -> None:
    if not git.has(sha):
        # In a clone that has its history, a depth would cut it.
        _explained(lambda: git.fetch([sha], depth=1 if git.is_shallow() else None), what)


def _explained(fetch: Callable[[], None], what: str = "The base") -> None:
    try:
        fetch()
    except ForgeError as error:
        raise type(error)(f"{what} is not in this clone. {error}", hint=_FULL_HISTORY) from error


def _remote_branch(git: Git, name: str) -> str:
    """Return the ref to read the remote's branch by, fetched if it is not here."""
    ref = f"refs/remotes/{git.remote() or 'origin'}/{name}"
    if not git.has(ref):
        depth = 1 if git.is_shallow() else None
        _explained(lambda: git.fetch([f"+refs/heads/{name}:{ref}"], depth=depth))
    return ref
