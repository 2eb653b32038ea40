"""Keeps DVC quiet: its lines and bars would garble ours. Its warnings are passed on."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from modelci.adapters import trace
from modelci.adapters.dvc.bars import Bar
from modelci.adapters.dvc.seams import bars_drawn_by

_LOGGERS = ("dvc", "dvc_data", "dvc_objects")
# DVC's bars ask these whether to draw.
_BARS = ("dvc.progress", "dvc_data.callbacks")
# Said of outputs that no run has recorded yet, while looking for them in the remote.
_NOISE = ("No file hash info found",)
_LONGEST = 500


class _Collector(logging.Handler):
    """Passes each warning on once, without its traceback."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        cause = record.exc_info[1] if record.exc_info else None
        if cause is not None:
            text = f"{text}: {cause}" if text else str(cause)
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]}…"
        if text and not text.startswith(_NOISE) and text not in self.heard:
            self.heard.append(text)
            self._warn(f"DVC: {text}")


@contextmanager
def dvc_quiet(warn: Callable[[str], None]) -> Iterator[list[str]]:
    """Silence DVC's loggers and bars; give ``warn`` its warnings, and the list of them so far."""
    collector = _Collector(warn)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    bars = [logging.getLogger(name) for name in _BARS]
    before = [(one, one.handlers, one.level, one.propagate) for one in (*loggers, *bars)]
    for logger in loggers:
        logger.handlers, logger.propagate = [collector], False
        logger.setLevel(logging.WARNING)
    for logger in bars:
        logger.setLevel(logging.CRITICAL)
    try:
        with bars_drawn_by(Bar) if trace.is_watched() else nullcontext():
            yield collector.heard
    finally:
        for logger, handlers, level, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
