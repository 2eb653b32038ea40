"""What a DVC repository as it stands suggests: gates at today's values, directions, artifacts."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from importlib.resources import files
from pathlib import PurePosixPath
from sys import float_info

from modelci.domain.artifacts import Artifact
from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.metrics import Direction, MetricKey, MetricValue, known_direction, matches
from modelci.domain.snapshot import NOT_CACHED, NOT_COMPARED, Snapshot
from modelci.errors import ConfigError
from modelci.formats import parse_yaml
from modelci.ports import FileTree

LEGACY = "artifacts.yaml"
"""Where GTO had artifacts declared before DVC did, in dvc.yaml."""

_PICKLES = frozenset({".joblib", ".pickle", ".pkl"})
_SCANNED = _PICKLES | {".json", ".npy", ".npz", ".onnx", ".skops"}
_MAX_GATES = 6
_MAX_UNKNOWN = 8
_MAX_ARTIFACTS = 3
_DIGITS = 3
_SLACK = Decimal("0.01")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_HUGE = 1e15
_CALLED = re.compile(r"(?<![a-z])models?(?![a-z])", re.IGNORECASE)
_OF_TRAINING = re.compile(r"train(ing)?[._]", re.IGNORECASE)
_WORDS = frozenset("true false yes no on off y n null".split())


def propose_config(snapshot: Snapshot, *, has_remote: bool, pickles: Sequence[str] = ()) -> str:
    """Return a commented ``modelci.yaml`` with gates on the metrics whose direction is known.

    Metrics of unknown direction are named in a comment, and so are ``pickles``, the artifacts that
    a report would block as such. Runs use the DVC remote where there is one: a model that no remote
    holds cannot be deployed.
    """
    template = files("modelci") / "templates" / "init" / "modelci.yaml"
    artifacts = escape(", ".join(one.name for one in snapshot.artifacts))
    filled = {
        "@REMOTE@": str(has_remote).lower(),
        "@GATES@": "\n".join(propose_gates(snapshot)) or "gates: []",
        "@SAFETY@\n": _allowance(pickles),
        "@METRICS@": "\n".join(_undirected(snapshot)),
        "@ARTIFACTS@": artifacts or "none yet: add `artifacts:` to dvc.yaml",
    }
    # In one pass: a name that is filled in may look like another place to fill.
    return re.sub("|".join(filled), lambda found: filled[found[0]], template.read_text("utf-8"))


def propose_gates(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the lines of gates, one on each metric whose direction is known; () for no metrics.

    Each bounds the change, and the value: by what one such change may make of today's.
    """
    gates = [line for key in _gated(snapshot) for line in _gate(key, snapshot.metrics)]
    return ("gates:", *gates) if gates else ()


def propose_artifacts(snapshot: Snapshot, legacy: Sequence[Artifact] = ()) -> tuple[str, ...]:
    """Return lines for the dvc.yaml at the top; () where artifacts are declared, or none is found.

    ``legacy`` are those that an ``artifacts.yaml`` has, taken where DVC knows them still; else
    outputs that look like models are.
    """
    if snapshot.artifacts:
        return ()
    found = find_artifacts(snapshot, legacy)
    lines = [
        f"  {quote(one.name)}: {{path: {_text(one.path)}"
        + (f", type: {_text(one.type)}}}" if one.type else "}")
        for one in found
    ]
    return ("artifacts:", *lines) if lines else ()


def find_artifacts(snapshot: Snapshot, legacy: Sequence[Artifact] = ()) -> tuple[Artifact, ...]:
    """Return the artifacts that are declared, else those that could be.

    Of those that could be one is a model by type only where its format is one that is scanned: of
    another every report would say that it is not safe to load.
    """
    if snapshot.artifacts:
        return snapshot.artifacts
    outputs = _outputs(snapshot)
    kept = tuple(one for one in legacy if one.path in outputs)
    found = kept or tuple(_candidates(outputs.values()))
    return tuple(replace(one, type=one.type or _type_of(one.path)) for one in found)


def is_pickle_by_name(path: str) -> bool:
    """Whether a file's name says that it is a pickle."""
    return PurePosixPath(path).suffix.lower() in _PICKLES


def _type_of(path: str) -> str | None:
    return "model" if PurePosixPath(path).suffix.lower() in _SCANNED else None


def _allowance(pickles: Sequence[str]) -> str:
    """Return the lines that say how pickles are allowed; "" where there are none."""
    if not pickles:
        return ""
    names = ", ".join(map(quote, pickles))
    return (
        "# A pickle is a program: a report blocks a model that is one. Save it with skops, or have "
        "it read\n# through an allow-list of what scikit-learn's models hold:\n"
        f"# safety: {{allow_pickle: [{names}]}}\n\n"
    )


def source_of_metrics(snapshot: Snapshot) -> str:
    """Say what gives metrics to a project in which none can be read, and what verb it takes."""
    if any(NOT_CACHED in note for note in snapshot.notes):
        return "`dvc pull` brings"
    if any(NOT_COMPARED in note for note in snapshot.notes):
        return "a metrics file in JSON or YAML gives"
    return "`modelci run` makes" if snapshot.stages else "a stage with `metrics:` in dvc.yaml makes"


def legacy_artifacts(tree: FileTree) -> tuple[Artifact, ...]:
    """Return the artifacts that GTO's older ``artifacts.yaml`` gives a path; () without any."""
    try:
        parsed = parse_yaml(tree.read([LEGACY]).get(LEGACY, b""), LEGACY)
    except ConfigError:  # it is read by nobody any more
        return ()
    return tuple(
        Artifact(name=name, path=one["path"], type=_text_or_none(one.get("type")))
        for name, one in (parsed.items() if isinstance(parsed, Mapping) else ())
        if isinstance(name, str) and isinstance(one, Mapping) and _text_or_none(one.get("path"))
    )


