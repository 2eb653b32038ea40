"""A retraining branch: what it is made of, and what is done with the pull request that it has."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ParamValue = str | int | float | bool

WINDOW, MODEL = "Modelci-Window", "Modelci-Model"
"""Trailers of a retraining commit; by them it is told from what people push to its branch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainOrder:
    """What a retraining commit is made of, on top of the commit ``base``.

    ``params`` are set first, by ``name`` in params.yaml or by ``file:name``. ``cmd`` is a shell
    command, which finds the window's name and its data's place in MODELCI_WINDOW and
    MODELCI_CURRENT; ``add`` are paths for DVC to track afterwards. With ``run`` the pipeline is run
    too.
    """

    base: str
    message: str
    window: str
    current: str
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    cmd: str | None = None
    add: tuple[str, ...] = ()
    run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A retraining commit; ``commit`` is None where nothing differs from its base.

    ``changed`` are its files in Git, ``stages`` the stages of the pipeline that were run.
    """

    commit: str | None
    changed: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """The document ``modelci.retraining/1``: a commit that is to be proposed.

    It passes from the job that ran the project's code to the one that may write. ``replaces`` is
    what the remote's ``branch`` names until then. ``is_new`` is False where the branch has the
    window's commit already; ``held_back`` says why nothing is to be proposed.
    """

    model: str
    window: str
    branch: str
    base: str
    base_sha: str
    commit: str | None = None
    replaces: str | None = None
    is_new: bool = True
    changed: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    held_back: str | None = None
