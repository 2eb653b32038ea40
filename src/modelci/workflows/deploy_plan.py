"""What a deployment is decided from, and what it works with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelci.config.model import Config, TargetConfig
from modelci.domain.deploying import Aim, Manner, plan_deployment
from modelci.domain.deployment import (
    Deployment,
    DeployOutcome,
    DeployStep,
    Strategy,
    TargetState,
)
from modelci.domain.modelfiles import FileScan, Trust
from modelci.domain.modelsignatures import BytesSignature, hold_against
from modelci.domain.modelsignatures import describe as describe_signature
from modelci.domain.orders import (
    Objection,
    Order,
    Wanted,
    object_by_age,
    object_by_holds,
    resolve_order,
)
from modelci.domain.provenance import Provenance
from modelci.domain.registry import TagRecord
from modelci.errors import DeploymentError, ForgeError, ModelCIError, PromotionError
from modelci.ports import (
    Environments,
    Git,
    Progress,
    ReleaseBytes,
    SignatureReader,
    SnapshotReader,
    Target,
)
from modelci.workflows.modelsigning import SigningPolicy, find_claims, signing_policy_of
from modelci.workflows.recipe import MODEL, Recipe, read_recipe
from modelci.workflows.signing import Policy, policy_of, read_default_branch, require_signed

ScanModel = Callable[[Path, Trust, str | None], tuple[FileScan, ...]]
"""Looks at a model's file, or folder, of a flavour without loading it."""

ReadProvenance = Callable[[str], Provenance]
"""Takes the tag of a version and returns the provenance that its release has."""

Announce = Callable[[Deployment], None]
"""Tells others how a deployment stands: ``planned`` while it goes on, then what it came to."""


def tell_nobody(_deployment: Deployment) -> None:
    """Keep it to ourselves."""


def never_stop() -> None:
    """Go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, how, and by whom; ``allowed`` is why the registry's rules are lifted.

    ``is_manner_asked`` says that somebody asked for this manner, and not the configuration.
    """

    wanted: Wanted
    manner: Manner
    is_manner_asked: bool = False
    allowed: str | None = None
    by: str = ""
    run_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a deployment works with.

    ``folder`` keeps what is fetched until it is staged. ``clock`` gives seconds that only grow,
    ``pause`` waits for some; ``checkpoint`` raises KeyboardInterrupt where we are to stop.
    """

    git: Git
    reader: SnapshotReader
    source: ReleaseBytes
    target: Target
    scan: ScanModel
    folder: Path
    progress: Progress
    now: Callable[[], str]
    clock: Callable[[], float]
    pause: Callable[[float], None]
    signatures: SignatureReader | None = None
    environments: Environments | None = None
    provenance: ReadProvenance | None = None
    announce: Announce = tell_nobody
    checkpoint: Callable[[], None] = never_stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One deployment as it was asked for, with all that it takes."""

    request: Request
    tools: Tools
    config: Config
    settings: TargetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What the signatures of a version's bytes are worth, whatever its bytes; the best first."""

    claims: tuple[BytesSignature, ...]
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The registry's order, what it takes, what the target runs, and what is against it."""

    order: Order
    recipe: Recipe
    state: TargetState
    objections: tuple[Objection, ...]
    signed: Signed | None = None

    @property
    def aim(self) -> Aim:
        """What is to run."""
        return Aim(release=self.recipe.id, tag=self.order.tag)


def gather(job: Job) -> Gathered:
    """Ask the Git remote what is to run, its commit what that takes, and the target what runs.

    Works in a clone without tags and history: the artifact's tags and that one commit are fetched.
    """
    order, objections, tags = _ask_registry(job)
    git = job.tools.git
    default = read_default_branch(git, fresh=True, configured=job.config.default_branch)
    _require_signed(job, order, tags, policy_of(default, job.config.registry))
    signed = _read_signed(job, order, signing_policy_of(default, job.config))
    recipe = _read_recipe(job, order)
    state = _read_target(job, recipe)
    _require_same_bytes(job, recipe, state, signed)
    return Gathered(
        order=order,
        recipe=recipe,
        state=state,
        signed=signed,
        objections=(*objections, *object_by_age(order, state, tags), *_missing(job, recipe)),
    )


def ask_again(job: Job, gathered: Gathered) -> None:
    """Raise DeploymentError if the registry, or the target, has come to say something else."""
    order, objections, tags = _ask_registry(job)
    state = job.tools.target.read(order.artifact)
    if order.commit != gathered.order.commit:
        raise DeploymentError(
            f"{order.artifact} has moved on meanwhile: {order.tag} ({order.label}) is what is "
            f"wanted now, not {gathered.order.tag} ({gathered.order.label}).",
            hint="Deploy again.",
        )
    require_none((*objections, *object_by_age(order, state, tags)), job.request.allowed)


def require_none(objections: Sequence[Objection], allowed: str | None) -> None:
    """Raise DeploymentError for the first objection, unless there is a reason not to mind."""
    if objections and allowed is None:
        raise DeploymentError(objections[0].message, hint=objections[0].hint)


def plan(job: Job, gathered: Gathered) -> tuple[DeployStep, ...]:
    """Return the steps that are missing; DeploymentError where something is against it."""
    require_none(gathered.objections, job.request.allowed)
    return plan_deployment(gathered.aim, gathered.state, _manner(job, gathered))


def _manner(job: Job, gathered: Gathered) -> Manner:
    """Return how the release takes over: a rollback at once, unless somebody asks otherwise.

    It leaves a version that is no good: a trial would hold it against that one, and let that one
    answer meanwhile.
    """
    manner = job.request.manner
    if gathered.order.is_rollback and not job.request.is_manner_asked:
        return replace(manner, strategy=Strategy.ALL)
    return manner


