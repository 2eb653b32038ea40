"""Says in our words what DVC raises: what happened, what to do next, how to exit."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dvc import config, exceptions, lock, scm
from dvc.dependency.base import DependencyDoesNotExistError
from dvc.dependency.param import MissingParamsError
from dvc.output import OutputAlreadyTrackedError, OutputDoesNotExistError
from dvc.parsing import ResolveError
from dvc.stage import exceptions as stage_exceptions
from dvc.utils.serialize import ParseError
from dvc.utils.strictyaml import YAMLValidationError

from modelci.adapters.dvc import faults
from modelci.adapters.dvc.faults import RemoteLabel
from modelci.errors import ConfigError, ModelCIError, PipelineError, UsageError
from modelci.formats import locate_yaml, parse

_NOT_FOUND = (
    stage_exceptions.StageNotFound,
    stage_exceptions.StageFileDoesNotExistError,
    stage_exceptions.StageFileBadNameError,
    stage_exceptions.StageFileIsNotDvcFileError,
    stage_exceptions.StageNameUnspecified,
    exceptions.NoOutputOrStageError,
    exceptions.StageNotFoundError,
)
_CONTRADICTIONS = (
    exceptions.OutputDuplicationError,
    exceptions.OverlappingOutputPathsError,
    exceptions.StagePathAsOutputError,
    exceptions.CircularDependencyError,
    exceptions.ArgumentDuplicationError,
)

_STAGE_HINTS: dict[type[Exception], str] = {
    OutputDoesNotExistError: "The stage's command must write it; else take it out of `outs` in "
    "dvc.yaml.",
    DependencyDoesNotExistError: "Commit it, or fetch it (`--pull`); else take it out of `deps` in "
    "dvc.yaml.",
    MissingParamsError: "Add them, or take them out of `params` in dvc.yaml.",
    stage_exceptions.MissingDataSource: "Fetch it (`--pull`), or add it anew with `dvc add`.",
}


def translate(error: Exception, root: Path) -> ModelCIError:
    """Return the error of ours for one of DVC's; ``root`` is what its paths are counted from."""
    for cause in faults.causes(error):
        found = _translate_one(cause, root)
        if found is not None:
            return found
    return PipelineError(f"DVC failed: {faults.describe(error)}")


def is_fatal(error: Exception) -> bool:
    """Whether no further stage can run: the lock is lost, or the disk full."""
    return faults.is_disk_full(error) or any(
        isinstance(cause, lock.LockError) for cause in faults.causes(error)
    )


def no_such_target(target: str, names: Sequence[str]) -> UsageError:
    """Return the error for a target that is no stage, with the names that come near."""
    # `fit` from the top means ml/dvc.yaml:fit, as DVC calls it; its letters are not near.
    below = [name for name in names if name.endswith(f":{target}")]
    near = below[:3] or get_close_matches(target, names, n=3)
    listed = near or list(names[:10])
    more = "" if near or len(names) <= len(listed) else ", …"
    return UsageError(
        f"There is no stage {target!r}.",
        hint=f"{'Did you mean' if near else 'The stages are'} {', '.join(listed)}{more}"
        f"{'?' if near else '.'}"
        if listed
        else "No dvc.yaml here defines stages.",
    )


def is_no_target(error: Exception) -> bool:
    """Whether DVC did not find a target."""
    return isinstance(error, _NOT_FOUND)


def remote_failed(
    doing: str, remote: RemoteLabel, error: Exception, heard: Sequence[str] = ()
) -> ModelCIError:
    """Return the error for a remote that does not do what we ask; ``heard`` is what DVC warned."""
    if any(isinstance(cause, lock.LockError) for cause in faults.causes(error)):
        return translate(error, Path())
    return faults.remote_failed(doing, remote, error, heard)


def remote_label(repo: Any) -> RemoteLabel:
    """Return what to call the default remote."""
    return RemoteLabel.of(repo.config, repo.config["core"].get("remote") or "(none)")


def _translate_one(error: BaseException, root: Path) -> ModelCIError | None:
    if isinstance(error, ModelCIError):
        return error
    if isinstance(error, lock.LockError):
        return _locked(error, root)
    if faults.is_disk_full(error):
        return faults.disk_full(error)
    if isinstance(error, YAMLValidationError):
        return _invalid_yaml(error, root)
    if isinstance(error, ParseError):
        return _unreadable(error, root)
    return _translate_state(error) or _translate_stage(error)


