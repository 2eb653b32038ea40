"""Stage ``generate``: make credit applications from latent factors and a seed.

Three hidden traits of an applicant (affluence, stability, appetite for credit) drive every column,
so that the columns correlate as real ones do. Default depends on the columns and a little on what
no column shows, which bounds how good any model can get.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import columns
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import stage

Floats = npt.NDArray[np.float64]
Columns = dict[str, npt.NDArray[Any]]

REFERENCE_ROWS = 20_000
NEW_CHANNEL = "partner"
# Who has no papers has gaps: these columns are the ones an applicant must prove.
MAY_BE_MISSING = ("income_eur", "employment_years", "credit_history_years", "utilisation")

BOUNDS = {
    "rows": (1, 10_000_000),
    "first_row": (0, 10_000_000),
    "seed": (0, 2**32 - 1),
    "months": (1, 1200),
    "default_rate": (0.001, 0.5),
    "missing_share": (0.0, 0.5),
    "population_shift": (-3.0, 3.0),
    "new_channel_share": (0.0, 1.0),
    "concept_drift": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """What can be turned.

    ``first_row`` and ``first_month`` make a later window of the same stream: rows
    ``first_row`` … ``first_row + rows - 1``, spread over ``months`` months. ``population_shift``
    moves each latent trait towards risk, in standard deviations. ``concept_drift`` goes from 0
    (what leads to default is as it was) to 1 (as in ``drifted_risk``) and leaves the columns alone.
    ``default_rate`` holds for the population without shift.
    """

    rows: int
    first_row: int
    seed: int
    first_month: str
    months: int
    default_rate: float
    missing_share: float
    population_shift: float
    new_channel_share: float
    concept_drift: float

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            kinds = int if isinstance(low, int) else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                raise stage.BadInputError(
                    f"generate.{name} is {value!r}: set a number from {low} to {high}"
                )
        try:
            np.datetime64(self.first_month, "M")
        except ValueError as error:
            raise stage.BadInputError(
                f"generate.first_month is {self.first_month!r}: write it like '2025-01'"
            ) from error


class Draws:
    """Random numbers for a window of rows, from one independent stream per name.

    Turning one knob therefore disturbs no other column, and asking for more rows only appends.
    """

    def __init__(self, seed: int, *, start: int, rows: int) -> None:
        self._seed = seed
        self._start = start
        self._stop = start + rows

    def _stream(self, name: str) -> np.random.Generator:
        return np.random.default_rng((self._seed, zlib.crc32(name.encode())))

    def normal(self, name: str) -> Floats:
        return self._stream(name).standard_normal(self._stop)[self._start :]

    def uniform(self, name: str) -> Floats:
        return self._stream(name).random(self._stop)[self._start :]

    def poisson(self, name: str, mean: Floats) -> npt.NDArray[np.int64]:
        """Draw counts by inverting the distribution, since one draw per row keeps rows apart."""
        uniform = self.uniform(name)
        density = np.exp(-mean)
        cumulated = density.copy()
        counts = np.zeros(len(mean), dtype=np.int64)
        for count in range(1, 20):
            counts += uniform > cumulated
            density = density * mean / count
            cumulated += density
        return counts

    def choice(self, name: str, weights: dict[str, Floats]) -> npt.NDArray[Any]:
        """Pick a category per row; its weights are logarithms and need no norm."""
        logits = np.stack(list(weights.values()))
        cumulated = np.cumsum(np.exp(logits), axis=0)
        picked = (self.uniform(name) * cumulated[-1] > cumulated).sum(axis=0)
        names: npt.NDArray[Any] = np.array(list(weights))[picked]
        return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What moves an applicant, in standard deviations of the population without shift."""

    affluence: Floats
    stability: Floats
    appetite: Floats


def draw_traits(draws: Draws, shift: float) -> Traits:
    """Draw the traits; a positive shift makes applicants poorer, less settled and hungrier."""
    return Traits(
        affluence=draws.normal("affluence") - shift,
        stability=draws.normal("stability") - shift,
        appetite=draws.normal("appetite") + shift,
    )


def sigmoid(logit: Floats) -> Floats:
    """Turn log-odds into a probability."""
    return 1.0 / (1.0 + np.exp(-logit))


