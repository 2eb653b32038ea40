"""Writes DVC repositories of any size as DVC would have left them, without running a stage."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.harness import Bench

_SCRIPT = "# Stands for the stages' code; nothing here is ever run.\n"
_SETTINGS = "[core]\n    analytics = false\n    check_update = false\n"
_GATES = "gates:\n  - metric: roc_auc\n    min: 0.5\n    max_drop: 0.2\n    severity: warn\n"
_PARAMS = 20


def build_many(bench: "Bench", files: int, *, commits: int = 2) -> None:
    """Make a foreach stage with ``files`` metrics files of five values; all of them change."""
    keys = [f"m{number:04}" for number in range(files)]
    _start(bench, _many_stages(keys))
    for step in range(commits):
        metrics = {f"metrics/{key}.json": _few_metrics(n, step) for n, key in enumerate(keys)}
        _commit(bench, step, keys, metrics)
    _pack(bench)


def add_plot(bench: "Bench") -> None:
    """Add a plot of 200 points to the last commit, and other points to the one before."""
    root = bench.repository
    with (root / "dvc.yaml").open("a") as file:
        file.write("plots:\n- roc.csv:\n    x: fpr\n    y: tpr\n")
    for step in (0, 1):
        points = ((place / 199, (place / 199) ** (0.3 + 0.02 * step)) for place in range(200))
        rows = "".join(f"{x:.4f},{y:.4f}\n" for x, y in points)
        (root / "roc.csv").write_text(f"fpr,tpr\n{rows}")
        (root / "params.yaml").write_text(f"evaluate:\n  p00: {step}\n  p10: 10\n")
        bench.read("git", "add", "--all")
        bench.read("git", "commit", "--quiet", "-m", f"Plot {step}")
    _pack(bench)


def build_leaves(bench: "Bench", *, leaves: int, changed: int) -> None:
    """Make one stage with one metrics file of many leaves, ``changed`` of which change."""
    _start(bench, _one_stage())
    for step in (0, 1):
        tree: dict[str, dict[str, float]] = {}
        for number in range(leaves):
            moved = 0.001 if step and number < changed else 0.0
            value = round(number % 997 / 1000 + moved, 6)
            tree.setdefault(f"slice{number // 100:04}", {})[f"metric{number % 100:02}"] = value
        _commit(bench, step, ["all"], {"metrics/all.json": tree})
    _pack(bench)


def build_history(bench: "Bench", *, leaves: int, commits: int) -> None:
    """Make one stage with one metrics file of many leaves, all of which change in each commit."""
    _start(bench, _one_stage())
    for step in range(commits):
        tree: dict[str, dict[str, float]] = {}
        for number in range(leaves):
            value = round(number % 997 / 1000 + step * 0.001, 6)
            tree.setdefault(f"slice{number // 100:04}", {})[f"metric{number % 100:02}"] = value
        _commit(bench, step, ["all"], {"metrics/all.json": tree})
    _pack(bench)


def _start(bench: "Bench", pipeline: str) -> None:
    root = bench.repository
    for folder in ("metrics", "predictions", ".dvc"):
        (root / folder).mkdir(parents=True)
    (root / ".dvc/config").write_text(_SETTINGS)
    (root / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (root / "predictions/.gitignore").write_text("*.csv\n")
    (root / "evaluate.py").write_text(_SCRIPT)
    (root / "modelci.yaml").write_text(_GATES)
    (root / "dvc.yaml").write_text(pipeline)
    bench.read("git", "init", "--quiet", "--initial-branch=main", ".")


def _commit(bench: "Bench", step: int, keys: list[str], metrics: Mapping[str, object]) -> None:
    root = bench.repository
    params = {f"p{number:02}": number + step * (number < 3) for number in range(_PARAMS)}
    lines = [f"  {name}: {value}\n" for name, value in params.items()]
    (root / "params.yaml").write_text("".join(["evaluate:\n", *lines]))
    for path, content in metrics.items():
        (root / path).write_text(json.dumps(content, indent=1) + "\n")
    for key in keys:
        rows = "".join(f"{row},{(row + step) % 7 / 7:.3f}\n" for row in range(20))
        _cache(root, f"predictions/{key}.csv", f"id,score of {key}\n{rows}")
    (root / "dvc.lock").write_text("".join(_lock(root, keys, params)))
    bench.read("git", "add", "--all")
    bench.read("git", "commit", "--quiet", "-m", f"Step {step}")


def _pack(bench: "Bench") -> None:
    """Leave Git's objects as a fresh clone has them, which is what CI works on."""
    bench.read("git", "gc", "--quiet")


def _many_stages(keys: list[str]) -> str:
    items = "".join(f"    - {key}\n" for key in keys)
    return f"stages:\n  evaluate:\n    foreach:\n{items}    do:\n" + _stage("      ", "${item}")


def _one_stage() -> str:
    return "stages:\n  evaluate:\n" + _stage("    ", "all")


def _stage(indent: str, key: str) -> str:
    lines = (
        f"cmd: python evaluate.py {key}",
        *("deps:", "- evaluate.py", "params:", "- evaluate.p00", "- evaluate.p10"),
        *("outs:", f"- predictions/{key}.csv"),
        *("metrics:", f"- metrics/{key}.json:", "    cache: false"),
    )
    return "".join(f"{indent}{line}\n" for line in lines)


def _few_metrics(number: int, step: int) -> dict[str, Any]:
    base = 0.7 + number % 100 / 1000 + step * 0.003
    return {
        "roc_auc": round(base, 6),
        "log_loss": round(1 - base, 6),
        "test": {
            "f1": round(base - 0.1, 6),
            "precision": round(base - 0.05, 6),
            "recall": round(base - 0.15, 6),
        },
    }


def _cache(root: Path, path: str, text: str) -> None:
    """Write an output, and keep it in the cache."""
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    kept = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(text)
    (root / path).write_text(text)


def _lock(root: Path, keys: list[str], params: Mapping[str, int]) -> Iterator[str]:
    many = keys != ["all"]
    code = _entry(root, "evaluate.py")
    used = "".join(f"        evaluate.{name}: {params[name]}\n" for name in ("p00", "p10"))
    yield "schema: '2.0'\nstages:\n"
    for key in keys:
        yield f"  {f'evaluate@{key}' if many else 'evaluate'}:\n    cmd: python evaluate.py {key}\n"
        yield f"    deps:\n{code}    params:\n      params.yaml:\n{used}    outs:\n"
        yield _entry(root, f"metrics/{key}.json") + _entry(root, f"predictions/{key}.csv")


def _entry(root: Path, path: str) -> str:
    data = (root / path).read_bytes()
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return f"    - path: {path}\n      hash: md5\n      md5: {digest}\n      size: {len(data)}\n"
