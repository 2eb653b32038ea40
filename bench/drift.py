"""``python -m bench.drift``: how often a watch cries wolf, and how often it sees what there is.

Twenty columns of many shapes make a world whose distributions are known. References are drawn and
profiled as a user's are. A window is then drawn as counts between the reference's edges, by the
true probabilities: that is the same as drawing its rows and counting them, at the same cost for a
hundred rows as for a million. ``--evidently`` draws rows, and asks evidently in an environment of
its own. A second table is of outcomes: realised measures, their intervals, and estimates. Seeds are
fixed.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench.serving import environment
from numpy.typing import NDArray
from scipy import stats

from modelci.analysis.drift import adjust_together, compare
from modelci.analysis.outcomes import calibrate, estimate, realise
from modelci.analysis.profile import build
from modelci.domain.gates import GateResult, Outcome, Threshold
from modelci.domain.invariants import judge_schema
from modelci.domain.monitoring import ColumnDrift, Correction, Performance
from modelci.domain.profile import ColumnProfile, Profile
from modelci.domain.watching import (
    DriftRules,
    Known,
    PerformanceRule,
    judge_drift,
    judge_performance,
)

Floats = NDArray[np.float64]

SIZES = (100, 300, 1_000, 10_000, 100_000, 1_000_000)
REFERENCE = 20_000
REFERENCES = 25
TRUTHS = (
    "nothing changed",
    "0.02 sd in all numbers",
    "0.5 sd in one number",
    "15 points from one value to another",
    "a new value, 5 %",
    "10 points more missing",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Number:
    """A column of numbers; ``zeros`` and ``missing`` are shares of its rows."""

    name: str
    shape: Any
    zeros: float = 0.0
    missing: float = 0.0
    shift: float = 0.0

    @property
    def is_smooth(self) -> bool:
        """Whether a shift by a part of its standard deviation means anything."""
        return hasattr(self.shape.dist, "pdf")

    def moved(self, sd: float) -> "Number":
        """Return it ``sd`` standard deviations further to the right."""
        return replace(self, shift=sd * float(self.shape.std()))

    def draw(self, rng: np.random.Generator, rows: int) -> pa.Array:
        """Draw its rows."""
        values = np.asarray(self.shape.rvs(rows, random_state=rng), dtype=np.float64)
        values = np.where(rng.random(rows) < self.zeros, 0.0, values) + self.shift
        return pa.array(values, mask=rng.random(rows) < self.missing)

    def count(self, rng: np.random.Generator, rows: int, reference: ColumnProfile) -> ColumnProfile:
        """Draw a window's counts between the reference's edges."""
        number = reference.number
        if number is None:
            raise ValueError(f"{self.name} was not profiled as a number")
        edges = np.asarray(number.edges)
        until = self._below(np.append(edges[:-1], np.nextafter(edges[-1], np.inf)))
        inside = np.diff(until, prepend=0.0, append=1.0) * (1 - self.missing)
        drawn = rng.multinomial(rows, np.append(np.maximum(inside, 0), self.missing))
        below, *counts, above, missing = drawn.tolist()
        found = replace(number, counts=tuple(counts), below=below, above=above, mean=None, std=None)
        return replace(reference, rows=rows, missing=missing, number=found)

    def _below(self, places: Floats) -> Floats:
        """Return the share of its values that is less than each of ``places``."""
        left = np.nextafter(places - self.shift, -np.inf)
        share = (1 - self.zeros) * self.shape.cdf(left) + self.zeros * (left >= 0)
        return np.asarray(share, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Category:
    """A column of values with their shares."""

    name: str
    shares: Mapping[str, float]
    missing: float = 0.0

    def draw(self, rng: np.random.Generator, rows: int) -> pa.Array:
        """Draw its rows."""
        values = rng.choice(list(self.shares), rows, p=list(self.shares.values()))
        return pa.array(values, mask=rng.random(rows) < self.missing)

    def count(self, rng: np.random.Generator, rows: int, reference: ColumnProfile) -> ColumnProfile:
        """Draw a window's counts of the reference's values, and of others by name."""
        known = reference.category
        if known is None:
            raise ValueError(f"{self.name} was not profiled as a category")
        names = [*known.values, *(one for one in self.shares if one not in set(known.values))]
        shares = np.array([self.shares[name] for name in names]) * (1 - self.missing)
        *counts, missing = rng.multinomial(rows, np.append(shares, self.missing)).tolist()
        found = replace(known, values=tuple(names), counts=tuple(counts), other=0)
        return replace(reference, rows=rows, missing=missing, category=found)


Column = Number | Category


def world() -> tuple[Column, ...]:
    """Return twenty columns as data has them."""
    shapes = {
        "normal": stats.norm(),
        "wide normal": stats.norm(1e6, 1e3),
        "lognormal": stats.lognorm(1.0),
        "exponential": stats.expon(),
        "gamma": stats.gamma(2.0),
        "uniform": stats.uniform(),
        "student": stats.t(3),
        "beta": stats.beta(2, 5),
        "counts": stats.poisson(3),
        "age": stats.randint(18, 81),
        "flag": stats.binom(1, 0.2),
    }
    return (
        *(Number(name=name, shape=shape) for name, shape in shapes.items()),
        Number(name="half zero", shape=stats.lognorm(1.0), zeros=0.5),
        Number(name="one in ten missing", shape=stats.norm(), missing=0.1),
        Number(name="mostly missing", shape=stats.norm(), missing=0.9),
        Category(name="two values", shares={"a": 0.7, "b": 0.3}),
        Category(name="rare yes", shares={"no": 0.99, "yes": 0.01}),
        *(_zipf(kinds) for kinds in (5, 12, 50, 300)),
    )


def _zipf(kinds: int) -> Category:
    weights = 1 / np.arange(1, kinds + 1)
    names = (f"v{place}" for place in range(kinds))
    return Category(
        name=f"{kinds} values",
        shares=dict(zip(names, (weights / weights.sum()).tolist(), strict=True)),
        missing=0.02,
    )


def change(columns: Sequence[Column], truth: str, rng: np.random.Generator) -> tuple[Column, ...]:
    """Return the world after what ``truth`` says, in a column chosen by chance."""
    smooth = [one for one in columns if isinstance(one, Number) and one.is_smooth]
    # Nine in ten rows of one column have no value that could shift.
    smooth = [one for one in smooth if one.missing < 0.5 and one.zeros < 0.5]
    categories = [one for one in columns if isinstance(one, Category) and len(one.shares) > 2]
    if truth == "0.02 sd in all numbers":
        return tuple(one.moved(0.02) if one in smooth else one for one in columns)
    if truth == "0.5 sd in one number":
        old: Column = smooth[int(rng.integers(len(smooth)))]
        new: Column = old.moved(0.5) if isinstance(old, Number) else old
    elif truth == "10 points more missing":
        old = columns[int(rng.integers(len(columns)))]
        while old.missing > 0.5:
            old = columns[int(rng.integers(len(columns)))]
        new = replace(old, missing=old.missing + 0.1)
    elif truth == "nothing changed":
        return tuple(columns)
    else:
        old = category = categories[int(rng.integers(len(categories)))]
        new = _with_new(category) if "new" in truth else _moved(category, 0.15)
    return tuple(new if one is old else one for one in columns)


def _with_new(column: Category) -> Category:
    shares = {name: 0.95 * share for name, share in column.shares.items()}
    return replace(column, shares={**shares, "never seen": 0.05})


def _moved(column: Category, points: float) -> Category:
    """Give some of the most frequent value's share to the third."""
    shares = dict(column.shares)
    first, _, third, *_ = shares
    points = min(points, shares[first])
    return replace(
        column, shares={**shares, first: shares[first] - points, third: shares[third] + points}
    )


