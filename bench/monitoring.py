"""``python -m bench.monitoring``: a window judged against a stored profile, and by others.

Ours, evidently's drift preset in an environment of its own, and pandas with scipy are asked in
turn, each in a fresh process, which of a window's twenty columns have drifted: all have to find
the same number. CPU time and memory are the whole process's, with what it imports. Then ``--many``
rows of twenty columns, one of them ids, are profiled and counted, to see that memory is bounded.
A goal that is missed is said so, and is no failure.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.serving import PEERS, BenchError, environment

FASTER, MOST_MB, MOST_MB_OF_MANY = 25, 400, 500
DRIFTED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What a process took: seconds of CPU and of the clock, MB at most; and its ``answer``."""

    cpu: float
    wall: float
    megabytes: float
    answer: int


def run(command: Sequence[str], folder: Path) -> Took:
    """Run a process to its end; BenchError where it fails."""
    start = time.perf_counter()
    with (
        (folder / "out").open("wb+") as out,
        (folder / "err").open("wb+") as err,
    ):
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        why = (folder / "err").read_text(encoding="utf-8")[-2000:]
        raise BenchError(f"{' '.join(command)} ended with {process.returncode}: {why}")
    said = (folder / "out").read_text(encoding="utf-8").splitlines()
    return Took(
        cpu=used.ru_utime + used.ru_stime,
        wall=wall,
        megabytes=used.ru_maxrss / 1024,
        answer=json.loads(said[-1])[0] if said else 0,
    )


def middle(times: Sequence[Took]) -> Took:
    """Return the run of median CPU time."""
    return sorted(times, key=lambda one: one.cpu)[(len(times) - 1) // 2]


def compare(folder: Path, asked: argparse.Namespace) -> Mapping[str, Took]:
    """Ask all sides, round after round; return the median run of each."""
    python = sys.executable
    ours = [python, str(PEERS / "modelci_drift.py")]
    run([*ours, "profile", "reference.parquet", "reference.json"], folder)
    sides = {"modelci": [*ours, "window", "reference.json", "window-0.parquet"]}
    if not asked.alone:
        sides["pandas and scipy"] = [python, str(PEERS / "pandas_drift.py"), "."]
        try:
            evidently = str(environment(asked.peers, "evidently") / "python")
            sides["evidently"] = [evidently, "-W", "ignore", str(PEERS / "evidently_drift.py"), "."]
        except BenchError as error:
            print(f"evidently is left out: {error}", file=sys.stderr)
    found: dict[str, list[Took]] = {name: [] for name in sides}
    for _ in range(asked.rounds):
        for name, command in sides.items():
            found[name].append(run(command, folder))
            if found[name][-1].answer != DRIFTED:
                raise BenchError(f"{name} found {found[name][-1].answer} columns, not {DRIFTED}")
    return {name: middle(times) for name, times in found.items()}


def show(sides: Mapping[str, Took]) -> None:
    """Print a line for each side, with how much more it takes than ours."""
    ours = sides["modelci"]
    print(f"\n{'':20}{'CPU s':>9}{'wall s':>9}{'MB':>8}{'CPU, ours is 1':>17}")
    for name, took in sides.items():
        ratio = took.cpu / ours.cpu
        print(f"{name:20}{took.cpu:9.2f}{took.wall:9.2f}{took.megabytes:8.0f}{ratio:17.1f}")
    if "evidently" in sides:
        ratio = sides["evidently"].cpu / ours.cpu
        judge(f"{FASTER} times less CPU than evidently", f"{ratio:.1f}", met=ratio >= FASTER)
    memory = ours.megabytes
    judge(f"less than {MOST_MB} MB", f"{memory:.0f}", met=memory < MOST_MB)


def judge(goal: str, value: str, *, met: bool) -> None:
    """Say whether a goal was reached."""
    print(f"{'reached' if met else 'MISSED'}: {goal}: {value}")


def show_many(folder: Path, many: int) -> None:
    """Profile and count the large file, and say what that took."""
    ours = [sys.executable, str(PEERS / "modelci_drift.py")]
    print(f"\n{many:,} rows × 20")
    for name, command in (
        ("profile", [*ours, "profile", "many.parquet", "many.json", "id"]),
        ("window", [*ours, "window", "many.json", "many.parquet"]),
    ):
        took = run(command, folder)
        print(f"{name:20}{took.cpu:9.2f}{took.wall:9.2f}{took.megabytes:8.0f}")
        judge(
            f"less than {MOST_MB_OF_MANY} MB",
            f"{took.megabytes:.0f}",
            met=took.megabytes < MOST_MB_OF_MANY,
        )
        if name == "profile":
            print(f"  duplicate ids: {took.answer:,}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.monitoring", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of a window")
    parser.add_argument("--many", type=int, default=20_000_000, help="of the large file; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="ask nobody else")
    parser.add_argument("--peers", type=Path, default=Path(".bench"))
    asked = parser.parse_args()
    asked.peers = asked.peers.resolve()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory(prefix="modelci-bench-") as place:
        folder = Path(place)
        data = [str(PEERS / "monitoring_data.py"), place, str(asked.rows), str(asked.many)]
        subprocess.run([sys.executable, *data], check=True)
        show(compare(folder, asked))
        if asked.many:
            show_many(folder, asked.many)


if __name__ == "__main__":
    main()
