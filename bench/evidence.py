"""``python -m bench.evidence``: how often each mode blocks a retrain that changed nothing.

Gradient boosting is trained many times on bootstraps of one training set: models that nothing but
chance tells apart. All score one large population, whose AUC is the truth. A replicate draws two
models and a test set, and asks every rule whether it blocks. For true drops noise is added to the
head's scores until its AUC on the population is lower by just that much. Seeds are fixed.
"""

import argparse
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import hypot, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from modelci.analysis.holm import adjust
from modelci.analysis.measures import value
from modelci.analysis.paired import Comparer, Comparison
from modelci.analysis.predictions import Pair, Sample
from modelci.domain.evaluation import Evaluation

Floats = NDArray[np.float64]
Rule = Callable[[Comparison], bool]

SIZES = (1_000, 5_000, 20_000, 100_000)
ALPHA = 0.05
ALLOWED = 0.005
DROP = 0.01
SLICE_DROP = 0.05
POPULATION = 300_000
TRAINING = 6_000
EVALUATION = Evaluation(predictions="simulated", alpha=ALPHA)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """``logits`` (models, rows) of the population, its ``target``, twelve slices, and noise.

    ``drops`` is how much noise lowers each model's AUC by ``DROP`` on the population; ``hurt`` by
    ``SLICE_DROP`` in the first slice. ``retrain_sd`` is the AUC's spread between models, overall
    and in the slice where it is widest.
    """

    target: NDArray[np.int8]
    logits: NDArray[np.float32]
    slices: NDArray[np.bool_]
    noise: Floats
    drops: Floats
    hurt: Floats
    retrain_sd: float
    slice_sd: float
    auc: float


def main() -> None:
    """Train, simulate, print two tables."""
    asked = _parse()
    began = time.perf_counter()
    world = build_world(asked.models, asked.seed)
    cpus = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, numpy {np.__version__}"
    print(f"{cpus}, seed {asked.seed}, {asked.models} models, {asked.replicates} replicates")
    print(
        f"AUC {world.auc:.3f}; sd between trainings {world.retrain_sd:.4f}, in the worst slice "
        f"{world.slice_sd:.4f}; {time.perf_counter() - began:.0f} s to train\n"
    )
    found = {
        "whole": _table("blocks", whole_rules(world), world, asked, simulate_whole),
        "slices": _table(
            "any of 12 slices blocks", slice_rules(world), world, asked, simulate_slices
        ),
    }
    print(f"{time.perf_counter() - began:.0f} s in all")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.evidence", description=__doc__)
    parser.add_argument("--models", type=int, default=40, help="trainings")
    parser.add_argument(
        "--replicates", type=int, default=400, help="of each size and truth; half above 50,000 rows"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows of the test sets")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the shares too")
    return parser.parse_args()


def build_world(models: int, seed: int) -> World:
    """Train the models and score the population."""
    rng = np.random.default_rng(seed)
    features, target = _credit(rng, TRAINING)
    rows, truth = _credit(rng, POPULATION)
    logits = np.stack(
        [_retrain(features, target, rows, seed=seed * 1000 + one) for one in range(models)]
    )
    slices = np.stack(
        [
            np.digitize(rows[:, column], np.quantile(rows[:, column], [0.25, 0.5, 0.75])) == place
            for column in range(3)
            for place in range(4)
        ]
    )
    noise = rng.standard_normal(POPULATION)
    aucs = np.array([_auc(truth, one) for one in logits])
    parts = np.array([[_auc(truth[part], one[part]) for part in slices] for one in logits])
    return World(
        target=truth,
        logits=logits,
        slices=slices,
        noise=noise,
        drops=np.array([_noise_for(truth, one, noise, DROP) for one in logits]),
        hurt=np.array(
            [
                _noise_for(truth[slices[0]], one[slices[0]], noise[slices[0]], SLICE_DROP)
                for one in logits
            ]
        ),
        retrain_sd=float(aucs.std(ddof=1)),
        slice_sd=float(parts.std(axis=0, ddof=1).max()),
        auc=float(aucs.mean()),
    )


