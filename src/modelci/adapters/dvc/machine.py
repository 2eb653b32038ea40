"""What this machine has for stages to share."""

import os
from pathlib import Path

from modelci.domain.pipeline import RunOptions
from modelci.domain.schedule import Capacity


def capacity(options: RunOptions, *, slots: int | None = None) -> Capacity:
    """Return the jobs asked for or else the cores we may use, all memory, and the GPUs.

    ``slots`` is how many stages can run at a time where that is not for our cores to say.
    """
    return Capacity(
        cpus=options.jobs or slots or cores(),
        memory=_memory(),
        gpus=_gpus() if options.gpus is None else options.gpus,
    )


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    """Return the machine's memory in bytes, or less where a container's limit says so."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def _gpus() -> int:
    """Return how many NVIDIA GPUs the system shows."""
    return sum(path.name[6:].isdigit() for path in Path("/dev").glob("nvidia*"))
