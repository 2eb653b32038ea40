"""What held for every row that a model was trained on, and must hold for those that it scores."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from typing import NamedTuple

from modelci.domain.gates import Gate, GateResult, Outcome, Rule, Severity, Subject, Threshold
from modelci.domain.monitoring import NO_ROWS
from modelci.domain.profile import (
    CategoryProfile,
    ColumnKind,
    ColumnProfile,
    NumberProfile,
    Profile,
)
from modelci.domain.wording import counted

_MOST_TEXT = 40
_MOST_ADDED = 50  # where all columns are new, none is a renamed one
_NO_VALUES = CategoryProfile(values=(), counts=())


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaRules:
    """Which share of a window's rows may break what held for the reference.

    Where the reference has such rows too, or could have had some by chance, those count that are
    more than its share, provably by ``alpha``, which all checks of a window divide among them:
    from ``warn`` on they are a warning, from ``fail`` on a failure. What the reference never has
    (infinite numbers, values of another type, repeated ids) warns with the first row, and fails
    from ``warn`` on.
    """

    warn: float = 0.01
    fail: float = 0.10
    alpha: float = 0.01


_USUAL = SchemaRules()


def judge_schema(
    reference: Profile,
    current: Profile,
    *,
    ignore: Collection[str] = (),
    has_id: bool = True,
    rules: SchemaRules = _USUAL,
) -> tuple[GateResult, ...]:
    """Judge a window's columns: their types, missing values, ranges and values; ids; and scores.

    A result for each check that does not hold, and one for the rest. Columns to ``ignore`` are
    not looked at, on either side. ``has_id`` is whether the window has the column that names its
    rows: without it none can be said to repeat another, and that fails.
    """
    if not current.rows:
        return (_result("schema", 0.0, Outcome.INCONCLUSIVE, NO_ROWS),)
    checks = [
        *_columns(reference, current, ignore, rules),
        *_ids(reference, current, has_id, rules),
    ]
    if reference.scores is not None and current.scores is not None:
        checks += _scores(reference.scores, current.scores)
    alpha = rules.alpha / max(1, len(checks))
    broken = [found for check in checks if (found := check.judge(alpha)) is not None]
    return (*broken, *_rest(len(checks), len(broken), current.rows))


class _Rows(NamedTuple):
    """How many of ``all`` rows break a promise."""

    bad: int
    all: int

    @property
    def share(self) -> float:
        return self.bad / self.all if self.all else 0.0

    def __str__(self) -> str:
        return f"{self.bad:,} of {self.all:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """A promise: the share of the rows that break it beyond the reference's, and what they are.

    ``chance`` bounds the probability of as many where nothing has changed.
    """

    name: str
    text: str
    share: float
    warn: float = 0.0
    fail: float = 0.0
    chance: float = 0.0

    def judge(self, alpha: float) -> GateResult | None:
        """Return what breaks it, None where it holds."""
        if self.share <= 0 or self.share < self.warn or self.chance >= alpha:
            return None
        if self.share < self.fail:
            return _result(self.name, self.warn, Outcome.WARNED, self.text)
        limit = 0.0 if self.fail == 0 else self.fail
        return _result(self.name, limit, Outcome.FAILED, self.text)


def _tolerant(name: str, text: str, before: _Rows, now: _Rows, rules: SchemaRules) -> _Check:
    return _Check(
        name=name,
        text=text,
        share=now.share - before.share,
        warn=rules.warn,
        fail=rules.fail,
        chance=_chance(before, now),
    )


def _strict(name: str, text: str, before: _Rows, now: _Rows, rules: SchemaRules) -> _Check:
    if before.bad:
        return _tolerant(name, text, before, now, rules)
    return _Check(name=name, text=text, share=now.share, fail=rules.warn)


def _never(name: str, text: str, found: int) -> _Check:
    return _Check(name=name, text=text, share=float(found > 0))


def _chance(before: _Rows, now: _Rows) -> float:
    """Bound the probability that so many of all that break a promise are among the new rows.

    Chernoff's bound for the binomial distribution: a little on the safe side.
    """
    total = before.bad + now.bad
    share = now.all / (before.all + now.all)
    found = now.bad / total if total else 0.0
    if found <= share:
        return 1.0
    divergence = found * log(found / share)
    if found < 1:
        divergence += (1 - found) * log((1 - found) / (1 - share))
    return exp(-total * divergence)


def _columns(
    reference: Profile, current: Profile, ignore: Collection[str], rules: SchemaRules
) -> Iterator[_Check]:
    before = [one for one in reference.columns if one.name not in ignore]
    known = {one.name for one in before}
    present = {one.name: one for one in current.columns if one.dtype and one.name not in ignore}
    added = [one for name, one in present.items() if name not in known]
    for column in before:
        now = present.get(column.name)
        if now is None:
            yield _never(f"{column.name}: column", _lost_text(column, added), 1)
        else:
            yield from _values(column, now, rules)
    for column in added:
        text = f"the reference has no such column ({column.dtype})"
        yield _Check(name=f"{column.name}: column", text=text, share=1.0, fail=inf)


def _values(before: ColumnProfile, now: ColumnProfile, rules: SchemaRules) -> Iterator[_Check]:
    """Check one column that both sides have."""
    name, rows = before.name, (before.rows, now.rows)
    wrong = _Rows(now.mistyped, now.rows)
    text = f"{wrong} values are no {_noun(before)} ({now.dtype}, was {before.dtype})"
    yield _strict(f"{name}: type", text, _Rows(before.mistyped, before.rows), wrong, rules)
    gaps = _Rows(before.missing, before.rows), _Rows(now.missing, now.rows)
    text = f"{gaps[1]} values are missing ({gaps[1].share:.1%}, were {gaps[0].share:.1%})"
    yield _tolerant(f"{name}: missing", text, *gaps, rules)
    if before.number is not None and now.number is not None:
        yield from _numbers(before, before.number, now.number, rows, rules)
    if before.category is not None and before.kind is not ColumnKind.IDENTIFIER:
        yield _new_values(name, before.category, now.category or _NO_VALUES, rows, rules)
    if before.kind not in {ColumnKind.IDENTIFIER, ColumnKind.DATETIME, ColumnKind.EMPTY}:
        yield _constant(before, now)


def _numbers(
    column: ColumnProfile,
    before: NumberProfile,
    now: NumberProfile,
    rows: tuple[int, int],
    rules: SchemaRules,
) -> Iterator[_Check]:
    infinite = _Rows(now.infinite, rows[1])
    text = f"{infinite} values are infinite"
    was = _Rows(before.infinite, rows[0])
    yield _strict(f"{column.name}: infinite", text, was, infinite, rules)
    if column.kind is not ColumnKind.NUMBER or not sum(before.counts):
        return
    beyond = _Rows(now.below + now.above, rows[1])
    text = f"{beyond} values lie outside {before.edges[0]:.6g} to {before.edges[-1]:.6g}"
    text += (
        f", from {now.min:.6g} to {now.max:.6g}"
        if now.min is not None and now.max is not None
        else ""
    )
    # By chance as many as the reference's own extremes, which lie outside what its others span.
    yield _tolerant(f"{column.name}: range", text, _Rows(2, rows[0]), beyond, rules)


def _new_values(
    name: str,
    before: CategoryProfile,
    now: CategoryProfile,
    rows: tuple[int, int],
    rules: SchemaRules,
) -> _Check:
    """Look for values that the reference does not name; as much as it matters is drift.

    By chance there are about as many as the reference has values that occur once (I. J. Good,
    "The population frequencies of species", Biometrika 40, 1953).
    """
    named = frozenset(before.values)
    found = [
        (count, value)
        for value, count in zip(now.values, now.counts, strict=True)
        if count and value not in named
    ]
    new = _Rows(sum(count for count, _ in found) + now.other, rows[1])
    expected = before.other + sum(count == 1 for count in before.counts)
    shown = [_short(value) for _, value in sorted(found, key=lambda one: -one[0])[:3]]
    text = f"{new} values are new: {', '.join(shown)}{', …' if len(found) > len(shown) else ''}"
    return _Check(
        name=f"{name}: values",
        text=text,
        share=new.share - _Rows(expected, rows[0]).share,
        warn=rules.warn,
        fail=inf,
        chance=_chance(_Rows(expected, rows[0]), new),
    )


def _constant(before: ColumnProfile, now: ColumnProfile) -> _Check:
    """A column that varied and is now stuck; the chance is that of drawing one value each time."""
    top, values = _most_frequent(before), now.rows - now.missing - now.mistyped
    stuck = values > 0 and top is not None and _only_value(now) is not None
    text = f"all {values:,} values are {_only_value(now)}; they varied"
    chance = 1.0 if top is None else top**values
    return _Check(name=f"{before.name}: constant", text=text, share=float(stuck), chance=chance)


def _most_frequent(column: ColumnProfile) -> float | None:
    """Bound the share of the most frequent value, None where the column does not vary."""
    counts: Sequence[int] = ()
    if column.number is not None and column.number.min != column.number.max:
        counts = column.number.counts
    elif column.category is not None:
        counts = (*column.category.counts, column.category.other)
    return max(counts) / sum(counts) if sum(counts) > 1 and max(counts) < sum(counts) else None


def _only_value(column: ColumnProfile) -> str | None:
    if column.number is not None:
        low, high = column.number.min, column.number.max
        is_one = low is not None and low == high and not column.number.infinite
        return f"{low:.6g}" if is_one else None
    if column.category is None or column.category.other:
        return None
    seen = [
        value
        for value, count in zip(column.category.values, column.category.counts, strict=True)
        if count
    ]
    return repr(_short(seen[0])) if len(seen) == 1 else None


def _ids(
    reference: Profile,
    current: Profile,
    has_id: bool,  # noqa: FBT001
    rules: SchemaRules,
) -> Iterator[_Check]:
    if reference.id is None and current.id is None:
        return
    if not has_id:
        text = "the window has no such column, which is to name its rows"
        yield _never(f"{current.id or reference.id}: column", text, 1)
        return
    repeated = _Rows(current.duplicates, current.rows)
    text = f"{repeated} rows repeat an earlier id"
    before = _Rows(reference.duplicates, reference.rows)
    yield _strict(f"{current.id or reference.id}: repeated", text, before, repeated, rules)


def _scores(before: ColumnProfile, now: ColumnProfile) -> Iterator[_Check]:
    """A score is a finite number of the reference's kind in every row."""
    name = before.name
    if not now.dtype:
        yield _never(f"{name}: column", "the window has no scores", 1)
        return
    number = now.number
    lacking = now.missing + now.mistyped
    yield _never(f"{name}: missing", f"{lacking:,} of {now.rows:,} scores are no number", lacking)
    if before.number is None or number is None:
        return
    infinite = f"{number.infinite:,} of {now.rows:,} scores are infinite"
    yield _never(f"{name}: infinite", infinite, number.infinite)
    if _is_probability(before.number):
        text = f"scores from {number.min} to {number.max} are no probabilities; they were"
        yield _never(f"{name}: range", text, not _is_probability(number))
    yield _constant(before, now)


