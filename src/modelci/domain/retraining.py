"""A retraining branch: what it is made of, what may be on it, and whether it is still ours."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelci.domain.notes import LoggedCommit

ParamValue = str | int | float | bool

PLACEHOLDER = "{window}"
"""Stands for the window's name, in parameters and paths."""

TRAILER = "Modelci-Retrained"
"""Names model and window in a retraining commit, which is told by it from what people push."""

_NO_NAME = re.compile(r"[^\w.-]+")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# The folders also as links; and who must review, what modelci itself is told, what Git is told.
_STEERING = re.compile(
    r"(?:^|/)(?:\.github|\.gitea|\.forgejo|\.gitlab|\.circleci|\.buildkite|\.woodpecker|\.ci)(?:/|$)"
    r"|(?:^|/)(?:\.(?:gitlab-ci|drone|travis|woodpecker)\.ya?ml|(?:azure|bitbucket)-pipelines\.ya?ml"
    r"|Jenkinsfile|CODEOWNERS|\.gitmodules|\.gitattributes|modelci\.ya?ml|action\.ya?ml)$"
    r"|(?:^|/)\.dvc/config(?:\.local)?$",
    re.IGNORECASE,
)


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
    """The document ``modelci.retraining/1``: a commit that is to be proposed to ``base``.

    It passes from the job that ran the project's code to the one that may write. ``replaces`` is
    what the remote's ``branch`` names until then; it is ``commit`` itself where the branch has the
    window's commit already. Without a ``commit``, ``held_back`` says why there is none, and
    ``is_empty`` that nothing would differ from the base.
    """

    model: str
    window: str
    branch: str
    base: str
    base_sha: str
    commit: str | None = None
    replaces: str | None = None
    changed: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    held_back: str | None = None
    is_empty: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the remote's branch names the commit already."""
        return self.commit is not None and self.commit == self.replaces


def name_branch(template: str, model: str) -> str:
    """Return the branch of a model's retraining; what no branch can be called becomes a dash."""
    return template.replace("{model}", _NO_NAME.sub("-", model).strip("-."))


def name_window(model: str, window: str) -> str:
    """Return what the trailer says of a model's window; the name of a model has no blank in it."""
    return f"{model} {window}"


def write_message(model: str, window: str) -> str:
    """Return the message of the commit that retrains a model on a window."""
    return (
        f"Retrain {model} on {window}\n\n"
        "Made by modelci; what it found is in the pull request.\n\n"
        f"{TRAILER}: {name_window(model, window)}\n"
    )


def read_window(commits: Sequence[LoggedCommit], model: str) -> str | None:
    """Return the window of a model's retraining branch that is as we made it, else None.

    ``commits`` are those that the branch has and its base has not.
    """
    if len(commits) != 1:
        return None
    start = f"{TRAILER}: {name_window(model, '')}"
    lines = [line for line in commits[0].body.splitlines() if line.startswith(start)]
    return lines[-1].removeprefix(start).strip() if lines else None


def is_commit_id(text: str) -> bool:
    """Whether this is a commit's full id, which means the same at all times."""
    return _COMMIT_ID.fullmatch(text) is not None


def steers_ci(paths: Sequence[str]) -> tuple[str, ...]:
    """Return those of the paths by which a branch decides what CI runs, with which rights."""
    return tuple(path for path in paths if _STEERING.search(path))
