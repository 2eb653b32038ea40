"""``modelci init``: a first ``modelci.yaml`` and workflows for a DVC repository as it stands."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from modelci import __version__
from modelci.config.load import FILE, load
from modelci.config.model import ForgeKind
from modelci.domain.metrics import Direction, MetricKey, known_direction
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError
from modelci.ports import Git, SnapshotReader

_WORKFLOWS = (
    "model-pr.yml",
    "model-comment.yml",
    "model-merge.yml",
    "model-deploy.yml",
    "model-monitor.yml",
)
GITLAB_PIPELINE, GITLAB_INCLUDED = ".gitlab-ci.yml", ".gitlab/modelci.yml"
_MAX_GATES = 6
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_DVC_CONFIG = ".dvc/config"
_DEFAULT_REMOTE = re.compile(r"^\s*remote\s*=", re.MULTILINE)
_WORDS = frozenset("true false yes no on off y n null".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Files that were written, and those that stood there and were left.

    ``assumed`` is the default branch that the workflows name where nothing tells which it is.
    ``gates`` are lines that a ``modelci.yaml`` which has no gates could have by the metrics that
    are here; ``is_ungated`` says that it has none, and there are no metrics yet to propose any by.
    """

    written: tuple[str, ...]
    kept: tuple[str, ...]
    assumed: str | None = None
    gates: tuple[str, ...] = ()
    is_ungated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something that is so for now, and what to do instead."""

    detail: str
    instead: str


UNPUBLISHED = Remark(
    detail=f"`pip install modelci=={__version__}` finds nothing before modelci is published to a "
    "package index",
    instead="Until then install your own copy in these jobs: `pip install "
    "'modelci @ git+https://HOST/OWNER/modelci@COMMIT'`, or a wheel by its path or address.",
)
"""What the workflows that ``init`` writes need; drop it with the first release."""


def initialise(
    *,
    git: Git,
    reader: SnapshotReader,
    default_branch: str | None,
    force: bool,
    forge: ForgeKind = ForgeKind.GITHUB,
) -> Written:
    """Write what is missing (with ``force`` anew); nothing is asked, nothing else is touched.

    The workflows are the ``forge``'s; a ``.gitlab-ci.yml`` that is there is left, with ours beside
    it to be included.
    """
    if not (git.root / ".dvc").is_dir():
        raise ConfigError(
            f"{git.root} is no DVC repository.", hint="`dvc init`, then `modelci init`."
        )
    found = git.default_branch(default_branch)
    # With a remote the branch checked out is a feature's as likely as not.
    branch = found[0] if found else (None if git.remote() else git.branch()) or "main"
    tree = git.work_tree()
    settings = tree.read([_DVC_CONFIG]).get(_DVC_CONFIG, b"").decode(errors="replace")
    has_remote = _DEFAULT_REMOTE.search(settings) is not None
    snapshot = reader.read(tree)
    texts = {FILE: propose_config(snapshot, has_remote=has_remote)}
    if forge is ForgeKind.GITLAB:
        texts |= _gitlab_pipeline(git.root)
    else:
        texts |= _workflows(branch)
    done = _with_gates(_write(git.root, texts, force=force), snapshot, git.root)
    names_it = forge is not ForgeKind.GITLAB and any(path != FILE for path in done.written)
    return replace(done, assumed=branch) if found is None and names_it else done


def _workflows(branch: str) -> Mapping[str, str]:
    """Return the workflows by path; Gitea and Forgejo read GitHub's folder too."""
    return {
        f".github/workflows/{name}": _template(f"workflows/{name}").replace(
            "branches: [main]", f"branches: [{_quote(branch)}]"
        )
        for name in _WORKFLOWS
    }


def _gitlab_pipeline(root: Path) -> Mapping[str, str]:
    text = _template("gitlab/gitlab-ci.yml")
    own = root / GITLAB_PIPELINE
    is_theirs = own.exists() and own.read_text(encoding="utf-8", errors="replace") != text
    return {GITLAB_INCLUDED if is_theirs else GITLAB_PIPELINE: text}


def _template(name: str) -> str:
    """Return a template that installs this very version."""
    text = (files("modelci") / "templates" / "init" / name).read_text(encoding="utf-8")
    return re.sub(
        r"pip install ('?)modelci(\[\w+\])?", rf"pip install \1modelci\2=={__version__}", text
    )


def propose_config(snapshot: Snapshot, *, has_remote: bool) -> str:
    """Return a commented ``modelci.yaml`` with a gate on each metric whose direction is known.

    Runs use the DVC remote where there is one: a model that no remote holds cannot be deployed.
    """
    template = files("modelci") / "templates" / "init" / "modelci.yaml"
    gates = propose_gates(snapshot)
    artifacts = _escape(", ".join(one.name for one in snapshot.artifacts))
    text = template.read_text(encoding="utf-8").replace("@REMOTE@", str(has_remote).lower())
    return text.replace("@GATES@", "\n".join(gates) or "gates: []").replace(
        "@ARTIFACTS@", artifacts or "none yet: add `artifacts:` to dvc.yaml"
    )


def propose_gates(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the lines of gates, one on each metric whose direction is known; () for no metrics."""
    gates = [line for key in _gated(snapshot) for line in _gate(key)]
    return ("gates:", *gates) if gates else ()


def _with_gates(done: Written, snapshot: Snapshot, root: Path) -> Written:
    """Say which gates a configuration that has none could have by now."""
    try:
        config = load((root / FILE).read_bytes()).config
    except ConfigError:  # `modelci doctor` says what is wrong with it
        return done
    if config.all_gates():
        return done
    gates = propose_gates(snapshot)
    return replace(done, gates=gates, is_ungated=not gates)


def _gated(snapshot: Snapshot) -> Sequence[MetricKey]:
    known = (
        key
        for key in sorted(snapshot.metrics, key=lambda key: (key.path.count("/"), key))
        if known_direction(key.name) is not Direction.UNKNOWN
    )
    by_name: dict[str, MetricKey] = {}
    for key in known:
        by_name.setdefault(key.name, key)
    return list(by_name.values())[:_MAX_GATES]


def _gate(key: MetricKey) -> Sequence[str]:
    better = known_direction(key.name)
    return [f"  - metric: {_quote(key.name)}  # {better} is better", '    max_drop: "1%"']


def _quote(text: str) -> str:
    # Quoted, also where it may be left out, unless every reader of YAML takes it for text.
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else _escape(json.dumps(text, ensure_ascii=False))


def _escape(text: str) -> str:
    """Spell out what YAML forbids to stand as it is."""
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)


def _write(root: Path, texts: Mapping[str, str], *, force: bool) -> Written:
    kept = [path for path in texts if (root / path).exists() and not force]
    for path, text in texts.items():
        if path not in kept:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
    return Written(written=tuple(path for path in texts if path not in kept), kept=tuple(kept))
