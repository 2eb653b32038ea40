"""Signed tags, made and checked by Git itself: GPG, SSH and X.509 (gitsign) as it is configured."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from modelci.domain.holds import without_signature
from modelci.domain.signatures import Signature, Standing
from modelci.errors import ConfigError

_KEYS = r"^(user\.signingkey|gpg\..*)$"
_AT_ONCE = 4  # each check is a process of its own, or two
_IN_MEMORY = 2_000  # tag objects, of a registry that may have tens of thousands
_KINDS = {
    "-----BEGIN SSH SIGNATURE-----": "ssh",
    "-----BEGIN SIGNED MESSAGE-----": "x509",
    "-----BEGIN PGP": "openpgp",
}
_SSH = re.compile(
    r'^Good "git" signature (?:for (?P<signer>.+) )?with \S+ key (?P<key>\S+)$', re.MULTILINE
)
_GPG = re.compile(r"^\[GNUPG:\] (?P<word>[A-Z_]+)(?: (?P<rest>.*))?$", re.MULTILINE)
_ADDRESS = re.compile(r"<([^<>]+)>\s*$")
_REFUSED = {
    "REVKEYSIG": "the key was revoked",
    "EXPKEYSIG": "the key has expired",
    "EXPSIG": "the signature has expired",
    "BADSIG": "the tag was changed after it was signed",
    "ERRSIG": "the key is not in this machine's keyring",
}


class Answer(Protocol):
    """How a command ended."""

    @property
    def code(self) -> int: ...
    @property
    def out(self) -> bytes: ...
    @property
    def err(self) -> str: ...


class Run(Protocol):
    """Runs ``git`` at the top of the repository."""

    def __call__(
        self, *arguments: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> Answer: ...


def wants_signatures(run: Run) -> bool:
    """Whether Git's configuration says that tags are signed."""
    answer = run("config", "--type=bool", "--get", "tag.gpgSign")
    return answer.out.strip() == b"true"


def sign(
    run: Run, root: Path, *, name: str, commit: str, tagger: str, seconds: int, message: str
) -> str:
    """Make a signed tag object in this repository and return its id; no ref is left, ever.

    ``git tag -s`` writes a ref beside the object. So it works in an empty repository that shares
    the objects of this one, which is thrown away: whenever it is stopped, no tag stays behind.
    """
    objects = _read(run, "rev-parse", "--git-path", "objects")
    form = _read(run, "rev-parse", "--show-object-format")
    who, address = tagger[:-1].rsplit(" <", 1)
    with tempfile.TemporaryDirectory(prefix="modelci-sign-") as scratch:
        git = f"{scratch}/git"
        made = run("init", "--quiet", "--bare", "--template=", f"--object-format={form}", git)
        _check(made, "make a scratch repository")
        env = {
            "GIT_DIR": git,
            "GIT_OBJECT_DIRECTORY": str((root / objects).resolve()),
            "GIT_COMMITTER_NAME": who,
            "GIT_COMMITTER_EMAIL": address,
            "GIT_COMMITTER_DATE": f"@{seconds} +0000",
        }
        settings = [*_settings(run), "-c", "core.hooksPath=/dev/null"]
        tag = ("tag", "--sign", "--cleanup=verbatim", "--file=-", "--end-of-options", name, commit)
        answer = run(*settings, *tag, stdin=message.encode(), env=env)
        _check(answer, f"sign {name}")
        oid = _read(run, "rev-parse", "--verify", f"refs/tags/{name}", env=env)
    text = run("cat-file", "tag", oid).out.decode(errors="replace")
    if without_signature(text) == text:
        # Git 2.39 writes the tag unsigned, and is content, where an SSH key cannot be read.
        raise _failed(f"sign {name}", answer)
    return oid


def existing(run: Run, refs: Sequence[str], text: str) -> str | None:
    """Return the id of a tag object, at one of ``refs``, that says ``text`` and is maybe signed.

    A signature holds the time at which it was made: what is compared is what was signed.
    """
    for ref in refs:
        found = run("rev-parse", "--verify", "--quiet", ref)
        if found.code:
            continue
        oid = _text(found.out)
        said = run("cat-file", "tag", oid)
        if said.code == 0 and without_signature(said.out.decode(errors="replace")) == text:
            return oid
    return None


def verify(
    run: Run, refs: Sequence[str], *, allowed_signers: bytes | None = None
) -> tuple[Signature, ...]:
    """Return what each ref's tag is signed with, and what Git makes of it.

    ``allowed_signers`` is the text of an SSH allowed-signers file; None: the one that Git is
    configured with. OpenPGP keys are looked for in the keyring of whoever runs this.
    """
    with tempfile.TemporaryDirectory(prefix="modelci-verify-") as folder:
        settings: list[str] = []
        if allowed_signers is not None:
            file = Path(folder, "allowed_signers")
            file.write_bytes(allowed_signers)
            settings = ["-c", f"gpg.ssh.allowedSignersFile={file}"]
        found: list[Signature] = []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for start in range(0, len(refs), _IN_MEMORY):
                some = refs[start : start + _IN_MEMORY]
                objects = zip(some, _objects(run, some), strict=True)
                found += pool.map(lambda one: _verify(run, one[0], one[1], settings), objects)
        return tuple(found)


