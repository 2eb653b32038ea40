"""What Git and GnuPG say of a signature, read; the real ones are in tests/integration."""
# ruff: noqa: ARG002

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from modelci.adapters.signing import verify
from modelci.domain.signatures import Signature, Standing

HEAD = "object 1\ntype commit\ntag m@v1.0.0\ntagger A <a@b> 1 +0000\n\nRegister\n"
PGP = "-----BEGIN PGP SIGNATURE-----\nx\n-----END PGP SIGNATURE-----\n"
SSH = "-----BEGIN SSH SIGNATURE-----\nx\n-----END SSH SIGNATURE-----\n"
X509 = "-----BEGIN SIGNED MESSAGE-----\nx\n-----END SIGNED MESSAGE-----\n"
VALID = "[GNUPG:] VALIDSIG FEB5 2026-11-23 1795464650 0 4 0 22 8 00 FEB5\n"
GOOD = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG D8DA Anna B <anna@x>\n" + VALID


@dataclass
class Answer:
    code: int = 0
    out: bytes = b""
    err: str = ""


@dataclass
class FakeGit:
    """One tag object, and what ``git verify-tag`` says of it."""

    text: str
    answer: Answer = field(default_factory=Answer)

    def __call__(
        self, *arguments: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> Answer:
        if "verify-tag" in arguments:
            return self.answer
        data = self.text.encode()
        return Answer(out=b"0123 tag %d\n%s\n" % (len(data), data))


def read(text: str, code: int = 0, err: str = "") -> Signature:
    (found,) = verify(FakeGit(HEAD + text, Answer(code=code, err=err)), ["refs/tags/m@v1.0.0"])
    assert found.tag == "m@v1.0.0"
    return found


@pytest.mark.parametrize(
    ("code", "err", "standing", "signer", "reason"),
    [
        (0, GOOD, "good", "anna@x", None),
        (1, GOOD, "unknown", "anna@x", "the key is trusted too little"),
        (1, GOOD.replace("GOOD", "EXPKEY"), "unknown", "anna@x", "the key has expired"),
        (1, GOOD.replace("GOOD", "REVKEY"), "unknown", "anna@x", "the key was revoked"),
        (1, GOOD.replace("GOOD", "EXP"), "unknown", "anna@x", "the signature has expired"),
        # What says both, good and bad, is not good.
        (0, GOOD + "[GNUPG:] BADSIG D8DA Anna B <anna@x>\n", "bad", "anna@x", None),
        (1, "[GNUPG:] BADSIG D8DA Anna <anna@x>\n", "bad", "anna@x", None),
        (1, "[GNUPG:] ERRSIG D8DA 22 8 00 1 9 FEB5\n", "unknown", None, None),
        (128, "error: cannot run gpg: No such file\n", "unknown", None, None),
        # A name is the key's own: it must not look like a status of GnuPG.
        (1, "[GNUPG:] ERRSIG D8DA GOODSIG <anna@x>\n", "unknown", None, None),
    ],
)
def test_gnupgs_status(
    code: int, err: str, standing: str, signer: str | None, reason: str | None
) -> None:
    found = read(PGP, code, err)
    assert (found.kind, found.standing, found.signer) == ("openpgp", standing, signer)
    assert found.reason == reason if reason else found.reason or standing == "good"


def test_gitsign_says_what_gnupg_says() -> None:
    found = read(X509, 0, GOOD.replace("Anna B <anna@x>", "anna@x"))
    assert (found.kind, found.standing, found.signer) == ("x509", Standing.GOOD, "anna@x")


@pytest.mark.parametrize(
    ("code", "err", "standing", "signer"),
    [
        (0, 'Good "git" signature for anna@x with ED25519 key SHA256:k\n', "good", "anna@x"),
        (1, 'Good "git" signature for anna@x with ED25519 key SHA256:k\n', "unknown", None),
        (1, 'Good "git" signature with ED25519 key SHA256:k\nNo principal.\n', "unknown", None),
        (0, 'Good "git" signature with ED25519 key SHA256:k\n', "unknown", None),
        (1, "error: gpg.ssh.allowedSignersFile needs to be configured\n", "unknown", None),
        (1, "Signature verification failed: incorrect signature\n", "bad", None),
    ],
)
def test_what_ssh_keygen_says(code: int, err: str, standing: str, signer: str | None) -> None:
    found = read(SSH, code, err)
    assert (found.kind, found.standing, found.signer) == ("ssh", standing, signer)
    assert (found.reason is None) is (standing == "good")


def test_a_tag_without_signature_is_unsigned_whatever_its_message_tells() -> None:
    assert read("", 0, GOOD).standing is Standing.UNSIGNED
    assert read("> -----BEGIN PGP SIGNATURE-----\n", 0, GOOD).standing is Standing.UNSIGNED


def test_what_is_no_tag_object_is_named() -> None:
    class Missing(FakeGit):
        def __call__(self, *arguments: str, **_: object) -> Answer:
            return Answer(out=b"refs/tags/a b missing\nabc commit 2\nxx\n")

    found = verify(Missing(""), ["refs/tags/a b", "refs/tags/c"])
    assert [(one.tag, one.standing) for one in found] == [(None, Standing.UNSIGNED)] * 2
