"""Becomes another program, having written who it is: ``launch.py [--detach] PID_FILE LOG -- CMD``.

The process itself writes its file, before it runs the program. So whoever started it can be killed
at any moment, and the next one still finds it. With ``--detach`` it is nobody's child. Only the
standard library is loaded: it is run with ``-I -S``.
"""

import json
import os
import sys

if __name__ == "__main__":
    sys.path.pop(0)  # what lies beside this file is none of the program's business


def identity(pid: int) -> dict[str, object] | None:
    """Return what tells this process from a later one of the same number; None: it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs 10 ms
            # The name, in brackets, may hold anything.
            fields = file.read().rpartition(b")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            boot = file.read().strip()
    except OSError:
        return _identity_without_proc(pid)
    if fields[0] in {b"Z", b"X"}:
        return None
    return {"pid": pid, "started": fields[19].decode(), "boot": boot}


def _identity_without_proc(pid: int) -> dict[str, object] | None:
    if os.path.exists("/proc/self/stat"):  # noqa: PTH110
        return None
    import subprocess  # noqa: PLC0415 - on systems without /proc

    command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if not said or said[0].startswith("Z"):
        return None
    return {"pid": pid, "started": " ".join(said[1:]), "boot": ""}


def main(arguments: list[str]) -> None:
    """Write the file, and run the program."""
    detach = arguments[0] == "--detach"
    pid_file, log, dashes, *command = arguments[detach:]
    assert dashes == "--", arguments  # noqa: S101 - nobody but us runs this
    if detach and os.fork():
        os._exit(0)
    os.setsid()
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    part = f"{pid_file}.part"
    with open(part, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(identity(os.getpid()), file)
    os.replace(part, pid_file)  # noqa: PTH105
    os.execv(command[0], command)  # noqa: S606 - no shell: a list of words


if __name__ == "__main__":
    main(sys.argv[1:])
