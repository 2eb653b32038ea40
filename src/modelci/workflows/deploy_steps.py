"""The steps of a deployment, one after the other, and the way back."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from modelci.config.model import EnvironmentMode, ModelConfig
from modelci.domain.deploying import Verdict, way_back
from modelci.domain.deployment import (
    Deployment,
    DeployOutcome,
    DeployStep,
    Observation,
    Release,
    Running,
    StepKind,
    StepRecord,
    StepState,
)
from modelci.domain.golden import Environment, Health, find_skew
from modelci.domain.modelfiles import FileScan
from modelci.domain.provenance import CheckState, Finding, Provenance
from modelci.errors import DeploymentError, ModelCIError
from modelci.workflows.deploy_plan import Gathered, Job, ask_again
from modelci.workflows.modelsigning import about_signature
from modelci.workflows.recipe import (
    MODEL,
    Fetched,
    fetch_release,
    verify_release,
    write_release,
)
from modelci.workflows.watching import watch

_MOST_NAMED = 3
_NO_GOLDEN = (
    "No golden requests say what this version answers, so nothing was compared: let a stage of the "
    "pipeline write them (`modelci golden`); deploy.require_golden refuses versions without."
)


def take(job: Job, gathered: Gathered, document: Deployment) -> Deployment:
    """Take the planned steps and return what came of it; the target is locked meanwhile.

    What fails before the switch changes nothing; what fails after it is switched back. Interrupted
    in a trial, the trial ends; interrupted after the switch, the release is not settled, and the
    next run goes on watching it.
    """
    steps = _Steps(job, gathered)
    outcome, error = DeployOutcome.DEPLOYED, None
    try:
        for step in document.plan:
            steps.take(step)
    except ModelCIError as failure:
        outcome, error = steps.recover(failure), failure
    except BaseException:
        with suppress(ModelCIError):
            steps.end_trial()
        raise
    else:
        forget_work(job, gathered)
    return replace(
        document,
        outcome=outcome,
        steps=tuple(steps.records),
        findings=steps.findings,
        health=steps.health,
        observations=tuple(steps.observations),
        after=job.tools.target.read(document.artifact).running,
        reason=str(error) if error else None,
        hint=error.hint if error else None,
        notes=(*document.notes, *steps.notes),
    )


def forget_work(job: Job, gathered: Gathered) -> None:
    """Remove what was fetched: the target has it."""
    shutil.rmtree(_work(job, gathered), ignore_errors=True)


def _work(job: Job, gathered: Gathered) -> Path:
    """Return where a release is put together; a run that was killed there is gone on with."""
    folder = job.tools.folder / "deploy" / job.tools.target.name
    return folder / quote(gathered.order.artifact, safe="") / gathered.recipe.id


class _SkippedError(Exception):
    """A step that has nothing to do here, and why."""


class _Steps:
    """What is known so far of one deployment."""

    def __init__(self, job: Job, gathered: Gathered) -> None:
        self.records: list[StepRecord] = []
        self.findings: tuple[Finding, ...] = ()
        self.health: Health | None = None
        self.observations = list[Observation]()
        self.notes: list[str] = []
        self._job, self._gathered = job, gathered
        self._tools, self._target = job.tools, job.tools.target
        self._order, self._recipe = gathered.order, gathered.recipe
        self._fetched: Fetched | None = None
        self._release: Release | None = None
        self._python: Path | None = None
        self._running: Running | None = None
        self._is_tried = False
        self._acts = {
            StepKind.FETCH: self._fetch,
            StepKind.VERIFY: self._verify,
            StepKind.SCAN: self._scan,
            StepKind.ENVIRONMENT: self._find_environment,
            StepKind.STAGE: self._stage,
            StepKind.CHECK: self._check,
            StepKind.TRIAL: self._try_out,
            StepKind.SWITCH: self._switch,
            StepKind.WATCH: self._watch,
            StepKind.PRUNE: self._prune,
        }

    def take(self, step: DeployStep) -> None:
        """Take one step and write down what came of it."""
        self._tools.checkpoint()
        self._tools.progress.note(f"{self._target.name}: {step.kind}")
        began = self._tools.clock()
        record = partial(self._record, step, began)
        try:
            detail = self._acts[step.kind](step)
        except _SkippedError as why:
            record(StepState.SKIPPED, str(why))
        except ModelCIError as error:
            record(StepState.FAILED, str(error))
            raise
        else:
            record(StepState.DONE, detail)

    def _record(self, step: DeployStep, began: float, state: StepState, detail: str) -> None:
        seconds = round(self._tools.clock() - began, 3)
        self.records.append(StepRecord(kind=step.kind, state=state, detail=detail, seconds=seconds))

    # -- the way to a staged release ---------------------------------------------------------------

    def _fetch(self, _step: DeployStep) -> str:
        work = _work(self._job, self._gathered)
        for left in work.parent.glob("*"):
            if left != work:  # of another release, whose deployment was given up
                shutil.rmtree(left, ignore_errors=True)
        self._fetched = fetch_release(self._recipe, work, self._tools.source)
        missing = [one.refusal or one.path for one in self._fetched.files if one.found is None]
        if missing:
            self._fetched = None
            raise DeploymentError(
                f"{'; '.join(missing[:_MOST_NAMED])}.",
                hint="`dvc push` (or `modelci run --push`) from where they were made brings them "
                "to the DVC remote.",
            )
        size = sum(one.size or 0 for one in self._fetched.files)
        return f"{self._recipe.model.path}, {size:,} bytes"

    def _verify(self, _step: DeployStep) -> str:
        said = self._read_provenance()
        self.findings = (
            *verify_release(self._recipe, self._need_fetched(), said),
            *self._about_signature(),
        )
        wrong = [one for one in self.findings if one.state is CheckState.FAILED]
        if wrong:
            raise DeploymentError(
                f"These are not the bytes that were tagged: {_say_all(wrong)}.",
                hint=f"`modelci verify {self._order.registration or self._order.tag} --remote "
                "--pull` shows all that was found. Nothing lifts this: put the honest bytes back, "
                "or deploy another version.",
            )
        agree = sum(one.state is CheckState.OK for one in self.findings)
        return f"{agree} of {len(self.findings)} checks agree, none differs"

    def _about_signature(self) -> tuple[Finding, ...]:
        signed, files = self._gathered.signed, self._need_fetched().files
        if signed is None:
            return ()
        path = self._recipe.model.path
        return (about_signature(signed.claims, files, path, is_required=signed.required),)

    def _read_provenance(self) -> Provenance | None:
        if not self._job.config.deploy.require_provenance or self._tools.provenance is None:
            return None
        if self._order.registration is None:
            raise DeploymentError(
                f"deploy.require_provenance is true, and {self._order.label} has no release.",
                hint="Only versions have one: register it (`modelci promote`) first.",
            )
        return self._tools.provenance(self._order.registration)

    def _scan(self, _step: DeployStep) -> str:
        fetched = self._need_fetched()
        model = fetched.folder / MODEL / self._recipe.model.name
        flavour = self._recipe.flavour or (fetched.golden.flavour if fetched.golden else None)
        scans = self._tools.scan(model, self._recipe.trust, flavour)
        bad = [one for one in scans if not one.is_safe]
        if bad:
            raise DeploymentError(
                f"{'; '.join(map(_say_danger, bad))}: loading it could run code that came with it.",
                hint="`modelci scan` shows all of it. safety.trusted_types vouches for types, "
                "safety.allow_pickle for an artifact's pickles.",
            )
        return ", ".join(dict.fromkeys(str(one.format) for one in scans))

    def _find_environment(self, _step: DeployStep) -> str:
        recorded = self._recorded()
        if recorded is None:
            raise _SkippedError("no golden requests say where the model was made")
        if self._job.settings.environment is EnvironmentMode.BUILD:
            return self._build(recorded)
        found = self._target.environment()
        if found is None:
            raise _SkippedError("the target does not tell what it has")
        skew = find_skew(recorded, found)
        if skew and self._job.request.allowed is None:
            raise DeploymentError(
                f"{self._target.name} has another environment than the model was made in: "
                f"{'; '.join(skew)}.",
                hint="`environment: build` of the target makes one as it was recorded; or install "
                "these versions there, or train with those that are there.",
            )
        self.notes += [f"Allowed although: {one}" for one in skew]
        needs = [f"{name} {recorded.packages.get(name)}" for name in recorded.needs]
        return ", ".join([f"Python {found.python}", *needs])

    def _build(self, recorded: Environment) -> str:
        if self._tools.environments is None:
            raise DeploymentError(
                f"{self._target.name} wants `environment: build`, which cannot be done here.",
                hint="`environment: current` takes the target's Python as it is.",
            )
        folder = self._tools.folder / "environments"
        if self._job.settings.path:
            folder = self._tools.git.root / self._job.settings.path / "environments"
        self._python = self._tools.environments.build(
            recorded, folder, progress=self._tools.progress
        )
        return str(self._python)

    def _recorded(self) -> Environment | None:
        if self._fetched is not None:
            golden = self._fetched.golden
            return golden.environment if golden else None
        return self._need_release().environment

    def _stage(self, _step: DeployStep) -> str:
        fetched = self._need_fetched()
        self._release = write_release(self._recipe, fetched)
        self._target.stage(self._release, fetched.folder, python=self._python)
        return self._release.id

    def _check(self, _step: DeployStep) -> str:
        return self._replay()

    def _replay(self) -> str:
        settings = self._job.config.models.get(self._order.artifact, ModelConfig())
        health = self._target.check(self._need_release(), latency_ms=settings.max_latency_ms)
        self.health = health
        if self._need_release().golden is None and _NO_GOLDEN not in self.notes:
            self.notes.append(_NO_GOLDEN)
        if not health.ok:
            why = "; ".join(health.problems[:_MOST_NAMED]) or "it does not say why"
            raise DeploymentError(
                f"{self._recipe.id} is not healthy: {why.rstrip('.')}.",
                hint="A version's golden requests are to be answered as they were at training, "
                f"within models.{self._order.artifact}.max_latency_ms where that is set.",
            )
        return _describe_health(health)

    # -- traffic -----------------------------------------------------------------------------------

    def _try_out(self, step: DeployStep) -> str:
        if step.share == 0.0:
            return self._end_left_trial()
        is_shadow = step.share is None
        release = self._need_release()
        self._is_tried = True
        self._target.try_out(release, share=step.share or 0.0, shadow=is_shadow)
        what = "copies of requests" if is_shadow else f"{step.share:.0%} of the requests"
        return f"{what}: {self._observe(release, is_trial=True)}"

    def _end_left_trial(self) -> str:
        """End the trial that a run which was killed has left."""
        trial = self._gathered.state.trial
        left = self._target.release(self._order.artifact, trial.release) if trial else None
        if left is None:
            raise _SkippedError("what is tried is not staged any more: the switch ends it")
        self._target.try_out(left, share=0.0, shadow=False)
        return f"ended the trial of {left.id}, which an earlier run left"

    def _observe(self, release: Release, *, is_trial: bool) -> str:
        seen, ruling = watch(
            release, self._tools, self._job.request.manner.limits, is_trial=is_trial
        )
        if seen is not None:
            self.observations.append(seen)
        if ruling.verdict is Verdict.ABORT:
            raise DeploymentError(
                f"{release.id} was stopped: {ruling.reason}.",
                hint=f"The limits are in the strategy of deploy.targets.{self._target.name}, or in "
                "deploy.strategy; the target's log has the requests. `--strategy all` tries "
                "nothing out first.",
            )
        return ruling.reason

    def _switch(self, _step: DeployStep) -> str:
        ask_again(self._job, self._gathered)
        before = self._gathered.state.running
        request = self._job.request
        is_same = before is not None and before.release == self._recipe.id
        running = Running(
            release=self._recipe.id,
            artifact=self._order.artifact,
            version=self._order.version,
            tag=self._order.tag,
            commit=self._order.commit,
            assigned_seconds=self._order.seconds,
            since=self._tools.now(),
            by=request.by,
            run_url=request.run_url,
            reason=request.allowed or self._order.reason,
            settled=is_same and before is not None and before.settled,
        )
        self._running = running
        self._target.switch(running)
        self._is_tried = False
        return f"{before.label if before else 'nothing'} → {running.label}"

    def _watch(self, _step: DeployStep) -> str:
        said = self._observe_running()
        running = self._running or self._gathered.state.running
        if running is not None:
            self._running = replace(running, settled=True)
            self._target.switch(self._running)
        return said

    def _observe_running(self) -> str:
        """Watch the traffic; where nobody sees it, look once more whether the release is well."""
        release = self._need_release()
        # What is not switched in this run was switched by one that was cut short.
        self._running = self._running or self._gathered.state.running
        said = self._observe(release, is_trial=False)
        return said or f"its traffic is not seen here; looked at once more: {self._replay()}"

    def _prune(self, _step: DeployStep) -> str:
        try:
            gone = self._target.prune(self._order.artifact, keep=self._job.settings.keep)
        except DeploymentError as error:
            self.notes.append(f"Old releases could not be removed: {error}")
            raise _SkippedError(str(error)) from error
        return ", ".join(gone) or "nothing to remove"

    # -- the way back ------------------------------------------------------------------------------

    def recover(self, error: ModelCIError) -> DeployOutcome:
        """Let what ran before answer everything again, and say what that came to."""
        if self._running is None:
            try:
                self.end_trial()
            except ModelCIError as another:
                self.notes.append(f"The trial could not be ended: {another}")
            return DeployOutcome.FAILED
        back = self._before()
        if back is None:
            self.notes.append(f"Nothing ran before {self._running.label}: it is left as it is.")
            return DeployOutcome.FAILED
        again = replace(
            back,
            since=self._tools.now(),
            by=self._job.request.by,
            run_url=self._job.request.run_url,
            reason=f"switched back from {self._running.label}: {error}",
            settled=True,
        )
        try:
            self._target.switch(again)
        except ModelCIError as another:
            self.notes.append(f"{back.label} could not be switched back to: {another}")
            return DeployOutcome.FAILED
        self._tools.progress.warn(f"{self._target.name}: switched back to {back.label}")
        return DeployOutcome.SWITCHED_BACK

    def _before(self) -> Running | None:
        before = self._gathered.state.running
        if before is not None and (before.release != self._recipe.id or before.settled):
            return before
        return way_back(self._gathered.state, self._recipe.id)

    def end_trial(self) -> None:
        """End a trial that this run began."""
        if self._is_tried and self._release is not None:
            self._target.try_out(self._release, share=0.0, shadow=False)
            self._is_tried = False

    # -- what earlier steps, or runs, have made ----------------------------------------------------

    def _need_fetched(self) -> Fetched:
        assert self._fetched is not None  # noqa: S101 - the plan fetches first
        return self._fetched

    def _need_release(self) -> Release:
        if self._release is None:
            self._release = self._target.release(self._order.artifact, self._recipe.id)
        if self._release is None:
            raise DeploymentError(
                f"{self._recipe.id} is not staged on {self._target.name} any more.",
                hint="Deploy again: what is missing is fetched.",
            )
        return self._release


def _say(finding: Finding) -> str:
    said = f" ({finding.found}, not {finding.expected})" if finding.found else ""
    return f"{finding.subject}: {finding.detail}{said}"


def _say_all(wrong: Sequence[Finding]) -> str:
    """Return the first finding in full, and of the others what they are of."""
    first, *rest = wrong
    path = first.subject.partition(": ")[0]
    others = [one.subject.removeprefix(f"{path}: ") for one in rest[:_MOST_NAMED]]
    if len(rest) > _MOST_NAMED:
        others.append(f"{len(rest) - _MOST_NAMED:,} more")
    return f"{_say(first)}{'; nor do these agree: ' if others else ''}{', '.join(others)}"


def _say_danger(scan: FileScan) -> str:
    names = [f"{one.danger} {one.name}".strip() for one in scan.findings[:_MOST_NAMED]]
    more = len(scan.findings) - len(names)
    rest = f" and {more:,} more" if more > 0 else ""
    return f"{Path(scan.path).name} ({scan.format}) has {', '.join(names)}{rest}"


def _describe_health(health: Health) -> str:
    golden = f"{health.rows:,} golden requests answered as at training"
    words = [golden if health.rows else "it loads; there are no golden requests"]
    if health.worst is not None:
        words.append(f"off by at most {health.worst:.3g}")
    if health.p99_ms is not None:
        words.append(f"p99 {health.p99_ms:.3g} ms")
    return ", ".join(words)
