"""What a command does when it is told to stop: it ends in order, and says what it leaves."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)

_TAGS = "Tags are pushed all or none: `modelci registry history --remote` shows them; run it again."
_STAYS = "What was written stays; run it again."
LEFT = {
    "act": "What was pushed or proposed stays; run again, it does what is missing.",
    "check": "The check may still say that the run goes on: run it again.",
    "ci": "Stages that ended are recorded, tags are pushed all or none; run again, it goes on.",
    "comment": "The comment is as it was, or new: run it again.",
    "deploy": "`modelci deployments` shows what runs; run again, it goes on where it was.",
    "deprecate": _TAGS,
    "deregister": _TAGS,
    "golden": _STAYS,
    "history": _STAYS,
    "init": "What was written stays, `git status` shows it; run again, it writes the rest.",
    "monitor": "A window that was judged may be remembered already; run again, it goes on.",
    "profile": _STAYS,
    "promote": _TAGS,
    "release-hold": _TAGS,
    "report": _STAYS,
    "retrain": "No branch was pushed, data may be in the DVC remote; run it again.",
    "rollback": _TAGS,
    "run": "Stages that ended are in dvc.lock; `modelci run` goes on from there.",
    "serve": _STAYS,
    "sign": "The version is signed or is not; run again, it does what is missing.",
    "site": _STAYS,
    "unassign": _TAGS,
}
"""What a command leaves that writes, or tells others something."""

HARMLESS = frozenset(
    {"config", "deployments", "doctor", "gate", "plan", "registry", "scan", "verify"}
)
"""Commands that only read: a new one stands in either, and whatever stands in none may write."""

_NOTHING = "Nothing was changed; run it again."


def farewell(command: str | None) -> str:
    """Return the line that says what an interrupted command leaves, and how to go on."""
    left = _NOTHING if command in HARMLESS else LEFT.get(command or "", _STAYS)
    return f"Interrupted. {left}"


class Ending:
    """What ended the command: the number of the signal."""

    number: int = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """The exit code, as shells have it of a process that a signal ended."""
        return 128 + self.number

    def hear(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal for Ctrl-C, which everything that must be tidied up knows already."""
        self.number = number
        raise KeyboardInterrupt


@contextmanager
def ending_heard() -> Iterator[Ending]:
    """Let SIGTERM and SIGHUP interrupt us in order, where nobody else sees to them.

    Unheard they would end the process where it stands, with its children, locks and scratch
    folders left. Only the main thread can ask for it; elsewhere this does nothing.
    """
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending
        return
    ours = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, ending.hear)
    try:
        yield ending
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