def _is_probability(number: NumberProfile) -> bool:
    return number.min is None or number.max is None or (number.min >= 0 and number.max <= 1)


def _lost_text(column: ColumnProfile, added: Sequence[ColumnProfile]) -> str:
    alike = [one.name for one in added[:_MOST_ADDED] if _is_alike(column, one)]
    hint = f"; {alike[0]!r} looks like it, renamed" if len(alike) == 1 else ""
    return f"the window has no such column{hint}"


def _is_alike(before: ColumnProfile, now: ColumnProfile) -> bool:
    """Whether a new column could be a lost one by another name: of its kind, with its values."""
    if before.kind is not now.kind:
        return False
    if before.number is not None and now.number is not None:
        return _are_alike(before.number, now.number)
    if before.category is not None and now.category is not None:
        named = frozenset(before.category.values)
        pairs = zip(now.category.values, now.category.counts, strict=True)
        shared = sum(count for value, count in pairs if value in named)
        return shared > 0 and shared >= 0.9 * (now.rows - now.missing)
    return False


def _are_alike(before: NumberProfile, now: NumberProfile) -> bool:
    if not before.std or not now.std or before.mean is None or now.mean is None:
        return False
    return abs(now.mean - before.mean) < before.std / 2 and 0.5 < now.std / before.std < 2


def _noun(column: ColumnProfile) -> str:
    return "text" if column.kind is ColumnKind.CATEGORY else str(column.kind)


def _rest(checks: int, broken: int, rows: int) -> Iterator[GateResult]:
    holding = checks - broken
    if holding:
        the_other = "the other " if broken else ""
        reason = (
            f"{the_other}{holding:,} of {counted(checks, 'check')} hold for {counted(rows, 'row')}"
        )
        yield _result("schema", 0.0, Outcome.PASSED, reason)


def _result(name: str, limit: float, outcome: Outcome, reason: str) -> GateResult:
    gate = Gate(
        metric=name,
        rule=Rule.MAX,
        threshold=Threshold(value=limit),
        severity=Severity.WARN if outcome is Outcome.WARNED else Severity.BLOCK,
    )
    return GateResult(gate=gate, outcome=outcome, reason=reason, subject=Subject.SCHEMA)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_TEXT else f"{line[: _MOST_TEXT - 1]}…"
