"""OpenSSF's model-signing behind our port: keys, certificates, and what hostile bundles come to."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.certificates import Authority, Key, make_key, private, public, write

from modelci.adapters.modelsigning import OpenSsfReader, OpenSsfSigner, SignerSettings
from modelci.config.model import SigningMethod
from modelci.domain.modelsignatures import BytesSignature, TrustedSigner
from modelci.domain.signatures import Standing
from modelci.errors import ConfigError, ForgeError

TAG = "credit@v1.2.0"
CONTENTS = {"credit.skops": b"a model", "more/vocabulary.txt": b"words"}
FILES = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENTS.items()}
KEY = make_key()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return write(tmp_path / "model.pem", private(KEY))


def trusted(key: Key = KEY, name: str = "anna") -> TrustedSigner:
    return TrustedSigner(name=name, public_key=public(key))


def signed(key: Path, *, subject: str = TAG) -> bytes:
    return OpenSsfSigner(SignerSettings(private_key=key)).sign(subject, FILES)


def read(signature: bytes, *who: TrustedSigner) -> BytesSignature:
    return OpenSsfReader().read(signature, who or [trusted()])


def test_what_was_signed_with_a_key_is_that_keys(key_file: Path) -> None:
    found = read(signed(key_file), trusted(make_key(), "ben"), trusted())
    assert found == BytesSignature(
        standing=Standing.GOOD, method="key", signers=("anna",), subject=TAG, files=FILES
    )


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_all_curves_of_the_format_are_taken(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    made = signed(write(tmp_path / "key.pem", private(key)))
    assert read(made, trusted(key)).is_good


def test_the_librarys_own_tools_find_it_good_on_the_files(key_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for name, data in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    signature = write(tmp_path / "model.sig", signed(key_file))
    pub = write(tmp_path / "model.pub", public(KEY))
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(signature), "--public_key", str(pub)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (folder / "credit.skops").write_bytes(b"another model")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_another_key_is_nobodys(key_file: Path) -> None:
    found = read(signed(key_file), trusted(make_key(), "ben"))
    assert (found.standing, found.reason) == (Standing.UNKNOWN, "ben: another key made it")


def test_a_key_may_come_from_a_variable_and_be_encrypted(tmp_path: Path) -> None:
    pem = private(KEY, b"hush")
    settings = SignerSettings(pem=pem.decode(), password="hush")
    assert read(OpenSsfSigner(settings).sign(TAG, FILES)).is_good
    file = write(tmp_path / "key.pem", pem)
    settings = SignerSettings(private_key=file, password="hush")
    assert read(OpenSsfSigner(settings).sign(TAG, FILES)).is_good


@pytest.mark.parametrize(
    ("settings", "says", "hint"),
    [
        (SignerSettings(), "no private key", "MODELCI_SIGNING_KEY_PEM"),
        (SignerSettings(private_key=Path("/nonexistent")), "cannot be read", "private_key"),
        (SignerSettings(pem="no key"), "no private key that can be used", "openssl"),
        (SignerSettings(pem=private(KEY, b"x").decode()), "password", "MODELCI_SIGNING_PASSWORD"),
        (
            SignerSettings(pem=private(KEY, b"x").decode(), password="y"),
            "password",
            "does not open it",
        ),
        (
            SignerSettings(pem=private(rsa.generate_private_key(65537, 2048)).decode()),
            "prime256v1",
            "openssl",
        ),
        (
            SignerSettings(method=SigningMethod.CERTIFICATE, pem=private(KEY).decode()),
            "certificate is missing",
            "PEM",
        ),
    ],
)
def test_what_cannot_sign_says_why(settings: SignerSettings, says: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"(?i){says}") as caught:
        OpenSsfSigner(settings).sign(TAG, FILES)
    assert hint in (caught.value.hint or "")


def test_a_secret_is_in_no_message_of_ours() -> None:
    settings = SignerSettings(pem=private(KEY).decode(), password="hush")
    assert "hush" not in repr(settings)
    assert "PRIVATE" not in repr(settings)


# -- certificates ----------------------------------------------------------------------------------


@pytest.fixture
def authority() -> Authority:
    return Authority.make()


def certified(authority: Authority, tmp_path: Path, key: Key = KEY, **more: Any) -> bytes:
    certificate = authority.certify(key, "Model release", address="models@example.com", **more)
    settings = SignerSettings(
        method=SigningMethod.CERTIFICATE,
        pem=private(KEY).decode(),
        certificate=write(tmp_path / "certificate.pem", certificate),
    )
    return OpenSsfSigner(settings).sign(TAG, FILES)


def of(authority: Authority, subject: str | None = None) -> TrustedSigner:
    return TrustedSigner(name="release", certificates=authority.pem, subject=subject)


@pytest.mark.parametrize(
    "subject", [None, "Model release", "CN=Model release", "models@example.com"]
)
def test_a_certificate_of_the_authority_counts_by_any_of_its_names(
    authority: Authority, tmp_path: Path, subject: str | None
) -> None:
    found = read(certified(authority, tmp_path), of(authority, subject))
    assert (found.standing, found.method) == (Standing.GOOD, "certificate")
    assert found.signers == ("release",)


def test_somebody_else_of_the_same_authority_does_not_count(
    authority: Authority, tmp_path: Path
) -> None:
    found = read(certified(authority, tmp_path), of(authority, "payroll@example.com"))
    assert found.standing is Standing.UNKNOWN
    assert "models@example.com" in (found.reason or "")


def test_another_authoritys_certificate_does_not_count(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority.make()  # of the same name
    assert read(certified(other, tmp_path), of(authority)).standing is Standing.UNKNOWN


def test_a_certificate_that_may_not_sign_does_not_count(
    authority: Authority, tmp_path: Path
) -> None:
    made = certified(authority, tmp_path, signs=False)
    assert read(made, of(authority)).standing is Standing.UNKNOWN


def test_a_certificate_of_another_key_cannot_sign(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not certify the private key"):
        certified(authority, tmp_path, make_key())


def test_a_key_is_not_taken_for_a_certificate(authority: Authority, tmp_path: Path) -> None:
    found = read(certified(authority, tmp_path), trusted())
    assert (found.standing, found.reason) == (Standing.UNKNOWN, "nobody is trusted by certificate")


@pytest.mark.parametrize("field", ["public_key", "certificates"])
def test_a_trusted_key_that_is_none_is_the_projects_mistake(
    key_file: Path, authority: Authority, tmp_path: Path, field: str
) -> None:
    made = signed(key_file) if field == "public_key" else certified(authority, tmp_path)
    who = TrustedSigner(name="anna", **{field: b"-----BEGIN NOTHING-----"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="anna cannot be used"):
        read(made, who)


# -- Sigstore --------------------------------------------------------------------------------------


def test_a_sigstore_that_cannot_be_reached_is_told_apart(key_file: Path, tmp_path: Path) -> None:
    bundle = json.loads(signed(key_file))
    bundle["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []}
    who = TrustedSigner(
        name="ci", identity="https://ci", issuer="https://issuer", trust_config=b"{}"
    )
    with pytest.raises(ForgeError, match="Sigstore could not verify") as caught:
        read(json.dumps(bundle).encode(), who)
    assert "trust_config" in (caught.value.hint or "")
    settings = SignerSettings(
        method=SigningMethod.SIGSTORE, trust_config=write(tmp_path / "trust.json", b"{}")
    )
    with pytest.raises(ForgeError, match="Sigstore could not sign"):
        OpenSsfSigner(settings).sign(TAG, FILES)


# -- what is hostile -------------------------------------------------------------------------------


def payload_of(bundle: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    return found


def with_payload(bundle: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    text = base64.b64encode(json.dumps(payload).encode()).decode()
    return {**bundle, "dsseEnvelope": {**bundle["dsseEnvelope"], "payload": text}}


def another_subject(payload: dict[str, Any]) -> None:
    payload["subject"][0]["name"] = "fraud@v9.0.0"


def another_digest(payload: dict[str, Any]) -> None:
    payload["predicate"]["resources"][0]["digest"] = "0" * 64


def fewer_files(payload: dict[str, Any]) -> None:
    payload["predicate"]["resources"].pop()


@pytest.mark.parametrize("change", [another_subject, another_digest, fewer_files])
def test_what_is_changed_after_it_was_signed_is_bad(
    key_file: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    bundle = json.loads(signed(key_file))
    payload = payload_of(bundle)
    change(payload)
    found = read(json.dumps(with_payload(bundle, payload)).encode())
    assert found.standing is not Standing.GOOD
    assert found.signers == ()


def test_what_is_believed_is_what_was_verified(key_file: Path) -> None:
    """One that says two things, by a field's two names, has not one read and the other checked."""
    bundle = json.loads(signed(key_file))
    payload = payload_of(bundle)
    another_subject(payload)
    forged = with_payload(bundle, payload)
    double = {**forged, "dsse_envelope": bundle["dsseEnvelope"]}
    assert read(json.dumps(double).encode()).standing is not Standing.GOOD
    reverse = {"dsse_envelope": forged["dsseEnvelope"], **bundle}
    found = read(json.dumps(reverse).encode())
    assert (found.standing, found.subject) == (Standing.GOOD, TAG)