def table(columns: Sequence[Column], rows: int, rng: np.random.Generator) -> pa.Table:
    """Draw rows of all columns."""
    return pa.table({one.name: one.draw(rng, rows) for one in columns})


RULES = DriftRules(min_rows=0)
ALARMS = frozenset({Outcome.WARNED, Outcome.FAILED})


def ask_rules(reference: Profile, window: Profile) -> Mapping[str, bool]:
    """Say of each rule whether it raises any alarm; ours is the product's own."""
    raw = compare(reference, window, correction=Correction.NONE)
    drift = adjust_together(raw.columns, Correction.HOLM)
    return {
        "PSI ≥ 0.1": any((one.psi or 0.0) >= 0.1 for one in drift),
        "p < .05, each alone": _any_below(raw.columns, 0.05),
        "Holm's p < .01": _any_below(drift, 0.01),
        "modelci, drift": _is_alarm(judge_drift(drift, RULES, rows=window.rows)),
        "modelci, schema": _is_alarm(judge_schema(reference, window)),
    }


def _any_below(columns: Iterable[ColumnDrift], alpha: float) -> bool:
    return any(one.p_value is not None and one.p_value < alpha for one in columns)


def _is_alarm(results: Iterable[GateResult]) -> bool:
    return any(one.outcome in ALARMS for one in results)


