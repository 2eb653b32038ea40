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
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import stats

from bench.serving import environment
from modelci.analysis.drift import compare
from modelci.analysis.outcomes import calibrate, estimate, realise
from modelci.analysis.profile import build
from modelci.domain.gates import Outcome, Threshold
from modelci.domain.invariants import judge_schema
from modelci.domain.monitoring import ColumnDrift, Performance
from modelci.domain.profile import ColumnProfile, Profile
from modelci.domain.watching import DriftRules, PerformanceRule, judge_drift, judge_performance

Floats = NDArray[np.float64]

SIZES = (100, 300, 1_000, 10_000, 100_000, 1_000_000)
REFERENCE = 20_000
REFERENCES = 25
TRUTHS = {
    "nothing changed": "any alarm",
    "0.02 sd in all numbers": "any alarm",
    "0.5 sd in one number": "caught",
    "15 points from one value to another": "caught",
    "a new value, 5 %": "caught",
    "10 points more missing": "caught",
}


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
        assert number is not None
        edges = np.asarray(number.edges)
        until = self._below(np.append(edges[:-1], np.nextafter(edges[-1], np.inf)))
        inside = np.diff(until, prepend=0.0, append=1.0) * (1 - self.missing)
        drawn = rng.multinomial(rows, np.append(np.maximum(inside, 0), self.missing))
        below, *counts, above, missing = drawn.tolist()
        found = replace(
            number, counts=tuple(counts), below=below, above=above, mean=None, std=None
        )
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
        assert known is not None
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
        old: Column = smooth[rng.integers(len(smooth))]
        new: Column = old.moved(0.5) if isinstance(old, Number) else old
    elif truth == "10 points more missing":
        old = columns[rng.integers(len(columns))]
        while old.missing > 0.5:
            old = columns[rng.integers(len(columns))]
        new = replace(old, missing=old.missing + 0.1)
    elif truth == "nothing changed":
        return tuple(columns)
    else:
        old = category = categories[rng.integers(len(categories))]
        new = _with_new(category) if "new" in truth else _moved(category, 0.15)
    return tuple(new if one is old else one for one in columns)


def _with_new(column: Category) -> Category:
    shares = {name: 0.95 * share for name, share in column.shares.items()}
    return replace(column, shares={**shares, "never seen": 0.05})


def _moved(column: Category, points: float) -> Category:
    """Give some of the most frequent value's share to the third."""
    shares = dict(column.shares)
    first, third = list(shares)[0], list(shares)[2]
    points = min(points, shares[first])
    return replace(
        column, shares={**shares, first: shares[first] - points, third: shares[third] + points}
    )


def table(columns: Sequence[Column], rows: int, rng: np.random.Generator) -> pa.Table:
    """Draw rows of all columns."""
    return pa.table({one.name: one.draw(rng, rows) for one in columns})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often each rule raised any alarm."""

    rules: Counter[str] = field(default_factory=Counter)

    def add(self, reference: Profile, window: Profile) -> None:
        """Ask every rule."""
        drift = compare(reference, window)
        raw = compare(reference, window, correction=Correction.NONE)
        self.rules["PSI ≥ 0.1"] += any((one.psi or 0) >= 0.1 for one in drift)
        self.rules["p < .05, each alone"] += _any_below(raw.columns, 0.05)
        self.rules["Holm's p < .01"] += _any_below(drift.columns, 0.01)
        self.rules["modelci: PSI ≥ 0.1 and Holm's p < .01"] += any(
            one.outcome in _ALARMS for one in judge_drift(drift, RULES, rows=window.rows)
        )
        self.rules["modelci: schema"] += any(
            one.outcome in _ALARMS for one in judge_schema(reference, window)
        )


from modelci.domain.monitoring import Correction  # noqa: E402

RULES = DriftRules(min_rows=0)
_ALARMS = frozenset({Outcome.WARNED, Outcome.FAILED})


def _any_below(columns: Sequence[ColumnDrift], alpha: float) -> bool:
    return any(one.p_value is not None and one.p_value < alpha for one in columns)
