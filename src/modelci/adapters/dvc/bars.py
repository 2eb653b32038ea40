"""What DVC draws its bars with, while a terminal watches us: each is a row of our own table."""

from contextlib import ExitStack
from typing import Any

from modelci.adapters import trace


class Bar:
    """Stands in for a bar of tqdm, as ``fsspec``'s callback uses one."""

    def __init__(
        self,
        *_: object,
        total: float | None = None,
        desc: str | None = None,
        unit: str = "",
        bytes: bool = False,  # noqa: A002 - DVC's own name
        **__: Any,
    ) -> None:
        self.n = 0.0
        self.total = total
        self._stack = ExitStack()
        unit = "bytes" if bytes else f"{unit.removesuffix('s')}s" if unit else ""
        self._advance = self._stack.enter_context(trace.shown(desc or "DVC", total, unit))

    def update(self, n: float = 1) -> None:
        """Come further by so much."""
        self.n += n
        self._advance(self.n, self.total)

    def close(self) -> None:
        """Take the row away."""
        self._stack.close()