def simulate(
    columns: Sequence[Column],
    references: Sequence[Profile],
    truth: str,
    rows: int,
    asked: argparse.Namespace,
) -> Mapping[str, float]:
    """Return the share of windows in which each rule raised any alarm."""
    rng = np.random.default_rng([asked.seed, rows, TRUTHS.index(truth)])
    counts: Counter[str] = Counter()
    replicates = asked.replicates if truth == TRUTHS[0] else max(1, asked.replicates // 4)
    for place in range(replicates):
        reference = references[place % len(references)]
        now = zip(change(columns, truth, rng), reference.columns, strict=True)
        window = Profile(rows=rows, columns=tuple(one.count(rng, rows, was) for one, was in now))
        counts.update(name for name, alarm in ask_rules(reference, window).items() if alarm)
    first = ask_rules(references[0], replace(references[0]))
    return {name: counts[name] / replicates for name in first}


def simulate_evidently(
    columns: Sequence[Column], truth: str, rows: int, asked: argparse.Namespace, python: Path
) -> float:
    """Return the share of windows in which evidently's drift preset finds any drifted column."""
    rng = np.random.default_rng([asked.seed, rows, TRUTHS.index(truth), 1])
    with tempfile.TemporaryDirectory(prefix="modelci-bench-") as folder:
        pq.write_table(table(columns, REFERENCE, rng), Path(folder, "reference.parquet"))
        for place in range(asked.evidently):
            window = table(change(columns, truth, rng), rows, rng)
            pq.write_table(window, Path(folder, f"window-{place}.parquet"))
        script = Path(__file__).with_name("peers") / "evidently_drift.py"
        command = [str(python), "-W", "ignore", str(script), folder]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(np.mean([count > 0 for count in json.loads(answer.splitlines()[-1])]))


# Outcomes.


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """Scores are Beta(``a``, ``b``); of a row with score s a share ``blur``·mean + (1 - blur)·s."""

    name: str
    a: float = 2.0
    b: float = 4.0
    blur: float = 0.0

    def draw(self, rng: np.random.Generator, rows: int) -> tuple[Floats, NDArray[np.int8]]:
        """Draw scores and what comes of them."""
        scores = rng.beta(self.a, self.b, rows)
        rates = self.blur * scores.mean() + (1 - self.blur) * scores
        return scores, (rng.random(rows) < rates).astype(np.int8)


ERAS = (
    Era(name="nothing changed"),
    Era(name="other rows come", a=3.0, b=3.0),
    Era(name="scores mean less", blur=0.6),
)
LABELLED = (300, 1_000, 10_000)
MEASURES = ("roc_auc", "brier", "f1")
ALLOWED = 0.03
TESTED = 5_000


def simulate_outcomes(era: Era, rows: int, asked: argparse.Namespace) -> Mapping[str, float]:
    """Return how often intervals hold the truth, and how often a drop of AUC is an alarm."""
    rng = np.random.default_rng([asked.seed, rows, ERAS.index(era), 2])
    truth = realise(MEASURES, *era.draw(rng, 1_000_000))
    counts: Counter[str] = Counter()
    for _ in range(asked.outcomes):
        scores, labels = ERAS[0].draw(rng, TESTED)
        before, fitted = realise(MEASURES, scores, labels), calibrate(scores, labels)
        scores, labels = era.draw(rng, rows)
        now, guessed = realise(MEASURES, scores, labels), estimate(MEASURES, scores, fitted)
        for measure, one in now.items():
            counts[f"{measure} in its interval"] += one.low <= truth[measure].value <= one.high
            guess = guessed[measure]
            counts[f"{measure} in CBPE's interval"] += guess.low <= one.value <= guess.high
        known = Performance(measure="roc_auc", reference=before["roc_auc"], realised=now["roc_auc"])
        unknown = replace(known, realised=None, estimated=guessed["roc_auc"])
        rule = {"roc_auc": PerformanceRule(max_drop=Threshold(value=ALLOWED))}
        for name, watched in (("labels", known), ("CBPE", unknown)):
            results = judge_performance([watched], rule, known=Known(rows=rows), min_rows=0)
            counts[f"alarm, by {name}"] += _is_alarm(results)
    return {name: count / asked.outcomes for name, count in counts.items()}


# What is printed.


def main() -> None:
    """Simulate, print the tables."""
    asked = _parse()
    began = time.perf_counter()
    cpus = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, numpy {np.__version__}"
    print(f"{cpus}, seed {asked.seed}, reference of {REFERENCE:,} rows, 20 columns")
    found = {"drift": drift_table(asked), "outcomes": outcome_table(asked)}
    print(f"{time.perf_counter() - began:.0f} s in all")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.drift", description=__doc__)
    parser.add_argument(
        "--replicates",
        type=int,
        default=1000,
        help="windows; a quarter, where something is to find",
    )
    parser.add_argument("--outcomes", type=int, default=400, help="windows with labels")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="rows of the windows")
    parser.add_argument(
        "--evidently", type=int, default=0, metavar="N", help="ask evidently of N windows of a kind"
    )
    parser.add_argument("--peers", type=Path, default=Path(".bench"), help="their environments")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the shares too")
    return parser.parse_args()


