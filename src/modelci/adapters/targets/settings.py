"""What it takes to reach a target."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelci.config.model import StrategyConfig, TargetConfig
from modelci.ports import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """Each target takes what it needs.

    ``root`` is the top of the repository, from which relative paths and commands start.
    ``environment`` is what a project's own commands may see, ``bare`` what a process that loads a
    model may: neither holds a token. ``serving`` are the settings of ``modelci.serving``;
    ``strategy`` is that of targets that have none of their own. ``known`` tells the artifacts that
    the registry's tags speak of, and ``remote`` is the Git remote's name (None: there is none).
    """

    name: str
    config: TargetConfig
    root: Path
    progress: Progress
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    bare: Mapping[str, str] = field(default_factory=dict, repr=False)
    serving: Mapping[str, Any] = field(default_factory=dict)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    known: Callable[[], Iterable[str]] = tuple
    remote: str | None = None

    @property
    def path(self) -> Path:
        """The target's folder on this machine."""
        return self.root / (self.config.path or f".modelci/targets/{self.name}")