def _credit(rng: np.random.Generator, rows: int) -> tuple[Floats, NDArray[np.int8]]:
    """Draw applicants: ten features, some that matter together, one in five defaults."""
    x = rng.standard_normal((rows, 10))
    x[:, 3] = rng.gamma(2.0, 1.0, rows)
    logit = -2.0 + 0.9 * x[:, 0] - 0.7 * x[:, 1] + 0.5 * x[:, 0] * x[:, 2]
    logit += 0.4 * np.sin(2 * x[:, 4]) + 0.3 * np.log(x[:, 3]) + 0.3 * (x[:, 5] > 1) * x[:, 1]
    return x, (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)


def _retrain(
    features: Floats, target: NDArray[np.int8], rows: Floats, *, seed: int
) -> NDArray[np.float32]:
    places = np.random.default_rng(seed).integers(0, len(target), len(target))
    model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=seed)
    model.fit(features[places], target[places])
    return np.asarray(model.decision_function(rows), dtype=np.float32)


def _sample(target: NDArray[np.int8], logit: Floats | NDArray[np.float32]) -> Sample:
    score = 1 / (1 + np.exp(-logit.astype(np.float64)))
    return Sample(
        target=target,
        score=score,
        label=(score >= 0.5).astype(np.int8),
        classes=("0", "1"),
        frame=pd.DataFrame(index=range(len(target))),
    )


def _auc(target: NDArray[np.int8], logit: Floats | NDArray[np.float32]) -> float:
    return value("roc_auc", _sample(target, logit), EVALUATION)


def _noise_for(
    target: NDArray[np.int8], logit: NDArray[np.float32], noise: Floats, drop: float
) -> float:
    """Return how much noise lowers the AUC by ``drop``, by bisection."""
    wanted = _auc(target, logit) - drop
    low, high = 0.0, 4.0
    for _ in range(12):
        middle = (low + high) / 2
        if _auc(target, logit + middle * noise) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def draw(
    world: World, rows: int, rng: np.random.Generator, *, noise: Floats | None
) -> tuple[Pair, NDArray[np.int64]]:
    """Draw two models and a test set; ``noise`` (models,) is added to the head's scores."""
    base, head = rng.choice(len(world.logits), 2, replace=False)
    places = rng.integers(0, len(world.target), rows)
    target = world.target[places]
    logit = world.logits[head, places].astype(np.float64)
    if noise is not None:
        added = noise[head] * world.noise[places]
        logit += np.where(world.slices[0, places], added, 0) if noise is world.hurt else added
    pair = Pair(
        base=_sample(target, world.logits[base, places]),
        head=_sample(target, logit),
        evaluation=EVALUATION,
    )
    return pair, places


def _with(found: Comparison, retrain_sd: float) -> Comparison:
    return replace(found, standard_error=hypot(found.standard_error, sqrt(2) * retrain_sd))


def whole_rules(world: World) -> Mapping[str, Rule]:
    """Return what is said of the whole test set, by name: True blocks."""
    return {
        "point, max_drop 0": lambda one: one.worse > 0,
        "point, max_drop .005": lambda one: one.worse > ALLOWED,
        "drop > .005 and p(worse) < .05": lambda one: (
            one.worse > ALLOWED and one.p_value(0.0) < ALPHA
        ),
        "evidence, max_drop 0": lambda one: one.p_value(0.0) < ALPHA,
        "evidence, max_drop .005": lambda one: one.p_value(ALLOWED) < ALPHA,
        "… with retrain_sd": lambda one: _with(one, world.retrain_sd).p_value(ALLOWED) < ALPHA,
        "evidence, max_drop 0, retrain_sd": lambda one: (
            _with(one, world.retrain_sd).p_value(0.0) < ALPHA
        ),
        "noninferior, max_drop .005": lambda one: one.low < -ALLOWED,
        "superior": lambda one: one.p_superior(0.0) >= ALPHA,
    }


