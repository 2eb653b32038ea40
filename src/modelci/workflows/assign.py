"""``modelci promote NAME@v1.2.0 --assign prod``: an old version goes to a further stage."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from modelci.config.model import PromoteConfig, RegistryConfig
from modelci.domain.allowance import Liftable, Objection, settle
from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.holds import find_holds, trailers
from modelci.domain.promotion import Promotion, Rules, lift, plan_assignment
from modelci.domain.registry import (
    ArtifactState,
    Assignment,
    Holder,
    RegisteredVersion,
    find_version,
    fold_registry,
)
from modelci.domain.tags import Query, TagName, is_stage_name
from modelci.errors import PromotionError, UsageError
from modelci.ports import Forge, Git, Pipeline, Progress
from modelci.workflows.promote import (
    HASH,
    PATH,
    VERDICT,
    reason_for,
    remote_notes,
    require_free,
    require_listed,
)
from modelci.workflows.pushing import Pause, Tags, Task, pause_briefly
from modelci.workflows.registrar import Registrar
from modelci.workflows.stored import SHA256

_ANYBODY = RegistryConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which version is to have which stages; ``seconds`` is now (Unix time), ``by`` who asks."""

    query: Query
    stages: tuple[str, ...]
    seconds: int
    by: str | None = None


def assign(
    wanted: Wanted,
    *,
    git: Git,
    settings: PromoteConfig,
    progress: Progress,
    pipeline: Callable[[], Pipeline] | None = None,
    rules: Rules,
    forge: Forge | None = None,
    on_github: bool = False,
    registry: RegistryConfig = _ANYBODY,
    default_branch: str | None = None,
    dry_run: bool = False,
    pause: Pause = pause_briefly,
) -> Promotion:
    """Assign a registered version to stages; with ``dry_run`` only say what that takes.

    Its own tag says what the gates came to when it was registered. Raises UsageError where there
    is no such version, PromotionError where gates, the stages' order, a hold or the remote forbid
    it (``rules.allowed`` lifts all but the last).
    """
    _require_stages(wanted)
    require_listed(wanted.stages, settings.stages)
    git = git.with_remote(settings.remote)
    rules = replace(rules, order=settings.stages, allowed=reason_for(rules.allowed))
    remote = git.remote()

    def plan(tags: Tags) -> Promotion:
        state, version = _find(tags, wanted.query, registry.holder)
        objections = (
            *_unjudged(version),
            *_on_hold(tags, state.name, version, wanted.stages),
        )
        lifted = settle(objections, rules.allowed)
        found = plan_assignment(
            state,
            version,
            wanted.stages,
            now=wanted.seconds,
            rules=rules,
            trailers=_kept(version),
        )
        found = lift(found, lifted)
        require_free(found, tags)
        if registry.holder is Holder.SEMVER:
            _require_greatest(state, version, found)
        notes = (*remote_notes(git), *_steps_back(state, version, found))
        return replace(found, remote=remote, notes=notes)

    def judge(promotion: Promotion, tags: Tags) -> Promotion:
        _, version = _find(tags, wanted.query, registry.holder)
        return registrar.judge(promotion, tags, _files(wanted.query.artifact, version))

    registrar = Registrar(
        git=git,
        settings=settings,
        registry=registry,
        progress=progress,
        by=wanted.by or git.tagger(),
        pipeline=pipeline,
        forge=forge,
        default_branch=default_branch,
        on_github=on_github,
        pause=pause,
    )
    task = Task(
        read=lambda: git.tags([wanted.query.artifact], remote=remote),
        plan=plan,
        judge=judge,
    )
    return registrar.put_through(task, dry_run=dry_run)


def _require_stages(wanted: Wanted) -> None:
    if not wanted.stages:
        raise UsageError(
            f"{wanted.query} names a version, but no stage for it.", hint="Give --assign STAGE."
        )
    for stage in wanted.stages:
        if not is_stage_name(stage):
            raise UsageError(f"{stage!r} cannot be a stage's name.")


def _find(tags: Tags, query: Query, holder: Holder) -> tuple[ArtifactState, RegisteredVersion]:
    states = fold_registry(tags, holder=holder)
    state = next((one for one in states if one.name == query.artifact), None)
    if state is None:
        raise UsageError(
            f"No tag of the remote speaks of an artifact {query.artifact!r}.",
            hint="`modelci registry --remote` lists what there is.",
        )
    if query.stage is not None:
        held = state.stages.get(query.stage)
        found = state.version_at(held.commit) if held else None
    else:
        found = find_version(state, query.version or "latest")
    if found is None:
        known = ", ".join(f"v{one.version}" for one in state.versions[:5] if one.active)
        raise UsageError(
            f"There is no version {query}.", hint=f"There are {known}." if known else None
        )
    return state, found


def _unjudged(version: RegisteredVersion) -> Iterator[Objection]:
    """Object to a version whose own tag does not say that its gates let it through."""
    said = trailers(version.message)
    verdict = said.get(VERDICT, "passed" if HASH in said else None)
    if verdict == "passed":
        return
    what = "was registered although gates blocked it" if verdict else "bears no verdict of gates"
    yield Objection(
        rule=Liftable.GATES if verdict else Liftable.VERDICT,
        message=f"{version.tag} {what}.",
        hint="Promote a commit that was judged (`modelci report`, `modelci promote`); or give "
        "--allow REASON.",
    )


def _on_hold(
    tags: Tags, name: str, version: RegisteredVersion, stages: Sequence[str]
) -> Iterator[Objection]:
    holds = find_holds(tags)
    for stage in stages:
        hold = holds.get((name, stage))
        if hold is not None and hold.commit != version.commit:
            yield Objection(
                rule=Liftable.HOLD,
                message=f"{hold.sentence}.",
                hint=f"`modelci release-hold {name} --stage {stage}` first; or --allow REASON.",
            )


def _require_greatest(
    state: ArtifactState, version: RegisteredVersion, promotion: Promotion
) -> None:
    """Refuse an assignment that would change nothing: the greatest version holds the stage."""
    for one in _newer_holders(state, version, promotion):
        raise PromotionError(
            f"{one.label} holds {one.stage}, and registry.holder is semver: the greater version "
            "would go on holding it.",
            hint=f"`modelci unassign {state.name}#{one.stage} --reason …` first.",
        )


def _steps_back(
    state: ArtifactState, version: RegisteredVersion, promotion: Promotion
) -> list[str]:
    return [
        f"{one.stage} held {one.label}, which is newer: `modelci rollback` would also hold the "
        "stage there."
        for one in _newer_holders(state, version, promotion)
    ]


def _newer_holders(
    state: ArtifactState, version: RegisteredVersion, promotion: Promotion
) -> Iterator[Assignment]:
    names = [TagName.parse(tag.name) for tag in promotion.tags]
    planned = {name.stage for name in names if name}
    for stage, one in state.stages.items():
        if stage in planned and one.version is not None and one.version > version.version:
            yield one


def _kept(version: RegisteredVersion) -> list[tuple[str, str]]:
    said = trailers(version.message)
    return [(key, said[key]) for key in (PATH, HASH, SHA256, VERDICT) if key in said]


def _files(artifact: str, version: RegisteredVersion) -> dict[str, TrackedFile]:
    """Return the bytes that the version's tag names."""
    said = trailers(version.message)
    hash_name, _, hash_ = said.get(HASH, "").partition(":")
    if not hash_:
        return {}
    path = said.get(PATH, version.tag)
    file = TrackedFile(path=path, kind=DataKind.MODEL, hash=hash_, hash_name=hash_name)
    return {artifact: file}
