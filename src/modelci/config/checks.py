"""What ``modelci.yaml`` must not say although its types are right."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import isfinite
from pathlib import PurePosixPath
from typing import TypeVar

from modelci.config.model import (
    BaselineConfig,
    Config,
    DataConfig,
    FairnessConfig,
    MonitorConfig,
    ReleaseConfig,
    RetrainConfig,
    ServeConfig,
    SigningMethod,
    SkewConfig,
    SlicesConfig,
    SwitchKind,
    TargetConfig,
    TargetKind,
    TrustedSignerConfig,
    parse_bytes,
    split_address,
)
from modelci.domain.deployment import Strategy
from modelci.domain.evaluation import ColumnRule, Evaluation, Mode, SliceBy, Task
from modelci.domain.gates import Waiver, parse_limit
from modelci.domain.images import PINNED, is_tag, parse_base, repository_of
from modelci.domain.monitoring import TriggerKind
from modelci.domain.tags import is_stage_name
from modelci.domain.triggers import Trigger, parse_count
from modelci.domain.windows import check_pattern, parse_duration

Path = tuple[str | int, ...]
Problem = tuple[Path, str]
"""Where it stands, and what is wrong with it."""

T = TypeVar("T")


def find_problems(config: Config) -> Iterator[Problem]:
    """Yield what is wrong, section by section."""
    for index, entry in enumerate(config.gates):
        yield from _check(("gates", index), f"the gate on {entry.metric!r}", entry.gates)
    yield from _each("evaluation", config.evaluation, _check_evaluation)
    yield from _check(("slices",), "slices", partial(_check_slices, config.slices))
    for index, by in enumerate(config.slices.by):
        if isinstance(by, SliceBy):
            yield from _check(("slices", "by", index), "slices", partial(_check_slice, by))
    yield from _each("fairness", config.fairness, _check_fairness)
    yield from _each("budget", config.budget, lambda entry: entry.gates())
    yield from _check(("baseline",), "baseline", partial(_check_baseline, config.baseline))
    yield from _each("data", config.data, _check_data)
    yield from _each("waivers", config.waivers, _check_waiver)
    yield from _check(("release",), "release", partial(_check_release, config.release))
    yield from _check_signing(config)
    yield from _check_deploy(config)
    yield from _check(("serve",), "serve", partial(_check_serve, config.serve))
    yield from _each("monitor", config.monitor, _check_monitor)
    yield from _check_watched_once(config.monitor)
    if not config.evaluation:
        yield from _without_evaluation(config)


def _check(path: Path, what: str, check: Callable[[], object]) -> Iterator[Problem]:
    try:
        check()
    except ValueError as error:
        # A problem is told by the key that it is about, if by any: where that stands, else the
        # section, is found by this path.
        key = str(error).partition(" ")[0]
        yield (*path, *key.split(".")), f"{what}: {error}"


def _check_serve(serve: ServeConfig) -> None:
    _refuse(not 0 <= serve.port <= 65_535, "port must be 0 to 65535")
    for name in ("workers", "max_rows", "threads"):
        _refuse(getattr(serve, name) < 1, f"{name} must be 1 or more")
    _refuse(not 0 < serve.timeout_seconds < float("inf"), "timeout_seconds must be above 0")
    _refuse(not 0 <= serve.drain_seconds < float("inf"), "drain_seconds must be 0 or more")
    _refuse(_bytes(serve.max_body) < 1, "max_body must be a size such as 10 MB")
    _refuse(_bytes(serve.log.max_bytes) < 1, "log.max_bytes must be a size such as 64 MB")
    _refuse(not 0 <= serve.log.sample <= 1, "log.sample must be 0 to 1")
    _refuse(serve.log.keep < 1, "log.keep must be 1 or more")


def _bytes(size: int | str) -> float:
    try:
        return parse_bytes(size)
    except ValueError:
        return 0.0


def _each(key: str, entries: Sequence[T], check: Callable[[T], object]) -> Iterator[Problem]:
    for index, entry in enumerate(entries):
        yield from _check((key, index), key, partial(check, entry))


def _without_evaluation(config: Config) -> Iterator[Problem]:
    wanting = {
        "slices": config.slices.by,
        "fairness": config.fairness,
        "baseline": config.baseline.metrics,
    }
    for key, value in wanting.items():
        if value:
            yield (key,), f"{key}: it takes predictions; name them under `evaluation:`"


def _check_evaluation(evaluation: Evaluation) -> None:
    _refuse(not evaluation.predictions, "predictions must name a file")
    _check_alpha(evaluation.alpha)
    _refuse(not 100 <= evaluation.resamples <= 100_000, "resamples must be 100 to 100000")
    _refuse(evaluation.seed < 0, "seed must be 0 or more")
    _refuse(not 2 <= evaluation.bins <= 1000, "bins must be 2 to 1000")
    _refuse(not 0 <= evaluation.threshold <= 1, "threshold must be 0 to 1")
    for name, deviation in evaluation.retrain_sd.items():
        _refuse(not 0 <= deviation < float("inf"), f"retrain_sd of {name} must be 0 or more")
    _check_score(evaluation)
    if evaluation.cost is not None:
        _refuse(evaluation.task is not Task.BINARY, "a cost matrix is for task: binary")
    if evaluation.rescore is not None:
        _refuse(not evaluation.rescore.cmd.strip(), "rescore.cmd must be a command")
        _refuse(not evaluation.rescore.files, "rescore.files must name what the base's model is")


def _check_score(evaluation: Evaluation) -> None:
    by_class = isinstance(evaluation.score, Mapping)
    if evaluation.task is Task.MULTICLASS:
        _refuse(
            not by_class or len(evaluation.score) < 2,
            "score must name a column for each class, such as {cat: p_cat, dog: p_dog}",
        )
    if evaluation.task is Task.REGRESSION:
        _refuse(by_class, "the score of a regression is one column")


def _check_slices(slices: SlicesConfig) -> None:
    slices.gate("")
    _check_alpha(slices.alpha)
    _refuse(slices.min_rows < 1, "min_rows must be 1 or more")


def _check_slice(by: SliceBy) -> None:
    _refuse((by.column is None) == (by.query is None), "each takes either a column or a query")
    if by.bins is None:
        return
    _refuse(by.column is None, "bins are for a column")
    if isinstance(by.bins, int):
        _refuse(by.bins < 2, "a number of bins must be 2 or more")
        return
    _refuse(not by.bins or not all(map(isfinite, by.bins)), "bins must hold finite edges")
    _refuse(any(one >= two for one, two in pairwise(by.bins)), "the edges of bins must grow")


def _check_fairness(fairness: FairnessConfig) -> None:
    _refuse(not 0 <= fairness.max <= 1, "max must be 0 to 1: it bounds a difference of rates")
    _refuse(fairness.min_rows < 1, "min_rows must be 1 or more")
    _refuse(fairness.mode is Mode.SUPERIOR, "mode superior compares two models; this is one's gap")


def _check_baseline(baseline: BaselineConfig) -> None:
    _refuse(not 0 <= baseline.min_gain < float("inf"), "min_gain must be 0 or more")


def _check_data(data: DataConfig) -> None:
    for name in ("min_rows", "max_rows"):
        rows = getattr(data, name)
        _refuse(rows is not None and rows < 0, f"{name} must be 0 or more")
    if data.min_rows is not None and data.max_rows is not None:
        _refuse(data.min_rows > data.max_rows, "min_rows is above max_rows")
    _refuse(bool(data.disjoint_from) and data.id is None, "disjoint_from compares ids: name the id")
    for name, rule in data.columns.items():
        _check_column(name, rule)
    anything = (data.id, data.min_rows, data.max_rows, data.columns or None)
    _refuse(all(one is None for one in anything), "it checks nothing: give columns, id or min_rows")


def _check_column(name: str, rule: ColumnRule) -> None:
    if rule.min is not None and rule.max is not None:
        _refuse(not rule.min <= rule.max, f"column {name}: min is above max")
    if rule.max_missing is not None:
        _refuse(not 0 <= rule.max_missing <= 1, f"column {name}: max_missing is a share, 0 to 1")


def _check_waiver(waiver: Waiver) -> None:
    for name in ("gate", "reason", "author"):
        _refuse(not getattr(waiver, name).strip(), f"{name} must not be empty")


def _check_release(release: ReleaseConfig) -> None:
    _refuse(not 16_384 <= release.max_bytes <= 125_000, "max_bytes must be 16384 to 125000")


def _check_signing(config: Config) -> Iterator[Problem]:
    signing = config.signing
    for name, one in signing.trusted.items():
        place = ("signing", "trusted", name)
        yield from _check(place, f"trusted signer {name!r}", partial(_check_signer, one))
    for pattern, names in signing.signers.items():
        unknown = [name for name in names if name not in signing.trusted]
        if unknown:
            known = ", ".join(signing.trusted) or "nobody"
            yield (
                ("signing", "signers", pattern),
                f"signing.signers: {', '.join(unknown)} is none of signing.trusted ({known})",
            )
    if signing.method is SigningMethod.CERTIFICATE and signing.certificate is None:
        yield ("signing", "method"), "signing: certificate is missing, which its method asks for"
    if config.deploy.require_signature and not signing.trusted:
        yield (
            ("deploy", "require_signature"),
            "deploy.require_signature is true, and signing.trusted names nobody",
        )


def _check_signer(one: TrustedSignerConfig) -> None:
    means = [one.public_key, one.certificates, one.identity]
    _refuse(
        sum(bool(mean) for mean in means) != 1,
        "it is known by one of public_key, certificates and identity",
    )
    _refuse(bool(one.identity) != bool(one.issuer), "identity and issuer go together")
    _refuse(one.subject is not None and not one.certificates, "subject goes with certificates")
    _refuse(one.trust_config is not None and not one.identity, "trust_config goes with identity")


def _check_deploy(config: Config) -> Iterator[Problem]:
    deploy = config.deploy
    yield from _check(("deploy", "strategy"), "deploy.strategy", deploy.strategy.manner)
    for name, target in deploy.targets.items():
        place = ("deploy", "targets", name)
        yield from _check(place, f"target {name!r}", partial(_check_target, name, target))
        if target.strategy is not None:
            what = f"target {name!r}: strategy"
            yield from _check((*place, "strategy"), what, target.strategy.manner)
    wanted = config.promote.deploy_target
    if config.promote.deploys and wanted is not None and wanted not in deploy.targets:
        known = ", ".join(deploy.targets) or "none"
        yield (
            ("promote", "deploy"),
            f"promote.deploy: there is no target {wanted!r} (deploy.targets has {known})",
        )


def _check_target(name: str, target: TargetConfig) -> None:
    _refuse(
        _TARGET.fullmatch(name) is None, "its name is of letters, digits, dots, dashes and _ alone"
    )
    _refuse(target.keep < 1, "keep must be 1 or more")
    _refuse(not 0 < target.timeout_seconds < float("inf"), "timeout_seconds must be above 0")
    for stage in target.stages:
        _refuse(not is_stage_name(stage), f"stages has {stage!r}, which cannot be a stage's name")
    on_disk = target.kind in {TargetKind.DIRECTORY, TargetKind.COMMAND, TargetKind.SERVER}
    _refuse(on_disk and not target.path, f"path is missing: a {target.kind} keeps releases there")
    _refuse(target.kind is TargetKind.COMMAND and not target.cmd, "cmd is missing: what deploys")
    _refuse(target.server.workers < 1, "server.workers must be 1 or more")
    _refuse(
        target.server.switch is SwitchKind.HAPROXY
        and target.strategy is not None
        and target.strategy.compares,
        "server.switch: haproxy compares no answers, as a shadow or max_divergence wants: take "
        "builtin or auto",
    )
    try:
        split_address(target.server.listen)
    except ValueError as error:
        raise ValueError(f"server.listen: {error}") from error
    divided = target.strategy is not None and target.strategy.kind is not Strategy.ALL
    _refuse(
        divided and not target.kind.divides_traffic,
        f"strategy divides traffic, which a {target.kind} does not: its kind is all",
    )
    if target.kind in {TargetKind.IMAGE, TargetKind.KSERVE}:
        _check_images(target)
    if target.kind is TargetKind.KSERVE:
        _check_kserve(target)


def _check_images(target: TargetConfig) -> None:
    image = target.image
    _refuse(not image.repository, "image.repository is missing: where images are pushed to")
    _refuse(not image.base, f"image.base is missing, the image with Python: {PINNED}")
    try:
        repository_of(image.repository or "", "x")
        parse_base(image.base or "")
    except ValueError as error:
        raise ValueError(f"image.{error}") from error
    wrong = image.tag is not None and not is_tag(image.tag)
    _refuse(wrong, f"image.tag is {image.tag!r}, which no image can be tagged")
    of_one = target.kind is TargetKind.KSERVE or image.tag or len(target.stages) < 2
    _refuse(not of_one, "image.tag is missing: of several stages none is the tag to move")


def _check_kserve(target: TargetConfig) -> None:
    kserve = target.kserve
    _refuse(kserve.apply and bool(kserve.branch), "kserve.branch: either that or `apply: true`")
    _refuse(
        not kserve.apply and not kserve.branch,
        "kserve.branch is missing: the GitOps branch to commit to (or `apply: true`)",
    )
    against = target.object_to(target.strategy.kind) if target.strategy is not None else None
    _refuse(against is not None, f"strategy: {against}")
    _refuse(kserve.min_replicas < 0, "kserve.min_replicas must be 0 or more")
    folder = PurePosixPath(kserve.path)
    _refuse(
        folder.is_absolute() or ".." in folder.parts, "kserve.path is a folder inside the branch"
    )


_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _check_monitor(monitor: MonitorConfig) -> None:
    for name in ("model", "current", "score", "history"):
        _refuse(not getattr(monitor, name).strip(), f"{name} must not be empty")
    stage = monitor.stage
    _refuse(stage is not None and not is_stage_name(stage), f"stage {stage!r} cannot be one's name")
    _check_place("current", monitor.current)
    if monitor.labels is not None:
        _check_place("labels.path", monitor.labels.path)
    _check_time("window", lambda: check_pattern(monitor.window))
    _check_time("cooldown", lambda: parse_duration(monitor.cooldown))
    if monitor.labels is not None:
        delay = monitor.labels.delay
        _check_time("labels.delay", lambda: parse_duration(delay))
    _refuse(monitor.min_rows < 1, "min_rows must be 1 or more")
    _refuse(
        monitor.max_age_days is not None and not 0 < monitor.max_age_days < float("inf"),
        "max_age_days must be above 0",
    )
    _check_drift(monitor)
    _check_performance(monitor)
    _check_skew(monitor.skew)
    _check_retrain(monitor.retrain)
    for trigger in monitor.triggers:
        _check_trigger(trigger, monitor)


def _check_place(name: str, place: str) -> None:
    unknown = [one for one in _PLACEHOLDER.findall(place) if one != "window"]
    if unknown:
        raise ValueError(
            f"{name} has {{{unknown[0]}}}, which stands for nothing: "
            "the window's name is {window}"
        )


_PLACEHOLDER = re.compile(r"\{(\w*)\}")


def _check_time(name: str, check: Callable[[], object]) -> None:
    try:
        check()
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _check_drift(monitor: MonitorConfig) -> None:
    drift = monitor.drift
    _refuse(not 0 < drift.warn <= drift.fail, "drift.warn must be above 0 and up to drift.fail")
    _refuse(not 0 < drift.alpha < 0.5, "drift.alpha must be above 0 and below 0.5; 0.01 is usual")
    for name, own in monitor.columns.items():
        if isinstance(own, str):
            _refuse(own != "ignore", f"columns.{name} is {own!r}: write `ignore`, or what differs")
            continue
        warn = drift.warn if own.warn is None else own.warn
        fail = drift.fail if own.fail is None else own.fail
        # Who raises one limit past the other means both.
        _refuse(warn <= 0 or fail <= 0, f"columns.{name}: warn and fail must be above 0")
        both = own.warn is not None and own.fail is not None
        _refuse(both and warn > fail, f"columns.{name}: warn is above fail")


def _check_performance(monitor: MonitorConfig) -> None:
    limits = {name: one for name, one in monitor.performance.items() if name != "estimate"}
    estimate = monitor.performance.get("estimate")
    _refuse(estimate not in {None, "cbpe"}, f"performance.estimate is {estimate!r}: it may be cbpe")
    for name, one in limits.items():
        if isinstance(one, str):
            raise ValueError(f"performance.{name} is {one!r}: give max_drop, min or max")  # noqa: TRY004
        if one.max_drop is not None:
            drop = parse_limit(one.max_drop).value
            _refuse(
                not 0 <= drop < float("inf"),
                f"performance.{name}.max_drop is {one.max_drop}: a drop's limit is never negative: "
                "0.01 allows 0.01 worse",
            )
        nothing = one.max_drop is None and one.min is None and one.max is None
        _refuse(nothing, f"performance.{name} limits nothing: give max_drop, min or max")
    _refuse(
        bool(limits) and monitor.labels is None and estimate is None,
        "performance cannot be known: say where `labels` are, or `estimate: cbpe`",
    )


def _check_skew(skew: SkewConfig) -> None:
    _refuse(not 0 <= skew.rows <= 100_000, "skew.rows must be 0 to 100000")
    _refuse(skew.tolerance is not None and skew.tolerance < 0, "skew.tolerance must be 0 or more")
    _refuse(not 0 <= skew.max_share <= 1, "skew.max_share must be 0 to 1")


def _check_retrain(retrain: RetrainConfig) -> None:
    name = retrain.branch.replace("{model}", "model")
    _refuse(
        "{model}" not in retrain.branch,
        f"retrain.branch is {retrain.branch!r}: it is one per model, so {{model}} is part of it",
    )
    odd = name.startswith(("-", "/")) or name.endswith(("/", ".", ".lock")) or ".." in name
    _refuse(
        odd or _BRANCH.fullmatch(name) is None,
        f"retrain.branch is {retrain.branch!r}, which no branch can be called",
    )
    for path in retrain.add:
        parts = PurePosixPath(path).parts
        _refuse(
            not parts or path.startswith("/") or ".." in parts,
            f"retrain.add is {path!r}: paths are counted from the top of the repository",
        )


_BRANCH = re.compile(r"[\w./@+-]+")


def _check_trigger(trigger: Trigger, monitor: MonitorConfig) -> None:
    what = f"triggers: when {trigger.when}"
    if trigger.columns is not None:
        _refuse(trigger.when is not TriggerKind.DRIFT, f"{what}: columns is of drift alone")
        parse_count(trigger.columns)
    _refuse(trigger.consecutive < 1, f"{what}: consecutive must be 1 or more")
    is_age = trigger.when is TriggerKind.AGE
    _refuse(trigger.days is not None and not is_age, f"{what}: days is of age alone")
    _refuse(trigger.days is not None and not trigger.days > 0, f"{what}: days must be above 0")
    _refuse(
        is_age and trigger.days is None and monitor.max_age_days is None,
        f"{what}: give its days, or max_age_days",
    )
    _refuse(
        trigger.when is TriggerKind.PERFORMANCE and not monitor.performance,
        f"{what}: `performance` limits nothing",
    )


def _check_watched_once(monitors: Sequence[MonitorConfig]) -> Iterator[Problem]:
    seen = set[tuple[str, str | None]]()
    for index, one in enumerate(monitors):
        if (one.model, one.stage) in seen:
            where = f"{one.model}#{one.stage}" if one.stage else one.model
            yield ("monitor", index), f"monitor: {where} is watched twice"
        seen.add((one.model, one.stage))


def _check_alpha(alpha: float) -> None:
    _refuse(not 0 < alpha < 0.5, "alpha must be above 0 and below 0.5; 0.05 is usual")


def _refuse(wrong: bool, why: str) -> None:  # noqa: FBT001
    if wrong:
        raise ValueError(why)