def simulate_whole(
    world: World, rules: Mapping[str, Rule], rows: int, seed: int, replicates: int
) -> Mapping[str, tuple[float, float]]:
    """Return each rule's share of blocks: where nothing changed, and at a true drop."""
    counts = (Counter[str](), Counter[str]())
    for truth, noise in enumerate((None, world.drops)):
        rng = np.random.default_rng([seed, rows, truth])
        for _ in range(replicates):
            pair, _ = draw(world, rows, rng, noise=noise)
            found = Comparer(pair).compare("roc_auc")
            if found is not None:
                counts[truth].update(name for name, blocks in rules.items() if blocks(found))
    return {name: (counts[0][name] / replicates, counts[1][name] / replicates) for name in rules}


SliceRule = Callable[[list[Comparison]], bool]


def slice_rules(world: World) -> Mapping[str, SliceRule]:
    """Return what is said of twelve slices together: True blocks."""

    def holm(allowed: float, retrain_sd: float = 0.0) -> SliceRule:
        def judge(found: list[Comparison]) -> bool:
            p_values = [_with(one, retrain_sd).p_value(allowed) for one in found]
            return bool((adjust(np.array(p_values)) < ALPHA).any())

        return judge

    return {
        "point, max_drop 0": lambda found: any(one.worse > 0 for one in found),
        "p(worse) < .05, each alone": lambda found: any(one.p_value(0.0) < ALPHA for one in found),
        "Holm, max_drop 0": holm(0.0),
        "Holm, max_drop .005": holm(ALLOWED),
        "Holm, max_drop .01": holm(0.01),
        "Holm, max_drop 0, retrain_sd": holm(0.0, world.retrain_sd),
        "Holm, max_drop 0, slices' sd": holm(0.0, world.slice_sd),
    }


def simulate_slices(
    world: World, rules: Mapping[str, SliceRule], rows: int, seed: int, replicates: int
) -> Mapping[str, tuple[float, float]]:
    """Return each rule's share of blocks: where nothing changed, and with one slice hurt."""
    counts = (Counter[str](), Counter[str]())
    for truth, noise in enumerate((None, world.hurt)):
        rng = np.random.default_rng([seed, rows, truth, 12])
        for _ in range(replicates):
            pair, places = draw(world, rows, rng, noise=noise)
            comparer = Comparer(pair)
            asked = (comparer.compare("roc_auc", rows=part[places]) for part in world.slices)
            found = [one for one in asked if one is not None]
            counts[truth].update(name for name, blocks in rules.items() if blocks(found))
    return {name: (counts[0][name] / replicates, counts[1][name] / replicates) for name in rules}


def _table(
    title: str,
    rules: Mapping[str, Any],
    world: World,
    asked: argparse.Namespace,
    simulate: Callable[..., Mapping[str, tuple[float, float]]],
) -> Mapping[str, Mapping[str, tuple[float, float]]]:
    """Print the shares by rule and size, and return them by size and rule."""
    found = {
        str(rows): simulate(world, rules, rows, asked.seed, _replicates(asked, rows))
        for rows in asked.sizes
    }
    print("\n".join(_lines(title, list(rules), found)), flush=True)
    return found


def _replicates(asked: argparse.Namespace, rows: int) -> int:
    return max(1, asked.replicates // 2) if rows > 50_000 else int(asked.replicates)


def _lines(
    title: str, rules: list[str], found: Mapping[str, Mapping[str, tuple[float, float]]]
) -> Iterator[str]:
    yield f"{title}: no change / true drop"
    yield f"{'':36}" + "".join(f"{int(rows):>16,}" for rows in found)
    for rule in rules:
        shares = (found[rows][rule] for rows in found)
        cells = "".join(f"{f'{no:.3f} / {yes:.2f}':>16}" for no, yes in shares)
        yield f"{rule:36}{cells}"
    yield ""


if __name__ == "__main__":
    main()
