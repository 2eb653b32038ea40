"""The run engine beside ``dvc repro``, each in a repository where both find the same to do."""

from functools import partial
from pathlib import Path

from bench.harness import Bench, Case, Goal, Side

_FORGET = "rm -rf .dvc/cache dvc.lock out/*"
_CHANGE = "date +last:\\ %s%N > last.yaml"


def engine_cases() -> tuple[Case, ...]:
    """Return every case of the engine, the quick ones first."""
    return (
        *(_nothing(stages, times) for stages, times in ((10, 1.0), (100, 1.0), (1_000, 3.0))),
        _sleeping(),
        _spinning(),
        _changed(),
        _cold(100),
    )


def _nothing(stages: int, times: float) -> Case:
    return Case(
        name=f"run-nothing-{stages}",
        about=f"a chain of {stages:,} stages, nothing to do",
        sides=_sides(""),
        goal=Goal(peer="dvc repro", times_faster=times),
        build=partial(_build, stages=stages, chain=True, run=True),
    )


def _sleeping() -> Case:
    return Case(
        name="run-sleep-8",
        about="8 × `sleep 1`, then a join",
        sides=_sides(_FORGET, jobs=8),
        goal=Goal(peer="dvc repro", times_faster=4),
        build=partial(_build, stages=8, command="sleep 1; "),
    )


def _spinning() -> Case:
    return Case(
        name="run-spin-16",
        about="16 stages of 2 CPU seconds; the floor is their sum by the cores",
        sides=_sides(_FORGET),
        goal=Goal(peer="dvc repro", times_faster=1.5),
        build=partial(_build, stages=16, command="python spin.py; "),
    )


def _changed() -> Case:
    return Case(
        name="run-changed-1000",
        about="a chain of 1,000 stages, a parameter of the last one changed",
        sides=_sides(_CHANGE),
        goal=Goal(peer="dvc repro", times_faster=3),
        build=partial(_build, stages=1_000, chain=True, run=True),
    )


def _cold(stages: int) -> Case:
    return Case(
        name=f"run-cold-{stages}",
        about=f"{stages:,} trivial stages that have never run, -j 2",
        sides=_sides(_FORGET, jobs=2),
        goal=Goal(peer="dvc repro", times_faster=5),
        build=partial(_build, stages=stages),
    )


def _sides(before: str, *, jobs: int | None = None) -> tuple[Side, Side]:
    ours = f"modelci run -j {jobs}" if jobs else "modelci run"
    prefix = f"{before}; " if before else ""
    return (
        Side(name="modelci run", commands=(("sh", "-c", f"{prefix}{ours}"),)),
        Side(name="dvc repro", commands=(("sh", "-c", f"{prefix}dvc repro --quiet"),)),
    )


def _build(
    bench: Bench, *, stages: int, chain: bool = False, command: str = "", run: bool = False
) -> None:
    """Make a pipeline of one chain, or of stages side by side and a join."""
    root = bench.repository
    bench.read("git", "init", "--quiet", ".")
    bench.read("dvc", "init", "--quiet")
    (root / "out").mkdir()
    (root / "seed.txt").write_text("1\n")
    (root / "last.yaml").write_text("last: 0\n")
    (root / "spin.py").write_text(
        "import time\nwhile time.process_time() < 2:\n    sum(range(10_000))\n"
    )
    _write(root / "dvc.yaml", stages, chain=chain, command=command)
    bench.read("git", "add", "--all")
    bench.read("git", "commit", "--quiet", "-m", "Pipeline")
    if run:
        bench.read("modelci", "run")


def _write(path: Path, stages: int, *, chain: bool, command: str) -> None:
    names = [f"out/{number:04}" for number in range(stages)]
    lines = ["stages:"]
    for number, name in enumerate(names):
        dep = names[number - 1] if chain and number else "seed.txt"
        lines += [f"  s{number:04}:", f"    cmd: {command}echo {number} > {name}"]
        lines += [f"    deps: [{dep}]", f"    outs: [{name}]"]
    if chain:
        lines += ["    params: [last.yaml: [last]]"]
    else:
        lines += ["  join:", "    cmd: cat out/0* > out/all", f"    deps: [{', '.join(names)}]"]
        lines += ["    outs: [out/all]"]
    path.write_text("\n".join([*lines, ""]))
