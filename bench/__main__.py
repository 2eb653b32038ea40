"""``python -m bench``: measure, print tables, fail only if something does not work."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.cases import all_cases
from bench.harness import Bench, BenchError, Case, Measured, Result


def main() -> int:
    """Run the cases asked for; a missed goal is told, and is no failure."""
    cases = {case.name: case for case in all_cases()}
    asked = _parse(cases)
    machine = _machine()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"{asked.repeats} repeats after one to warm up, sides in turn, median (least–most)\n")
    results = []
    for name in asked.only or cases:
        try:
            result = _measure(cases[name], asked.repeats, asked.bin)
        except BenchError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        results.append(result)
        print("\n".join(_table(result)), flush=True)
    if asked.json:
        text = json.dumps(_document(machine, asked.repeats, results), indent=2)
        asked.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _parse(cases: Mapping[str, Case]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each side")
    parser.add_argument("--only", action="append", choices=list(cases), help="may be repeated")
    here = Path(sys.executable).parent
    about = "whose commands to measure (default: this environment's)"
    parser.add_argument("--bin", type=Path, default=here, metavar="DIR", help=about)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run's figures")
    asked = parser.parse_args()
    if asked.repeats < 1:
        parser.error("--repeats must be at least 1")
    return asked


def _measure(case: Case, repeats: int, commands: Path) -> Result:
    with tempfile.TemporaryDirectory(prefix="modelci-bench-") as scratch:
        home, repository = Path(scratch, "home"), Path(scratch, "repository")
        home.mkdir()
        repository.mkdir()
        bench = Bench(repository=repository, environment=_environment(home, commands))
        return bench.measure(case, repeats)


def _environment(home: Path, commands: Path) -> dict[str, str]:
    """Return all that the commands see: these tools, no one's settings."""
    who = {"NAME": "Bench", "EMAIL": "bench@localhost", "DATE": "2026-01-01T00:00:00+00:00"}
    return {
        "PATH": f"{commands.absolute()}{os.pathsep}{os.defpath}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_AUTHOR_{field}": value for field, value in who.items()},
        **{f"GIT_COMMITTER_{field}": value for field, value in who.items()},
    }


def _machine() -> dict[str, str]:
    return {
        "CPUs": str(os.cpu_count()),
        "Python": platform.python_version(),
        **{name: version(name) for name in ("modelci", "dvc", "click")},
        "git": subprocess.check_output(["git", "--version"], text=True).split()[2],
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def _table(result: Result) -> Iterator[str]:
    case, ours = result.case, result.sides[0]
    goal = "met" if result.is_goal_met else "MISSED"
    yield f"{case.name}: {case.about}"
    yield f"  goal: {case.goal}: {goal}; load {result.load[0]:.1f} to {result.load[1]:.1f}"
    yield f"  {'':16}{'wall s':>24}{'CPU s':>24}{'peak MB':>9}{'× wall':>8}{'× CPU':>8}"
    for side in result.sides:
        shares = (_ratio(side.wall, ours.wall), _ratio(side.cpu, ours.cpu))
        ratios = "".join(f"{share:8.1f}" for share in shares) if side is not ours else ""
        yield (
            f"  {side.side.name:16}{_spread(side.wall):>24}{_spread(side.cpu):>24}"
            f"{side.peak / 1e6:9.0f}{ratios}"
        )
        if len(side.side.commands) > 1:
            parts = [f"{' '.join(cmd)} {wall:.2f}" for cmd, wall in side.by_command()]
            yield f"    of which {'; '.join(parts)}"
    yield ""


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def _ratio(values: Sequence[float], ours: Sequence[float]) -> float:
    return statistics.median(values) / statistics.median(ours)


def _document(
    machine: Mapping[str, str], repeats: int, results: Sequence[Result]
) -> dict[str, Any]:
    return {
        "schema": "modelci.bench/1",
        "machine": machine,
        "repeats": repeats,
        "cases": [
            {
                "name": result.case.name,
                "about": result.case.about,
                "goal": str(result.case.goal),
                "goal_met": result.is_goal_met,
                "load": result.load,
                "sides": [_side(side, result.sides[0]) for side in result.sides],
            }
            for result in results
        ],
    }


def _side(side: Measured, ours: Measured) -> dict[str, Any]:
    return {
        "name": side.side.name,
        "commands": [list(command) for command in side.side.commands],
        "wall_seconds": side.wall,
        "cpu_seconds": side.cpu,
        "peak_bytes": side.peak,
        "median_wall_seconds": statistics.median(side.wall),
        "median_cpu_seconds": statistics.median(side.cpu),
        "wall_ratio": _ratio(side.wall, ours.wall),
        "cpu_ratio": _ratio(side.cpu, ours.cpu),
        "command_wall_seconds": [wall for _, wall in side.by_command()],
    }


if __name__ == "__main__":
    sys.exit(main())
