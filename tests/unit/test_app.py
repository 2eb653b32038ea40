"""What the composition root leaves behind."""

from modelci.adapters import trace
from modelci.adapters.progress import SilentProgress
from modelci.wiring import App


class Table(SilentProgress):
    """Asks, when it is taken away, whether anything may still be shown."""

    was_watched: bool | None = None

    def close(self) -> None:
        self.was_watched = trace.is_watched()


def test_nothing_begins_a_new_table_while_the_last_one_goes() -> None:
    app, table = App("/"), Table()
    app.progress, app._unwatch = table, trace.watch(table.busy)
    app.close()
    assert table.was_watched is False
