"""A Git that was started ends when we do, however often we are told to stop."""

import subprocess

import pytest

from modelci.adapters.gitprocess import ended


class Git(subprocess.Popen[bytes]):
    """A process that takes its time to end; meanwhile we are told to stop once more."""

    is_awaited = False

    def terminate(self) -> None:
        """Be deaf to it."""

    def wait(self, timeout: float | None = None) -> int:
        if timeout is not None:
            self.is_awaited = True
            raise self.second
        return super().wait(timeout)

    second: BaseException


@pytest.mark.parametrize(
    ("second", "raised"),
    [
        (KeyboardInterrupt("again"), "again"),
        (subprocess.TimeoutExpired("git", 5.0), "first"),
    ],
)
def test_told_to_stop_twice_it_still_leaves_no_git(second: BaseException, raised: str) -> None:
    with Git(["sleep", "60"]) as process:
        process.second = second
        with pytest.raises(KeyboardInterrupt, match=raised), ended(process):
            raise KeyboardInterrupt("first")
        assert process.is_awaited
        assert process.returncode == -9
