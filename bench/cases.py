"""What is measured: our commands beside what people run today."""

import json
from functools import partial
from typing import Any

from bench.chain import chain_cases, history_case
from bench.cluster import cluster_case
from bench.engine import engine_cases
from bench.evidence_speed import evidence_case
from bench.harness import Bench, BenchError, Case, Goal, Side
from bench.registry import registry_cases
from bench.repositories import build_leaves, build_many

_REVISIONS = ("HEAD~1", "HEAD")
_FLOOR = Side(name="import click", commands=(("python", "-c", "import click"),))
_DVC_VERSION = Side(name="dvc --version", commands=(("dvc", "--version"),))
_OURS = Side(
    name="modelci report", commands=(("modelci", "report", *_REVISIONS, "--format", "md"),)
)
_THEIRS = Side(
    name="dvc diffs",
    commands=(
        ("dvc", "metrics", "diff", "--md", *_REVISIONS),
        ("dvc", "params", "diff", "--md", *_REVISIONS),
        ("dvc", "diff", "--md", *_REVISIONS),
    ),
)


def all_cases() -> tuple[Case, ...]:
    """Return every case, the quick ones first."""
    return (
        *(_start_up(option) for option in ("help", "version")),
        *(_report_many(files) for files in (10, 100, 1_000)),
        _report_leaves("report-100k-leaves", changed=1_000),
        _report_leaves("report-100k-changes", changed=100_000),
        *chain_cases(),
        history_case(),
        evidence_case(),
        *registry_cases(),
        cluster_case(),
        *engine_cases(),
    )


def _start_up(option: str) -> Case:
    command = ("modelci", f"--{option}")
    return Case(
        name=option,
        about=f"`modelci --{option}` beside bare Python with click, and `dvc --version`",
        sides=(Side(name=" ".join(command), commands=(command,)), _FLOOR, _DVC_VERSION),
        goal=Goal(peer=_FLOOR.name, seconds_more=0.060),
    )


def _report_many(files: int) -> Case:
    return Case(
        name=f"report-{files}-files",
        about=f"a foreach stage with {files:,} metrics files of five values, all changed",
        sides=(_OURS, _THEIRS),
        goal=Goal(peer=_THEIRS.name, times_faster=5),
        build=partial(build_many, files=files),
        check=_check_agreement,
    )


def _report_leaves(name: str, *, changed: int) -> Case:
    return Case(
        name=name,
        about=f"one JSON metrics file of 100,000 leaves, {changed:,} changed",
        sides=(_OURS, _THEIRS),
        goal=Goal(peer=_THEIRS.name, times_faster=5),
        build=partial(build_leaves, leaves=100_000, changed=changed),
        check=_check_agreement,
    )


def _check_agreement(bench: Bench) -> None:
    """Refuse to compare the speed of different answers."""
    report = json.loads(bench.read("modelci", "report", *_REVISIONS, "--format", "json"))
    stale = [note for note in report["notes"] if "out of date" in note]
    if stale:
        raise BenchError(f"The generated repository is not as DVC would leave it: {stale[0]}")
    for what in ("metrics", "params"):
        ours = _values(report[what])
        theirs = _diffed(json.loads(bench.read("dvc", what, "diff", "--json", *_REVISIONS)))
        if ours != theirs:
            odd = sorted(ours.items() ^ theirs.items())[:3]
            raise BenchError(f"The {what} of modelci and DVC differ, as in {odd}")
    data = {entry["path"] for entry in report["data"] if not entry["head"]["in_git"]}
    diff = json.loads(bench.read("dvc", "diff", "--json", *_REVISIONS))
    modified = {entry["path"] for entry in diff["modified"]}
    if data != modified:
        raise BenchError(f"Tracked data differ, as in {sorted(data ^ modified)[:3]}")


def _values(rows: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[Any, Any]]:
    return {
        (row["key"]["path"], row["key"]["name"]): (row["base"], row["head"])
        for row in rows
        if row["base"] != row["head"]
    }


def _diffed(diff: dict[str, dict[str, Any]]) -> dict[tuple[str, str], tuple[Any, Any]]:
    return {
        (path, name): (change["old"], change["new"])
        for path, changes in diff.items()
        for name, change in changes.items()
    }