def describe(job: Job, gathered: Gathered, steps: tuple[DeployStep, ...]) -> Deployment:
    """Return the document of a deployment that has not begun."""
    order, target = gathered.order, job.tools.target
    return Deployment(
        target=target.name,
        kind=target.kind,
        artifact=order.artifact,
        tag=order.tag,
        version=order.version,
        stage=order.stage,
        commit=order.commit,
        outcome=DeployOutcome.PLANNED if steps else DeployOutcome.UNCHANGED,
        strategy=_manner(job, gathered).strategy,
        release=gathered.recipe.id,
        plan=steps,
        before=gathered.state.running,
        after=gathered.state.running,
        notes=tuple(f"Allowed although: {one.message}" for one in gathered.objections),
        allowed=job.request.allowed,
        by=job.request.by,
        run_url=job.request.run_url,
    )


Answer = tuple[Order, tuple[Objection, ...], tuple[TagRecord, ...]]


def _ask_registry(job: Job) -> Answer:
    """Return the order by the remote's tags as they are now, and what they have against it."""
    git, wanted = job.tools.git, job.request.wanted
    tags = git.tags([wanted.artifact], remote=git.remote())
    order, objections = resolve_order(wanted, tags, holder=job.config.registry.holder)
    holds = object_by_holds(order, tags, job.settings.stages)
    return order, (*objections, *holds), tags


def _require_signed(job: Job, order: Order, tags: Sequence[TagRecord], policy: Policy) -> None:
    """Refuse, where signatures are required, a tag or a version that nobody signed who may."""
    names = {order.tag, order.registration}
    try:
        require_signed(job.tools.git, [tag for tag in tags if tag.tag in names], policy)
    except PromotionError as error:
        raise DeploymentError(str(error), hint=error.hint) from error
    if policy.required and order.registration is None:
        raise _no_version(order, "registry.require_signed")


def _no_version(order: Order, rule: str) -> DeploymentError:
    return DeploymentError(
        f"{order.tag} is of {order.commit[:7]}, which bears no version that could be signed.",
        hint=f"{rule} is true: register it (`modelci promote`) first.",
    )


def _read_signed(job: Job, order: Order, policy: SigningPolicy) -> Signed | None:
    """Return the version's signatures; None where nobody's count and none is required.

    Refuses, where one is required, a version without a good one.
    """
    git, reader = job.tools.git, job.tools.signatures
    if not policy.required and not policy.trusted:
        return None
    if order.registration is None:
        if policy.required:
            raise _no_version(order, "deploy.require_signature")
        return None
    if reader is None:
        raise DeploymentError(
            "This modelci reads no signatures of bytes, and `signing` says whose count.",
            hint="Install what does: pip install 'modelci[signing]'.",
        )
    claims = find_claims(git, reader, order.registration, policy, remote=git.remote())
    if policy.required and not claims[0].is_good:
        raise DeploymentError(
            f"The bytes of {order.registration} are not signed by anybody who may: "
            f"{describe_signature(claims[0])}.",
            hint=f"`modelci sign '{order.registration}'` signs them, as one of signing.trusted of "
            f"{policy.source}.",
        )
    return Signed(claims=claims, required=policy.required)


def _require_same_bytes(
    job: Job, recipe: Recipe, state: TargetState, signed: Signed | None
) -> None:
    """Refuse, where signatures are required, a staged release whose bytes they do not name.

    What is fetched is held against them once it is here.
    """
    artifact = recipe.order.artifact
    if signed is None or not signed.required or recipe.id not in state.staged:
        return
    release = job.tools.target.release(artifact, recipe.id)
    inside = f"{MODEL}/"
    files = {one.path: one.sha256 for one in release.files} if release else {}
    found = {
        path.removeprefix(inside): one for path, one in files.items() if path.startswith(inside)
    }
    best = hold_against(signed.claims, found)
    if not best.is_good:
        raise DeploymentError(
            f"{recipe.id}, which is staged, is not what was signed: {describe_signature(best)}.",
            hint="Remove it from the target, and deploy again.",
        )


def _read_recipe(job: Job, order: Order) -> Recipe:
    git = job.tools.git
    if not git.has(order.commit):
        _fetch(git, order)
    tree = git.tree(order.commit)
    snapshot = job.tools.reader.read(tree)
    return read_recipe(order, tree, snapshot, job.config, surroundings=job.settings.surroundings)


def _fetch(git: Git, order: Order) -> None:
    try:
        git.fetch([order.commit], depth=1 if git.is_shallow() else None)
    except ModelCIError as error:
        raise ForgeError(
            f"The commit {order.commit[:7]} of {order.tag} cannot be had: {error}",
            hint=error.hint or f"git fetch origin tag '{order.tag}'",
        ) from error


def _read_target(job: Job, recipe: Recipe) -> TargetState:
    """Return what the target says; a release that it cannot read any more is not staged."""
    target, artifact = job.tools.target, recipe.order.artifact
    state = target.read(artifact)
    if recipe.id in state.staged and target.release(artifact, recipe.id) is None:
        kept = tuple(one for one in state.staged if one != recipe.id)
        return replace(state, staged=kept)
    return state


def _missing(job: Job, recipe: Recipe) -> tuple[Objection, ...]:
    if recipe.golden is not None or not job.config.deploy.require_golden:
        return ()
    return (
        Objection(
            message=f"{recipe.order.artifact} {recipe.order.label} has no golden requests, and "
            "deploy.require_golden is true.",
            hint=f"Let a stage of the pipeline write them: `modelci golden {recipe.model.path} "
            "DATA`; or --allow REASON.",
        ),
    )
