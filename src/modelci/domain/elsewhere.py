"""A stage that runs somewhere else, as values: what is sent, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of a run: a commit, and where Git can have it from.

    ``bundle`` is for a worker that cannot fetch the commit from ``url``; ``family`` is the same
    for all runs of a repository, so that its clones can be used again. ``subdir`` leads from the
    top of the work tree to the DVC repository.
    """

    commit: str
    family: str
    url: str | None = None
    bundle: bytes | None = None
    subdir: str = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTask:
    """One stage to run in a clone, by DVC's own address for it.

    ``entry`` is what ``dvc.lock`` will say of it (command, dependencies, parameters) but for the
    outputs. ``files`` are hashes of files that Git's commit does not have as they are now.
    ``settings`` is DVC's configuration on top of the clone's own and the worker's. With ``record``
    the run is noted in the remote's run cache; past runs that the worker knows count only with
    ``run_cache``, and never with ``force``. ``prefer`` names workers that have inputs already.
    """

    stage: str
    entry: Mapping[str, object]
    files: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    force: bool = False
    run_cache: bool = True
    record: bool = True
    prefer: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """What a worker needs before it can run a stage: ``source`` says why Git could not help.

    ``files`` are inputs that neither its clone nor the DVC remote has.
    """

    source: str | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutcome:
    """What came of a stage on ``worker``; its whole ``entry`` for ``dvc.lock`` once it is done.

    ``problem`` says what kept it from being done, where that was not its ``command``, the last one
    that ran. With ``lacking`` it is no result: the worker wants to be asked again.
    """

    worker: str
    entry: Mapping[str, object] | None = None
    command: str = ""
    exit_code: int | None = None
    is_timed_out: bool = False
    cpu_seconds: float = 0.0
    peak_bytes: int | None = None
    problem: str | None = None
    lacking: Lacking | None = None
