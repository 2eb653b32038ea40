"""What a change edits of the configuration that judges it, beside the gates of ``gates:``."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from itertools import count
from typing import Any

from modelci.config.model import BudgetConfig, Config, DataConfig, FairnessConfig
from modelci.domain.evaluation import Evaluation
from modelci.domain.report import SettingChange

JUDGING = ("metrics", "evaluation", "slices", "fairness", "budget", "baseline", "data", "safety")
"""The sections that decide what a gate sees, beside ``gates`` and ``waivers``."""


def judging_edits(base: Config, head: Config) -> tuple[SettingChange, ...]:
    """Return each setting of the judging sections that differs, in the order of the sections.

    Entries of lists are told apart by what they judge; one that only one side has is one change.
    """
    return tuple(
        change
        for section in JUDGING
        for change in _diff(section, getattr(base, section), getattr(head, section))
    )


def _diff(key: str, base: Any, head: Any) -> Iterator[SettingChange]:
    if base == head and type(base) is type(head):
        return
    if is_dataclass(base) and type(base) is type(head):
        for field in fields(base):
            yield from _diff(
                f"{key}.{field.name}", getattr(base, field.name), getattr(head, field.name)
            )
    elif isinstance(base, Mapping) and isinstance(head, Mapping):
        for name in dict.fromkeys((*base, *head)):
            yield from _diff(f"{key}.{name}", base.get(name), head.get(name))
    elif isinstance(base, tuple) and isinstance(head, tuple):
        before, after = _entries(base), _entries(head)
        for name in dict.fromkeys((*before, *after)):
            yield from _diff(f"{key}{name}", before.get(name), after.get(name))
        if base and head and before == after:
            yield SettingChange(key=key, base=_text(base), head=_text(head))  # another order
    else:
        yield SettingChange(key=key, base=_text(base), head=_text(head))


def _entries(entries: tuple[Any, ...]) -> dict[str, Any]:
    """Return entries by what tells them apart; the second of a name has ``#2``."""
    found: dict[str, Any] = {}
    for entry in entries:
        name = _name(entry)
        names = (f"[{name}]" if place == 1 else f"[{name}#{place}]" for place in count(1))
        found[next(one for one in names if one not in found)] = entry
    return found


def _name(entry: Any) -> str:
    match entry:
        case Evaluation():
            return entry.predictions
        case FairnessConfig():
            return f"{entry.metric} of {entry.column}"
        case BudgetConfig():
            return str(entry.path or entry.metric)
        case DataConfig():
            return entry.path
    return str(_text(entry))


def _text(value: Any) -> str | None:
    """Return a value as one line, of a dataclass what is not its default; None is no value."""
    if value is None:
        return None
    if is_dataclass(value):
        given = {field.name: getattr(value, field.name) for field in fields(value)}
        return _text({f.name: given[f.name] for f in fields(value) if given[f.name] != _usual(f)})
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(one)}" for name, one in value.items())
    if isinstance(value, tuple):
        return f"[{', '.join(str(_text(one)) for one in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _usual(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