def drift_table(asked: argparse.Namespace) -> Mapping[str, Mapping[str, Mapping[int, float]]]:
    """Print how often each rule raised an alarm, by truth and size."""
    columns = world()
    rng = np.random.default_rng(asked.seed)
    profiles = [
        build(table(columns, REFERENCE, rng).to_batches())
        for _ in range(REFERENCES if asked.sizes else 0)
    ]
    found: dict[str, dict[str, dict[int, float]]] = {}
    for truth in TRUTHS:
        rules: dict[str, dict[int, float]] = {}
        for rows in asked.sizes:
            for rule, share in simulate(columns, profiles, truth, rows, asked).items():
                rules.setdefault(rule, {})[rows] = share
        if asked.evidently and truth in EVIDENTLY_TRUTHS:
            python = environment(asked.peers, "evidently") / "python"
            rules["evidently's preset"] = {
                rows: simulate_evidently(columns, truth, rows, asked, python)
                for rows in EVIDENTLY_SIZES
            }
        found[truth] = rules
        print("\n".join(_lines(truth, asked.sizes, rules)), flush=True)
    return found


EVIDENTLY_SIZES = (100, 300, 1_000, 10_000)
EVIDENTLY_TRUTHS = ("nothing changed", "0.02 sd in all numbers", "0.5 sd in one number")


def _lines(
    title: str, sizes: Sequence[int], rules: Mapping[str, Mapping[int, float]]
) -> Iterator[str]:
    yield f"\n{title}: share of windows with any alarm"
    yield f"{'':24}" + "".join(f"{rows:>12,}" for rows in sizes or EVIDENTLY_SIZES)
    for rule, shares in rules.items():
        cells = (f"{shares[rows]:.3f}" if rows in shares else "" for rows in sizes or shares)
        yield f"{rule:24}" + "".join(f"{cell:>12}" for cell in cells)


def outcome_table(asked: argparse.Namespace) -> Mapping[str, Mapping[int, Mapping[str, float]]]:
    """Print how often intervals hold, by era and size."""
    found = {}
    for era in ERAS if asked.outcomes else ():
        sizes = {rows: simulate_outcomes(era, rows, asked) for rows in LABELLED}
        found[era.name] = sizes
        print(f"\n{era.name}: shares")
        print(f"{'':36}" + "".join(f"{rows:>12,}" for rows in sizes))
        for name in next(iter(sizes.values())):
            print(f"{name:36}" + "".join(f"{one[name]:>12.3f}" for one in sizes.values()))
    return found


if __name__ == "__main__":
    main()