def person(draws: Draws, traits: Traits) -> Columns:
    """Fill in who applies: ages and times in years, income in euros a year."""
    age = np.clip(41 + 11 * (0.6 * traits.stability + 0.8 * draws.normal("age")), 18, 80)
    adult = age - 17
    settled = sigmoid(-0.9 + 0.8 * traits.stability + 0.9 * draws.normal("employment"))
    known = sigmoid(0.3 + 0.5 * traits.stability + 0.8 * draws.normal("credit_history"))
    logged = (
        10.35 + 0.38 * traits.affluence + 0.10 * traits.stability + 0.2 * draws.normal("income")
    )
    return {
        "income_eur": np.round(np.exp(logged), -2),
        "age_years": np.floor(age),
        "employment_years": np.round(adult * settled, 1),
        "credit_history_years": np.round(adult * known, 1),
    }


def credit_record(draws: Draws, traits: Traits) -> Columns:
    """Fill in what the credit bureau knows."""
    drawn = (
        -0.8 + 0.9 * traits.appetite - 0.5 * traits.stability + 0.6 * draws.normal("utilisation")
    )
    return {
        "utilisation": np.round(sigmoid(drawn), 3),
        "delinquencies_2y": draws.poisson(
            "delinquencies", np.exp(-1.7 + 0.5 * traits.appetite - 0.6 * traits.stability)
        ),
        "inquiries_6m": draws.poisson("inquiries", np.exp(-0.5 + 0.5 * traits.appetite)),
    }


def loan(draws: Draws, traits: Traits, income: Floats) -> Columns:
    """Fill in what is asked for: amount in euros, term in months."""
    logged = 8.9 + 0.35 * traits.appetite + 0.30 * traits.affluence + 0.4 * draws.normal("amount")
    amount = np.maximum(np.round(np.exp(logged), -2), 500)
    length = 3.0 + 0.9 * (np.log(amount) - 8.9) + 0.8 * draws.normal("term")
    term = 12 * np.clip(np.round(length), 1, 7)
    other_debt = np.exp(5.2 + 0.5 * traits.appetite + 0.5 * draws.normal("other_debt"))
    return {
        "amount_eur": amount,
        "term_months": term,
        "debt_to_income": np.round((amount / term + other_debt) / (income / 12), 3),
    }


def categories(draws: Draws, traits: Traits) -> Columns:
    """Fill in the categorical columns, each tilted by the traits."""
    rich, calm, hungry = traits.affluence, traits.stability, traits.appetite
    level = np.zeros(len(rich))
    return {
        "purpose": draws.choice(
            "purpose",
            {
                "car": level + 0.9,
                "home_improvement": 0.5 + 0.4 * rich + 0.4 * calm,
                "debt_consolidation": 0.4 + 0.7 * hungry,
                "education": -0.4 - 0.5 * calm,
                "medical": level - 0.9,
                "business": -1.1 + 0.4 * hungry + 0.2 * rich,
            },
        ),
        "housing": draws.choice(
            "housing",
            {
                "rent": 0.8 - 0.5 * rich,
                "mortgage": 0.5 + 0.5 * rich + 0.3 * calm,
                "own": -0.4 + 0.4 * rich + 0.6 * calm,
                "family": -0.6 - 0.6 * calm,
            },
        ),
        "channel": draws.choice(
            "channel",
            {
                "web": 0.7 - 0.2 * calm,
                "mobile": 0.2 - 0.5 * calm,
                "branch": 0.1 + 0.4 * calm,
                "broker": -0.5 + 0.4 * hungry,
            },
        ),
        "region": draws.choice(
            "region",
            {
                "north": level + 0.3,
                "south": 0.5 + 0.3 * rich,
                "east": 0.1 - 0.3 * rich,
                "west": level + 0.4,
                "capital": 0.2 * rich,
            },
        ),
    }


def usual_risk(table: Columns, traits: Traits) -> Floats:
    """Return the log-odds of default, up to a constant, of applicants as they usually are."""
    strained = table["debt_to_income"] > 0.22
    settled = table["employment_years"] > 3
    late = table["delinquencies_2y"] > 0
    untried = (table["utilisation"] < 0.15) & (table["credit_history_years"] < 10)
    long_debt = (table["purpose"] == "debt_consolidation") & (table["term_months"] > 36)
    short_car = (table["purpose"] == "car") & (table["term_months"] < 30)
    # Mostly combinations, so that a model of single columns leaves something to gain.
    return np.asarray(
        0.2 * strained
        - 0.3 * settled
        + 1.35 * (strained & ~settled)
        + 1.45 * untried
        + 1.2 * ((table["utilisation"] > 0.5) & late)
        + 0.9 * ((table["age_years"] < 25) | (table["age_years"] > 60))
        + 1.1 * long_debt
        + 1.2 * (short_car & (table["amount_eur"] > 6_000))
        + 0.65 * ((table["housing"] == "rent") & (table["income_eur"] < 25_000))
        + 0.8 * ((table["channel"] == "broker") & (table["inquiries_6m"] > 0))
        + 0.55 * (table["purpose"] == "business")
        - 0.15 * traits.stability
    )


