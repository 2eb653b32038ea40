"""Looks whether a release is healthy, in the environment in which it is to run."""

from pathlib import Path

from modelci.domain.golden import Health
from modelci.errors import ModelCIError
from modelci.serving.model import examine
from modelci.serving.source import open_release


def check(folder: Path, *, max_latency_ms: float | None = None) -> Health:
    """Load a release and replay its golden requests; what cannot be loaded is not healthy."""
    try:
        return examine(open_release(folder), max_latency_ms=max_latency_ms).health
    except ModelCIError as error:
        return Health(ok=False, problems=(f"{error} {error.hint or ''}".strip(),))