def test_a_signature_without_its_keys_fingerprint_says_nothing_on_stdout(
    key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = json.loads(signed(key_file))
    bundle["verificationMaterial"]["publicKey"] = {}
    assert read(json.dumps(bundle).encode()).standing is Standing.UNKNOWN
    assert capsys.readouterr().out == ""


def test_the_compatible_old_kind_of_statement_is_refused(key_file: Path) -> None:
    bundle = json.loads(signed(key_file))
    payload = payload_of(bundle)
    payload["predicateType"] = "https://model_signing/Digests/v0.1"
    found = read(json.dumps(with_payload(bundle, payload)).encode())
    assert found.standing is Standing.BAD


@pytest.mark.parametrize(
    "text",
    [b"", b"no json", b"[]", b"null", b'{"verificationMaterial": {}}', b"\xff\xfe", b"[" * 100_000],
)
def test_what_is_no_signature_is_bad_and_no_error(text: bytes) -> None:
    assert read(text).standing is Standing.BAD


@cache
def made() -> bytes:
    return OpenSsfSigner(SignerSettings(pem=private(KEY).decode())).sign(TAG, FILES)


@settings(max_examples=80)
@given(part=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_no_bundle_with_a_byte_replaced_is_good_for_anything_else(part: float, byte: int) -> None:
    at = int(part * len(made()))
    found = read(made()[:at] + bytes([byte]) + made()[at + 1 :])
    if found.is_good:
        assert (found.subject, dict(found.files)) == (TAG, FILES)


def test_without_the_extra_the_command_to_install_it_is_named(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['model_signing'] = None\n"
        "from modelci.adapters.modelsigning import OpenSsfReader\n"
        "from modelci.errors import ConfigError\n"
        "try: OpenSsfReader().read(b'{}', [])\n"
        "except ConfigError as error: print(error, error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert "pip install 'modelci[signing]'" in done.stdout.decode()