_Object = tuple[str, str] | None
"""A tag object's id and text; None for what is no tag object."""


def _objects(run: Run, refs: Sequence[str]) -> list[_Object]:
    out = run("cat-file", "--batch", stdin="".join(f"{ref}\n" for ref in refs).encode()).out
    found: list[_Object] = []
    at = 0
    for _ in refs:
        end = out.index(b"\n", at)
        words = out[at:end].rsplit(b" ", 2)
        if not words[-1].isdigit():
            found.append(None)
            at = end + 1
            continue
        size = int(words[2])
        text = out[end + 1 : end + 1 + size].decode(errors="replace")
        found.append((words[0].decode(), text) if words[1] == b"tag" else None)
        at = end + size + 2
    return found


def _verify(run: Run, ref: str, tag: _Object, settings: Sequence[str]) -> Signature:
    if tag is None:
        return Signature(ref=ref, tag=None, reason="it is no annotated tag")
    oid, text = tag
    said = without_signature(text)
    lines = dict(line.partition(" ")[::2] for line in said.partition("\n\n")[0].splitlines())
    name = lines.get("tag", "")
    if said == text:
        return Signature(ref=ref, tag=name)
    start = text[len(said) :]
    kind = next(kind for mark, kind in _KINDS.items() if start.startswith(mark))
    answer = run(*settings, "verify-tag", "--raw", oid)
    read = _read_ssh if kind == "ssh" else _read_gpg
    return read(Signature(ref=ref, tag=name, kind=kind), answer)


def _read_ssh(signature: Signature, answer: Answer) -> Signature:
    found = _SSH.search(answer.err)
    signer, key = (found["signer"], found["key"]) if found else (None, None)
    if answer.code == 0 and signer:
        return _with(signature, Standing.GOOD, signer, key)
    if found:
        too_late = "key has expired" in answer.err or "key is not yet valid" in answer.err
        reason = (
            "the key was not allowed at that time" if too_late else "no allowed signer has this key"
        )
        return _with(signature, Standing.UNKNOWN, None, key, reason)
    if "allowedSignersFile" in answer.err:
        return _with(signature, Standing.UNKNOWN, None, None, "no allowed signers are configured")
    return _with(signature, Standing.BAD, None, None, "the tag was changed after it was signed")


def _read_gpg(signature: Signature, answer: Answer) -> Signature:
    words = {one["word"]: one["rest"] or "" for one in _GPG.finditer(answer.err)}
    key = words.get("VALIDSIG", "").partition(" ")[0] or None
    said = next((words[word] for word in ("GOODSIG", *_REFUSED) if word in words), "")
    address = _ADDRESS.search(said)
    signer = address[1] if address else said.partition(" ")[2] or None
    wrong = next((word for word in _REFUSED if word in words), None)
    if wrong is not None:
        standing = Standing.BAD if wrong == "BADSIG" else Standing.UNKNOWN
        named = None if wrong == "ERRSIG" else signer
        return _with(signature, standing, named, key, _REFUSED[wrong])
    if answer.code == 0 and "GOODSIG" in words:
        return _with(signature, Standing.GOOD, signer, key)
    if "GOODSIG" in words:
        return _with(signature, Standing.UNKNOWN, signer, key, "the key is trusted too little")
    return _with(signature, Standing.UNKNOWN, None, None, _last_line(answer.err))


def _with(
    signature: Signature,
    standing: Standing,
    signer: str | None,
    key: str | None,
    reason: str | None = None,
) -> Signature:
    return Signature(
        ref=signature.ref,
        tag=signature.tag,
        kind=signature.kind,
        standing=standing,
        signer=signer,
        key=key,
        reason=reason,
    )


def _settings(run: Run) -> list[str]:
    """Return what the repository's own configuration says of keys, as flags of ``git``."""
    listed = run("config", "-z", "--get-regexp", _KEYS).out.decode(errors="replace")
    pairs = (one.partition("\n")[::2] for one in listed.split("\0") if one)
    return [part for key, value in pairs for part in ("-c", f"{key}={value}")]


def _check(answer: Answer, what: str) -> None:
    if answer.code:
        raise _failed(what, answer)


def _failed(what: str, answer: Answer) -> ConfigError:
    return ConfigError(
        f"Git could not {what}: {_last_line(answer.err)}",
        hint="Check gpg.format and user.signingKey (`git tag -s` shows the same), or do not sign: "
        "tag.gpgSign or registry.sign: false. Nothing was tagged.",
    )


def _last_line(err: str) -> str:
    lines = [line for line in err.strip().splitlines() if not line.startswith("[GNUPG:]")]
    kept = [line for line in lines if line.strip() and "unable to sign the tag" not in line]
    return re.sub(r"^(?:error|fatal): ", "", kept[-1]) if kept else "no reason given"


def _read(run: Run, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    answer = run(*arguments, env=env)
    _check(answer, " ".join(arguments[:2]))
    return _text(answer.out)


def _text(out: bytes) -> str:
    return out.decode(errors="replace").strip()
