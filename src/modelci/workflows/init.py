"""``modelci init``: a first ``modelci.yaml`` and workflows for a DVC repository as it stands."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from modelci import __version__
from modelci.config.load import FILE, load
from modelci.config.model import ForgeKind
from modelci.domain.artifacts import Artifact
from modelci.domain.modelfiles import Danger, Trust
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError, UsageError
from modelci.ports import FileTree, Git, MissingDataError, ModelScanner, SnapshotReader
from modelci.workflows.installing import install_by
from modelci.workflows.proposal import (
    elsewhere,
    find_artifacts,
    is_pickle_by_name,
    legacy_artifacts,
    propose_artifacts,
    propose_config,
    propose_gates,
    quote,
    source_of_metrics,
    way_to_one_project,
)

_WORKFLOWS = (
    "model-pr.yml",
    "model-comment.yml",
    "model-merge.yml",
    "model-deploy.yml",
    "model-monitor.yml",
)
GITLAB_PIPELINE, GITLAB_INCLUDED = ".gitlab-ci.yml", ".gitlab/modelci.yml"
_REQUIREMENTS = "requirements.txt"
_OUR_COMMIT = re.compile(r"[\w.-]+/modelci@[0-9a-f]{40}", re.ASCII)
_NO_COMMIT = "0" * 40
_BARE = re.compile(r"[\w./-]+", re.ASCII)
_DVC_CONFIG = ".dvc/config"
_DEFAULT_REMOTE = re.compile(r"^\s*remote\s*=", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Files that were written, and those that stood there and were left.

    ``assumed`` is the default branch that the workflows name where nothing tells which it is.
    ``gates`` are lines that a ``modelci.yaml`` which has no gates could have by the metrics that
    are here; ``source`` says what gives metrics, where it has none and there are none to propose
    any by: ``unread`` says of those that there are why they cannot be read. ``artifacts`` are
    lines that dvc.yaml could have, which declares none; ``untyped`` those of them that are not
    proposed as models, since no scan knows their format. ``pickles`` are models that every report
    blocks as long as the configuration does not allow it.
    """

    written: tuple[str, ...]
    kept: tuple[str, ...]
    assumed: str | None = None
    gates: tuple[str, ...] = ()
    source: str | None = None
    unread: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    untyped: tuple[str, ...] = ()
    pickles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something that is so for now, and what to do instead."""

    detail: str
    instead: str


UNPUBLISHED = Remark(
    detail=f"`pip install modelci=={__version__}` finds nothing before modelci is published to a "
    "package index",
    instead="Until then say where from: `modelci init --install "
    "'modelci @ git+https://HOST/OWNER/modelci@COMMIT'` (or a wheel's address) writes it into "
    "them. `--call OWNER/modelci@COMMIT` needs none of this: what it calls installs itself.",
)
"""What the workflows that ``init`` writes need; drop it with the first release."""


def initialise(
    *,
    git: Git,
    reader: SnapshotReader,
    default_branch: str | None,
    force: bool,
    forge: ForgeKind = ForgeKind.GITHUB,
    call: str | None = None,
    install: str | None = None,
    scanner: Callable[[], ModelScanner] | None = None,
) -> Written:
    """Write what is missing (with ``force`` anew); nothing is asked, nothing else is touched.

    With ``call`` (``OWNER/modelci@COMMIT``) the workflows call the reusable ones of that commit.
    Else they are whole, and the ``forge``'s; a ``.gitlab-ci.yml`` that is there is left, with ours
    beside it to be included. ``install`` is the requirement that they install modelci by; files
    that stand as they are written without it are then no one's work, and are written anew. With a
    ``scanner`` models that are here are pickles by their bytes, and not by their names.
    """
    if call is not None:
        _check_call(call, forge, install)
    if not (git.root / ".dvc").is_dir():
        raise _no_project(git)
    found = git.default_branch(default_branch)
    # With a remote the branch checked out is a feature's as likely as not.
    branch = found[0] if found else (None if git.remote() else git.branch()) or "main"
    tree = git.work_tree()
    settings = tree.read([_DVC_CONFIG]).get(_DVC_CONFIG, b"").decode(errors="replace")
    has_remote = _DEFAULT_REMOTE.search(settings) is not None
    snapshot = reader.read(tree)
    legacy = legacy_artifacts(tree)
    artifacts, declared = find_artifacts(snapshot, legacy), bool(snapshot.artifacts)
    pickles = _pickles(artifacts, tree, scanner)
    texts = {FILE: propose_config(snapshot, has_remote=has_remote, pickles=pickles)}
    if forge is ForgeKind.GITLAB:
        texts |= _gitlab_pipeline(git.root, _requirements(tree.paths()))
    else:
        texts |= _workflows(branch, _requirements(tree.paths()), call)
    before = texts
    if install is not None:
        texts = {path: install_by(text, install) for path, text in before.items()}
    done = _with_gates(_write(git.root, texts, force=force, before=before), snapshot, git.root)
    done = replace(
        done,
        artifacts=propose_artifacts(snapshot, legacy),
        untyped=tuple(one.path for one in artifacts if one.type is None and not declared),
        pickles=_not_allowed(pickles, git.root),
    )
    names_it = forge is not ForgeKind.GITLAB and any(path != FILE for path in done.written)
    return replace(done, assumed=branch) if found is None and names_it else done


def _no_project(git: Git) -> ConfigError:
    below = elsewhere(git.work_tree())
    inside = f": {', '.join(f'{one}/' for one in below)} below it is" if below else ""
    return ConfigError(f"{git.root} is no DVC repository{inside}.", hint=way_to_one_project(below))


def _check_call(call: str, forge: ForgeKind, install: str | None) -> None:
    if install is not None:
        raise UsageError(
            "--call and --install exclude each other.",
            hint="What is called installs modelci of its own commit: leave --install out.",
        )
    if forge is not ForgeKind.GITHUB:
        raise UsageError(
            f"Workflows of {forge} call none of another host.",
            hint="Leave --call out: `modelci init` writes whole files.",
        )
    if not _OUR_COMMIT.fullmatch(call):
        raise UsageError(
            f"{call!r} names no commit of modelci.",
            hint="Write OWNER/modelci@COMMIT with all 40 digits: what a branch or a tag names can "
            "be changed under you.",
        )


def _workflows(branch: str, requirements: str, call: str | None) -> Mapping[str, str]:
    """Return the workflows by path; Gitea and Forgejo read GitHub's folder too."""
    folder = "calling/workflows" if call else "workflows"
    texts = {name: _template(f"{folder}/{name}") for name in _WORKFLOWS}
    if call:
        owner, commit = call.split("@")
        texts = {
            name: text.replace("OWNER/modelci", owner).replace(_NO_COMMIT, commit)
            for name, text in texts.items()
        }
    return {
        f".github/workflows/{name}": text.replace(
            "branches: [main]", f"branches: [{quote(branch)}]"
        ).replace(_REQUIREMENTS, requirements)
        for name, text in texts.items()
    }


