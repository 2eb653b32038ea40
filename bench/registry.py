"""`modelci registry` beside `gto show`, over tags as promotions leave them."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.harness import Bench, BenchError, Case, Goal, Side

_FIELDS = (
    *("refname", "objecttype", "tag", "type", "object", "taggerdate:unix", "taggername"),
    *("taggeremail", "contents"),
)
_FLOOR = Side(
    name="for-each-ref + python",
    commands=(
        ("git", "for-each-ref", f"--format={'%00'.join(f'%({one})' for one in _FIELDS)}"),
        ("python", "-c", "pass"),
    ),
)
_OURS = Side(name="modelci registry", commands=(("modelci", "registry", "show"),))
_GTO = Side(name="gto show", commands=(("gto", "show"),))
_STAGES = ("dev", "staging", "prod")
_START = 1_700_000_000
_DVC_YAML = "artifacts:\n" + "".join(
    f"  model{number}:\n    path: models/{number}.skops\n    type: model\n" for number in range(10)
)


def registry_cases() -> Iterator[Case]:
    """Yield all tags beside gto and beside Git alone, and one artifact of few and of many."""
    for tags, times, most in ((100, 5, 9), (1_000, 50, 9), (10_000, 100, 3), (50_000, 100, 1)):
        yield Case(
            name=f"registry-{tags}",
            about=f"{tags:,} tags: every artifact's latest version and stages",
            sides=(_OURS, _GTO),
            goal=Goal(peer=_GTO.name, times_faster=times),
            build=partial(_build, tags=tags),
            check=_check_agreement,
            most_repeats=most,
        )
    for tags in (10_000, 50_000):
        yield Case(
            name=f"registry-{tags}-floor",
            about=f"{tags:,} tags beside what Git takes to list them, and Python to start",
            sides=(_OURS, _FLOOR),
            goal=Goal(peer=_FLOOR.name, times_faster=1 / 3),
            build=partial(_build, tags=tags),
        )
    one = ("registry", "show", "model7")
    few = Side(name="of 100 tags", commands=(("modelci", "-C", "few", *one),))
    yield Case(
        name="registry-one",
        about="the same artifact, of ten tags, among 50,000 tags and among 100",
        sides=(Side(name="of 50,000 tags", commands=(("modelci", "-C", "many", *one),)), few),
        goal=Goal(peer=few.name, seconds_more=0.010),
        build=_build_both,
    )


def _build(bench: Bench, tags: int) -> None:
    _write(bench, bench.repository, tags, artifacts=max(tags // 100, 1))


def _build_both(bench: Bench) -> None:
    for name, tags in (("few", 100), ("many", 50_000)):
        _write(bench, bench.repository / name, tags, artifacts=tags // 10)


def _write(bench: Bench, root: Path, tags: int, *, artifacts: int) -> None:
    """Register and assign in turn; every version is a commit of its own, packed as in a clone."""
    root.mkdir(exist_ok=True)
    stream = root / "stream"
    versions = -(-tags // 2 // artifacts)
    with stream.open("w", encoding="utf-8") as file:
        file.write(f"blob\nmark :1\ndata {len(_DVC_YAML)}\n{_DVC_YAML}\n")
        for number in range(versions):
            file.write(f"commit refs/heads/main\nmark :{number + 2}\n")
            file.write(f"committer A <a@b> {_START + number} +0000\ndata 1\nc\n")
            file.write("M 100644 :1 dvc.yaml\n\n")
        for number in range(tags):
            file.write(_tag(number, artifacts))
    git = ("git", "-C", str(root))
    bench.read("git", "init", "--quiet", "--initial-branch=main", str(root))
    bench.read("sh", "-c", 'git -C "$0" fast-import --quiet <"$0/stream"', str(root))
    stream.unlink()
    bench.read(*git, "reset", "--quiet", "--hard")
    bench.read(*git, "gc", "--quiet")


def _tag(number: int, artifacts: int) -> str:
    artifact, version = (number // 2) % artifacts, number // 2 // artifacts
    second = _START + 100_000 + number
    if number % 2:
        name = f"model{artifact}#{_STAGES[version % 3]}#{version + 1}"
        text = f"Assign {name}\n\nModelci-Path: models/{artifact}.skops\n"
    else:
        name = f"model{artifact}@v0.{version}.0"
        text = f"Register {name}\n\nModelci-Hash: md5:{number:032x}\nModelci-Metric: auc=0.9\n"
    who = f"tagger Ann Example <ann@example.com> {second} +0000"
    return f"tag {name}\nfrom :{version + 2}\n{who}\ndata {len(text)}\n{text}\n"


def _check_agreement(bench: Bench) -> None:
    """Refuse to compare the speed of different answers."""
    ours = json.loads(bench.read("modelci", "registry", "--json"))["artifacts"]
    theirs = json.loads(bench.read("gto", "show", "--json"))
    mine = {
        one["name"]: (
            one["latest"],
            {name: held["version"] for name, held in one["stages"].items()},
        )
        for one in ours
    }
    shown = {
        name: (entry["version"], {stage: one for stage, one in entry["stage"].items() if one})
        for name, entry in theirs.items()
    }
    if mine != shown:
        raise BenchError(f"modelci and gto differ, as in {sorted(mine.keys() ^ shown.keys())[:3]}")