def _translate_state(error: BaseException) -> ModelCIError | None:
    """Translate what is wrong with the repository or its graph."""
    if isinstance(error, exceptions.NotDvcRepoError):
        return ConfigError(
            "This is no DVC repository.",
            hint="`dvc init` makes it one; else run from the folder that holds .dvc.",
        )
    if isinstance(error, config.NoRemoteError):
        return faults.no_remote()
    if isinstance(error, config.ConfigError):
        return ConfigError(f"DVC's configuration cannot be used: {error}.", hint="See .dvc/config.")
    if isinstance(error, scm.SCMError):
        return ConfigError(
            f"DVC cannot use the Git repository: {faults.describe(error)}.",
            hint="`git init`, or tell DVC to do without: `dvc config core.no_scm true`.",
        )
    if isinstance(error, ResolveError):
        return ConfigError(f"The pipeline cannot be read: {faults.describe(error)}.")
    return _translate_graph(error)


def _translate_graph(error: BaseException) -> ModelCIError | None:
    if isinstance(error, exceptions.CyclicGraphError):
        return ConfigError(
            f"The pipeline runs in a circle: {faults.describe(error)}.",
            hint="Correct deps and outs in dvc.yaml.",
        )
    if isinstance(error, _CONTRADICTIONS):
        return ConfigError(
            f"The pipeline contradicts itself: {faults.describe(error)}.",
            hint="An output belongs to one stage: correct deps and outs in dvc.yaml.",
        )
    return None


def _translate_stage(error: BaseException) -> ModelCIError | None:
    """Translate what keeps one stage from being done."""
    for kind, hint in _STAGE_HINTS.items():
        if isinstance(error, kind):
            return PipelineError(f"{_capital(error)}.", hint=hint)
    if isinstance(error, OutputAlreadyTrackedError):
        return PipelineError(
            str(error).strip().splitlines()[0].capitalize(),
            hint="`git rm --cached` it, and commit: DVC tracks what its stages write.",
        )
    if isinstance(error, FileNotFoundError) and error.filename:
        return PipelineError(f"{error.filename} does not exist.")
    return None


def _capital(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    return text[:1].upper() + text[1:]


def _locked(error: lock.LockError, root: Path) -> ModelCIError:
    if "is being blocked by" in str(error):  # a path in use: DVC names the process
        message = " ".join(str(error).split(" If there are no")[0].split())
        return PipelineError(message, hint="Wait until that process is done, and run again.")
    try:
        holder = (root / ".dvc" / "tmp" / "lock").read_text(encoding="utf-8").strip()
    except OSError:
        holder = ""
    who = f"process {holder}" if holder.isdigit() else "another process"
    return PipelineError(
        f"The DVC repository is locked by {who}.",
        hint="Wait until it is done, and run again; one run at a time works in a checkout.",
    )


def _unreadable(error: ParseError, root: Path) -> ConfigError:
    """Read the file ourselves: our reader names line and column, and knows a merge conflict."""
    path = root / error.path
    try:
        parse(_relative(path, root), path.read_bytes())
    except ConfigError as found:
        return found
    except OSError:
        pass
    return ConfigError(f"{_relative(path, root)} cannot be read: {faults.describe(error)}.")


def _invalid_yaml(error: YAMLValidationError, root: Path) -> ConfigError:
    path = root / error.path
    first = error.exc.errors[0]
    keys = tuple(key if isinstance(key, int) else str(key) for key in first.path)
    line = locate_yaml(error.text.encode(), keys) if error.text else None
    where = " → ".join(map(str, keys))
    return ConfigError(
        f"{_relative(path, root)}{f':{line}' if line else ''} is not valid: {first.msg}"
        f"{f' at {where}' if where else ''}.",
        hint=_OLD_LOCK if _is_old_lock(path, error.text) else _KEYS,
    )


_KEYS = "https://dvc.org/doc/user-guide/project-structure/dvcyaml-files lists the keys."
_OLD_LOCK = (
    "This is the form of DVC 1, which no DVC reads any more: delete the file, `modelci run`, and "
    "commit the one that it writes."
)


def _is_old_lock(path: Path, text: str | None) -> bool:
    """Whether a lock is of DVC 1: stages at its top, where all since have said a schema there."""
    return path.name == "dvc.lock" and text is not None and not _SCHEMA.search(text)


_SCHEMA = re.compile(r"^schema\s*:", re.MULTILINE)


def _relative(path: Path, root: Path) -> str:
    resolved = path.resolve()
    base = root.resolve()
    return resolved.relative_to(base).as_posix() if resolved.is_relative_to(base) else str(path)