def elsewhere(tree: FileTree) -> tuple[str, ...]:
    """Return the folders below the top that are DVC projects of their own, sorted."""
    ending = "/.dvc/config"
    return tuple(sorted(one.removesuffix(ending) for one in tree.paths() if one.endswith(ending)))


def way_to_one_project(folders: Sequence[str]) -> str:
    """Say how the DVC projects in ``folders`` become one at the top; () is for none at all."""
    if not folders:
        return "`dvc init`, then `modelci init`."
    where = [shlex.quote(f"{folder}/.dvc") for folder in folders]
    if len(where) == 1:
        return (
            f"`git mv {where[0]} .dvc`: dvc.yaml and .dvc files stay where they are; a relative "
            "path in .dvc/config counts from its new place."
        )
    return (
        "One project at the top holds them all: `dvc init` there, with their remotes in its "
        f".dvc/config; then `git rm -r {' '.join(where)}`. dvc.yaml and .dvc files stay."
    )


def quote(text: str) -> str:
    """Return ``text`` for YAML: quoted, unless every reader takes the bare word for text."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else _text(text)


def escape(text: str) -> str:
    """Spell out what YAML forbids to stand as it is."""
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)


def _text(text: str) -> str:
    return escape(json.dumps(text, ensure_ascii=False))


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _gated(snapshot: Snapshot) -> Sequence[MetricKey]:
    known = (
        key
        for key in sorted(snapshot.metrics, key=lambda key: (key.path.count("/"), key))
        if known_direction(key.name) is not Direction.UNKNOWN
    )
    by_name: dict[str, MetricKey] = {}
    for key in known:
        # A gate on what is no number today fails before anything changed.
        if _meant(key, snapshot.metrics):
            by_name.setdefault(key.name, key)
    # How well a model fits what it was trained on is no merit; better that than nothing.
    honest = [key for key in by_name.values() if not _OF_TRAINING.match(key.name)]
    return (honest or list(by_name.values()))[:_MAX_GATES]


def _meant(key: MetricKey, metrics: Mapping[MetricKey, MetricValue]) -> Sequence[float]:
    """Return today's values of all that a gate of this name judges; () if one is no number."""
    values = [value for one, value in metrics.items() if matches(key.name, one)]
    numbers = [value for value in values if isinstance(value, float)]
    return numbers if len(numbers) == len(values) else ()


def _gate(key: MetricKey, metrics: Mapping[MetricKey, MetricValue]) -> Sequence[str]:
    better, values = known_direction(key.name), _meant(key, metrics)
    today = min(values) if better is Direction.HIGHER else max(values)
    return [
        f"  - metric: {quote(key.name)}  # {better} is better",
        '    max_drop: "1%"',
        f"    {_bound(today, better)}  # {_written(today)} today",
    ]


def _bound(today: float, better: Direction) -> str:
    """Return what one allowed drop makes of today's value, rounded to the lenient side."""
    exact = Decimal(repr(today))
    slack = abs(exact) * _SLACK
    worst = exact - slack if better is Direction.HIGHER else exact + slack
    unit = Decimal(1).scaleb(worst.adjusted() - _DIGITS + 1)
    rounding = ROUND_FLOOR if better is Direction.HIGHER else ROUND_CEILING
    # By its units: a Decimal's own quantize refuses numbers of many digits.
    bound = float((worst / unit).to_integral_value(rounding) * unit)
    bound = max(-float_info.max, min(bound, float_info.max))
    whole = bound.is_integer() and abs(bound) < _HUGE
    return (
        f"{'min' if better is Direction.HIGHER else 'max'}: {int(bound) if whole else repr(bound)}"
    )


def _written(value: float) -> str:
    """Return a value with four digits, and all of them before the point: ``18,608``."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < _HUGE else f"{value:,.4g}"


def _undirected(snapshot: Snapshot) -> Sequence[str]:
    names = {key.name for key in snapshot.metrics}
    unknown = sorted(name for name in names if known_direction(name) is Direction.UNKNOWN)
    if not unknown:
        return ["#   my_score: higher", "#   my_cost: lower"]
    return [f"#   {quote(name)}: higher  # or lower" for name in unknown[:_MAX_UNKNOWN]]


def _outputs(snapshot: Snapshot) -> Mapping[str, TrackedFile]:
    """Return what DVC tracks, and what stages that never ran are to write, by path."""
    measured = {key.path for key in snapshot.metrics}
    planned = {out for stage in snapshot.stages for out in stage.outs} - measured
    made = {path: TrackedFile(path=path, kind=DataKind.DATA, hash=None) for path in planned}
    return {**made, **snapshot.tracked}


def _candidates(tracked: Iterable[TrackedFile]) -> Iterator[Artifact]:
    """Yield what looks like a model: by a word of its path, else by its suffix alone."""
    data = [one for one in tracked if one.kind in (DataKind.MODEL, DataKind.DATA)]
    called = [one for one in data if _CALLED.search(one.path)]
    likely = called or [one for one in data if one.kind is DataKind.MODEL]
    # What is beside a model in Git is its description as likely as not.
    found = [one for one in likely if not one.in_git] or likely
    taken: set[str] = set()
    for one in sorted(found, key=lambda one: (one.path.count("/"), one.path))[:_MAX_ARTIFACTS]:
        path = PurePosixPath(one.path)
        name = _name(path.stem)
        name = name if name not in taken else _name(path.as_posix())
        taken.add(name)
        yield Artifact(name=name, path=one.path)


def _name(text: str) -> str:
    """Return ``text`` as DVC allows an artifact to be named: lower case, digits and dashes."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain if plain and plain[0].isalpha() else f"model-{plain}".strip("-")
