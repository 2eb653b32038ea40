"""A GitOps branch of the Git remote: a file for each service, a commit for each change.

A controller (Argo CD, Flux, …) brings what the branch says to the cluster. The branch is never
checked out: commits are made from Git objects, and pushed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import yaml

from modelci.adapters.gitprocess import Answer, ask
from modelci.adapters.targets.kserving.manifest import KIND, Objects, label
from modelci.errors import DeploymentError

_SUFFIX = ".yaml"
_TRIES = 5
_NOBODY = ("modelci", "modelci@localhost")
_FIRST = re.compile(
    r"\[rejected\]|non-fast-forward|fetch first|stale info|cannot lock ref|failed to update ref"
)
_DENIED = re.compile(
    # A commit's id may hold the digits of a status.
    r"\b(?:403|401)\b|denied|Authentication failed|could not read Username|protected"
    r"|pre-receive|declined",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
# A text that no reader takes for a number, a date, or one of YAML 1.1's many words for yes and no.
_PLAIN = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null|nan|inf)$)[A-Za-z][A-Za-z_./-]*", re.IGNORECASE
)
_MOST_SAID = 600
_HEAD = (
    "# Written by modelci: `modelci deploy` replaces this file. What runs is decided by the\n"
    "# registry's tags; to go back, `modelci rollback`.\n"
)


class Branch:
    """The ``Place`` that a folder of a branch is; ``root`` is a clone of the repository."""

    def __init__(self, root: Path, *, target: str, remote: str, branch: str, folder: str) -> None:
        self._root = root
        self._target = target
        self._remote = remote
        self._branch = branch
        self._folder = PurePosixPath(folder)

    def services(self) -> Mapping[str, Objects]:
        """Return the services of the folder's files that are this target's."""
        tip = self._fetch()
        found = {name: self._read(tip, name) for name in self._names(tip)}
        return {name: one for name, one in found.items() if one.target == label(self._target)}

    def read(self, service: str) -> Objects:
        """Return what the branch says of a service now."""
        return self._read(self._fetch(), service)

    def is_ready(self, service: str) -> bool | None:
        """Return None: what the cluster makes of a branch is not seen."""
        del service
        return None

    def write(self, service: str, before: Objects, after: Objects, *, why: str) -> None:
        """Commit the service's file; others' commits are built on, and not undone."""
        text = dump(after)
        for _ in range(_TRIES):
            tip = self._fetch()
            found = self._read(tip, service)
            if found == after:
                return
            if found != before:
                raise DeploymentError(
                    f"Somebody else has changed {self._path(service)} of {self._branch} meanwhile.",
                    hint="Deploy again: what the registry's tags say now is looked up anew.",
                )
            if self._push(self._commit(tip, self._path(service), text, why)):
                return
        raise DeploymentError(
            f"{self._branch} of {self._remote} was ahead of us {_TRIES} times.",
            hint="Many push to it at once; deploy again.",
        )

    # -- reading -----------------------------------------------------------------------------------

    def _fetch(self) -> str | None:
        """Return the commit of the branch as the remote has it now; None where it has none."""
        ref = f"refs/heads/{self._branch}"
        listed = self._ask("ls-remote", "--quiet", self._remote, ref)
        self._check(listed, "be asked for its branches")
        commit = listed.out.decode().partition("\t")[0]
        if commit and self._ask("cat-file", "-e", f"{commit}^{{tree}}").code:
            # A clone that has all its history shall not become one that has not.
            is_shallow = self._read_out("rev-parse", "--is-shallow-repository") == "true"
            fetch = ("fetch", "--quiet", "--no-tags", *["--depth=1"] * is_shallow)
            fetched = self._ask(*fetch, "--no-write-fetch-head", self._remote, ref)
            self._check(fetched, f"give its branch {self._branch}")
        return commit or None

    def _names(self, tip: str | None) -> Iterator[str]:
        if tip is None:
            return
        listed = self._ask("ls-tree", "-z", "--name-only", f"{tip}:{self._folder}")
        for name in listed.out.decode(errors="replace").split("\0"):
            if name.endswith(_SUFFIX):
                yield name.removesuffix(_SUFFIX)

    def _read(self, tip: str | None, service: str) -> Objects:
        if tip is None:
            return Objects()
        found = self._ask("cat-file", "blob", f"{tip}:{self._path(service)}")
        return Objects() if found.code else self._parse(found.out, self._path(service))

    def _parse(self, data: bytes, path: str) -> Objects:
        try:
            documents = [one for one in yaml.safe_load_all(data) if isinstance(one, dict)]
        except yaml.YAMLError as error:
            raise DeploymentError(
                f"{path} of {self._branch} is no YAML: {error}".replace("\n", " "),
                hint="Delete it there, or put right what was changed by hand.",
            ) from error
        by_kind = {one.get("kind"): one for one in documents}
        return Objects(service=by_kind.get(KIND), notes=by_kind.get("ConfigMap"))

    def _path(self, service: str) -> str:
        return str(self._folder / f"{service}{_SUFFIX}")

    # -- writing -----------------------------------------------------------------------------------

    def _commit(self, tip: str | None, path: str, text: str, message: str) -> str:
        """Write a commit on ``tip`` that changes one file, and return its id."""
        blob = self._read_out("hash-object", "-w", "--stdin", stdin=text.encode())
        tree = self._tree(tip and f"{tip}^{{tree}}", PurePosixPath(path).parts, blob)
        parents = ["-p", tip] if tip else []
        commit = (*self._identity(), "commit-tree", tree, *parents)
        return self._read_out(*commit, stdin=message.encode())

    def _tree(self, tree: str | None, path: Sequence[str], blob: str) -> str:
        """Return a tree that has the blob at a path, and all else as it is in ``tree``."""
        name, *rest = path
        listed = self._ask("ls-tree", "-z", tree) if tree else None
        lines = listed.out.split(b"\0") if listed and listed.code == 0 else []
        entries = {line.partition(b"\t")[2]: line for line in lines if line}
        known = entries.get(name.encode(), b"").split(b"\t")[0].split(b" ")
        if rest:
            below = known[2].decode() if known[1:2] == [b"tree"] else None
            entry = f"040000 tree {self._tree(below, rest, blob)}\t{name}"
        else:
            entry = f"100644 blob {blob}\t{name}"
        entries[name.encode()] = entry.encode()
        made = b"".join(line + b"\0" for line in entries.values())
        return self._read_out("mktree", "-z", "--missing", stdin=made)

    def _identity(self) -> list[str]:
        known = self._ask("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        name, address = _NOBODY
        return [] if known.code == 0 else ["-c", f"user.name={name}", "-c", f"user.email={address}"]

    def _push(self, commit: str) -> bool:
        """Push the commit; return False where another one was there first."""
        exactly = ("--no-follow-tags", "--recurse-submodules=no", "--no-verify")
        ref = f"{commit}:refs/heads/{self._branch}"
        answer = self._ask("push", "--porcelain", *exactly, self._remote, ref)
        said = f"{answer.out.decode(errors='replace')} {answer.err}"
        if answer.code and _FIRST.search(said) and not _DENIED.search(said):
            return False
        self._check(answer, f"take a commit to {self._branch}", said=said)
        return True

    # -- git ---------------------------------------------------------------------------------------

    def _ask(self, *arguments: str, stdin: bytes | None = None) -> Answer:
        return ask(self._root, *arguments, stdin=stdin)

    def _read_out(self, *arguments: str, stdin: bytes | None = None) -> str:
        answer = self._ask(*arguments, stdin=stdin)
        if answer.code:
            raise DeploymentError(f"`git {arguments[0]}` failed: {answer.err.strip()}")
        return answer.out.decode().strip()

    def _check(self, answer: Answer, what: str, *, said: str | None = None) -> None:
        if answer.code == 0:
            return
        text = _CREDENTIALS.sub("", " ".join((said or answer.err).split()))
        hint = f"`git remote -v` shows the address of {self._remote}; can this machine reach it?"
        if _DENIED.search(text):
            hint = (
                "Check the credentials; in Actions give the job `permissions: contents: write`, "
                f"and let whoever deploys push to {self._branch}."
            )
        raise DeploymentError(f"{self._remote} cannot {what}: {text[-_MOST_SAID:]}", hint=hint)


def dump(objects: Objects) -> str:
    """Return the text of a service's file: what is known first, then what is to run."""
    documents = [one for one in (objects.notes, objects.service) if one is not None]
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return f"{_HEAD}---\n{text}"


class _Dumper(yaml.SafeDumper):
    """Quotes what some reader of YAML, old or new, may take for something else than text."""

    def ignore_aliases(self, data: object) -> bool:
        """Write what is equal out each time."""
        del data
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None if _PLAIN.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)