def _requirements(paths: Sequence[str]) -> str:
    """Return the file that the project's packages are installed from; the usual one, if unsure."""
    below = [one for one in paths if one.endswith(f"/{_REQUIREMENTS}")]
    is_clear = _REQUIREMENTS not in paths and len(below) == 1 and _BARE.fullmatch(below[0])
    return below[0] if is_clear else _REQUIREMENTS


def _gitlab_pipeline(root: Path, requirements: str) -> Mapping[str, str]:
    text = _template("gitlab/gitlab-ci.yml").replace(_REQUIREMENTS, requirements)
    own = root / GITLAB_PIPELINE
    is_theirs = own.exists() and own.read_text(encoding="utf-8", errors="replace") != text
    return {GITLAB_INCLUDED if is_theirs else GITLAB_PIPELINE: text}


def _template(name: str) -> str:
    """Return a template that installs this very version."""
    text = (files("modelci") / "templates" / "init" / name).read_text(encoding="utf-8")
    return re.sub(
        r"pip install ('?)modelci(\[\w+\])?", rf"pip install \1modelci\2=={__version__}", text
    )


def _with_gates(done: Written, snapshot: Snapshot, root: Path) -> Written:
    """Say which gates a configuration that has none could have by now."""
    try:
        config = load((root / FILE).read_bytes()).config
    except ConfigError:  # `modelci doctor` says what is wrong with it
        return done
    if config.all_gates():
        return done
    gates = propose_gates(snapshot)
    if gates:
        return replace(done, gates=gates)
    return replace(done, source=source_of_metrics(snapshot), unread=snapshot.notes)


def _pickles(
    artifacts: Iterable[Artifact], tree: FileTree, scanner: Callable[[], ModelScanner] | None
) -> tuple[str, ...]:
    """Return the names of the models that are pickles: by their bytes, else by their names."""
    return tuple(
        one.name
        for one in artifacts
        if (one.type or "").lower() == "model" and _is_pickle(one.path, tree, scanner)
    )


def _is_pickle(path: str, tree: FileTree, scanner: Callable[[], ModelScanner] | None) -> bool:
    if scanner is not None:
        try:
            found = scanner().scan(tree, path, trust=Trust(), flavour=None, pull=False)
        except MissingDataError:  # it was never made, or is elsewhere
            return is_pickle_by_name(path)
        dangers = {finding.danger for one in found for finding in one.findings}
        return Danger.PICKLE_NOT_ALLOWED in dangers
    return is_pickle_by_name(path)


def _not_allowed(pickles: tuple[str, ...], root: Path) -> tuple[str, ...]:
    """Return those that the configuration written, or kept, does not allow."""
    try:
        safety = load((root / FILE).read_bytes()).config.safety
    except ConfigError:  # `modelci doctor` says what is wrong with it
        return pickles
    return tuple(one for one in pickles if safety.scan and one not in safety.allow_pickle)


def _write(
    root: Path, texts: Mapping[str, str], *, force: bool, before: Mapping[str, str]
) -> Written:
    def is_kept(path: str) -> bool:
        place, text = root / path, before[path]
        if force or not place.exists():
            return False
        return text == texts[path] or place.read_bytes() != text.encode()

    kept = [path for path in texts if is_kept(path)]
    for path, text in texts.items():
        if path not in kept:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
    return Written(written=tuple(path for path in texts if path not in kept), kept=tuple(kept))