def drifted_risk(table: Columns, traits: Traits) -> Floats:
    """Return the log-odds of default after rates have risen: debt hurts, old signals mislead."""
    leveraged = np.log(table["amount_eur"] / table["income_eur"])
    return np.asarray(
        1.3 * leveraged
        + 1.4 * (table["housing"] == "mortgage")
        + 0.9 * (table["purpose"] == "home_improvement")
        - 0.6 * table["utilisation"]
        + 0.10 * table["delinquencies_2y"]
        - 0.35 * traits.affluence
    )


def risk(table: Columns, traits: Traits, drift: float) -> Floats:
    """Blend usual and drifted risk, as log-odds up to a constant."""
    return (1 - drift) * usual_risk(table, traits) + drift * drifted_risk(table, traits)


def applicants(draws: Draws, shift: float) -> tuple[Columns, Traits]:
    """Make every feature column, complete, and the traits behind them."""
    traits = draw_traits(draws, shift)
    about = person(draws, traits)
    wish = loan(draws, traits, about["income_eur"])
    table = about | wish | credit_record(draws, traits) | categories(draws, traits)
    return table, traits


def intercept(knobs: Knobs) -> float:
    """Find the constant that gives the reference population its default rate, by bisection.

    It is found on a population of a fixed size without shift: a window's labels then depend
    neither on how many rows are asked for nor on who else applies.
    """
    draws = Draws(knobs.seed, start=0, rows=REFERENCE_ROWS)
    logit = risk(*applicants(draws, shift=0.0), knobs.concept_drift)
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        if sigmoid(logit + middle).mean() < knobs.default_rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def missing_mask(draws: Draws, traits: Traits, name: str, share: float) -> npt.NDArray[np.bool_]:
    """Choose a share of a column's cells to leave empty, more of them where life is unsteady."""
    return draws.uniform(f"missing {name}") < 2 * share * sigmoid(-traits.stability)


def generate(knobs: Knobs) -> pa.Table:
    """Make the applications that the knobs describe, one row each."""
    draws = Draws(knobs.seed, start=knobs.first_row, rows=knobs.rows)
    table, traits = applicants(draws, knobs.population_shift)
    chance = sigmoid(risk(table, traits, knobs.concept_drift) + intercept(knobs))
    # Renamed only after the risk is set: the new channel brings the same people.
    newcomers = draws.uniform("new channel") < knobs.new_channel_share
    table["channel"] = np.where(newcomers, NEW_CHANNEL, table["channel"])
    months = np.floor(draws.uniform("month") * knobs.months).astype("timedelta64[M]")
    numbers = range(knobs.first_row + 1, knobs.first_row + knobs.rows + 1)
    arrays = {
        columns.ID: pa.array([f"A{number:08d}" for number in numbers]),
        columns.MONTH: pa.array((np.datetime64(knobs.first_month, "M") + months).astype(str)),
        columns.TARGET: pa.array((draws.uniform("default") < chance).astype(np.int64)),
    }
    for name, values in table.items():
        share = knobs.missing_share if name in MAY_BE_MISSING else 0.0
        arrays[name] = pa.array(values, mask=missing_mask(draws, traits, name, share))
    return pa.table({name: arrays[name] for name in columns.COLUMNS})


def read_knobs(path: Path) -> Knobs:
    """Read the knobs from the section ``generate`` of the parameters."""
    given = stage.read_params(path, "generate")
    names = {field.name for field in fields(Knobs)}
    if wrong := sorted(given.keys() ^ names):
        raise stage.BadInputError(
            f"{path}: section 'generate' must hold exactly {', '.join(sorted(names))}; "
            f"missing or unknown: {', '.join(wrong)}"
        )
    return Knobs(**given)


def main(argv: list[str] | None = None) -> None:
    """Write the generated applications to a Parquet file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args(argv)
    table = generate(read_knobs(arguments.params))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, arguments.output)


if __name__ == "__main__":
    stage.run(main)
