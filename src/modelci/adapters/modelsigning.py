"""Signatures of model bytes as OpenSSF's model-signing makes them: by key, certificate or Sigstore.

What is signed is the sha256 of every file, which whoever fetched them has computed: nothing is
hashed twice. So ``model_signing verify`` finds our signatures good, too, on a release's ``model/``.
"""

import base64
import binascii
import io
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelci.config.model import SigningMethod
from modelci.domain.modelsignatures import BytesSignature, Files, TrustedSigner
from modelci.domain.signatures import Standing
from modelci.errors import ConfigError, ForgeError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from model_signing.hashing import Config as Hashing
    from model_signing.signing import Config as Signing
    from model_signing.verifying import Config as Verifying

EXTRA = "signing"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PREDICATE = "https://model_signing/signature/v1.0"
_MAKE_KEY = (
    "openssl ecparam -name prime256v1 -genkey -noout -out model.pem makes one, and "
    "`openssl ec -in model.pem -pubout -out model.pub` its public half."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerSettings:
    """How we sign.

    ``private_key`` is a file, or ``pem`` what would stand in it; ``password`` opens either.
    ``chain`` are the certificates between ``certificate`` and the authority's.
    """

    method: SigningMethod = SigningMethod.KEY
    private_key: Path | None = None
    pem: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()
    trust_config: Path | None = None


class OpenSsfSigner:
    """The ``ModelSigner`` of the settings; what they need is read when something is signed."""

    def __init__(self, settings: SignerSettings) -> None:
        self._settings = settings

    @property
    def method(self) -> str:
        """By what."""
        return str(self._settings.method)

    def sign(self, subject: str, files: Files) -> bytes:
        """Return a Sigstore bundle, as JSON."""
        _require_library()
        with tempfile.TemporaryDirectory(prefix="modelci-sign-") as folder:
            config = self._config(Path(folder))
            config.set_hashing_config(_known(subject, files))
            out = Path(folder, "signature")
            with redirect_stdout(io.StringIO()), _explained("sign", self._settings.method):
                config.sign(folder, out)
            return out.read_bytes()

    def _config(self, folder: Path) -> "Signing":
        from model_signing.signing import Config  # noqa: PLC0415

        settings = self._settings
        if settings.method is SigningMethod.SIGSTORE:
            with _explained("sign", settings.method):
                return Config().use_sigstore_signer(
                    use_ambient_credentials=True, trust_config=settings.trust_config
                )
        key = self._plain_key(folder)
        if settings.method is SigningMethod.KEY:
            return Config().use_elliptic_key_signer(private_key=key)
        if settings.certificate is None:
            raise ConfigError(
                "signing.certificate is missing: signing.method is certificate.",
                hint="It is the path of the signing certificate (PEM).",
            )
        for path in (settings.certificate, *settings.chain):
            _read(path, "signing.certificate")
        with _unfit(f"{settings.certificate} does not certify the private key"):
            return Config().use_certificate_signer(
                private_key=key,
                signing_certificate=settings.certificate,
                # It does not take an empty chain; the certificate itself does no harm there.
                certificate_chain=settings.chain or (settings.certificate,),
            )

    def _plain_key(self, folder: Path) -> Path:
        """Return a file, for as long as ``folder`` lives, that has the key and no password."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

        settings = self._settings
        if settings.pem is None and settings.private_key is None:
            raise ConfigError(
                "There is no private key to sign with.",
                hint="Set signing.private_key (or MODELCI_SIGNING_PRIVATE_KEY) to its path, or "
                f"MODELCI_SIGNING_KEY_PEM to what it holds. {_MAKE_KEY}",
            )
        where, data = "MODELCI_SIGNING_KEY_PEM", (settings.pem or "").encode()
        if settings.pem is None and settings.private_key is not None:
            where = str(settings.private_key)
            data = _read(settings.private_key, "signing.private_key")
        password = settings.password.encode() if settings.password else None
        with _unfit(f"{where} is no private key that can be used", password=password):
            key = serialization.load_pem_private_key(data, password)
            _require_curve(getattr(key, "curve", None))
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        plain = folder / "key.pem"
        plain.touch(mode=0o600)
        plain.write_bytes(pem)
        return plain


class OpenSsfReader:
    """The ``SignatureReader`` of such bundles."""

    def read(self, signature: bytes, trusted: Sequence[TrustedSigner]) -> BytesSignature:
        """Return what a bundle says, and with whose key, certificate or identity it verifies."""
        _require_library()
        try:
            bundle = _only_what_is_read(json.loads(signature))
            method = _method_of(bundle)
            subject, files = _claims(bundle)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return BytesSignature(standing=Standing.BAD, reason=f"it is no signature: {error}")
        able = [one for one in trusted if _method_for(one) is method]
        found = BytesSignature(method=str(method), subject=subject, files=files)
        with tempfile.TemporaryDirectory(prefix="modelci-verify-") as scratch:
            file = Path(scratch, "signature")
            file.write_text(json.dumps(bundle), encoding="utf-8")
            tried = [(one, _try(one, file, bundle, subject, files)) for one in able]
        return _conclude(found, tried)


def _conclude(
    found: BytesSignature, tried: Sequence[tuple[TrustedSigner, str | None]]
) -> BytesSignature:
    good = tuple(one.name for one, wrong in tried if wrong is None)
    if good:
        return _with(found, Standing.GOOD, signers=good)
    if any(wrong is not None and wrong.startswith(_CHANGED) for _, wrong in tried):
        return _with(found, Standing.BAD, reason=_CHANGED)
    whys = [
        f"{one.name}: {_OTHER_KEY if _MISMATCH in str(wrong) else wrong}" for one, wrong in tried
    ]
    return _with(
        found, Standing.UNKNOWN, reason="; ".join(whys) or f"nobody is trusted by {found.method}"
    )


def _with(
    found: BytesSignature,
    standing: Standing,
    *,
    signers: tuple[str, ...] = (),
    reason: str | None = None,
) -> BytesSignature:
    return BytesSignature(
        standing=standing,
        method=found.method,
        signers=signers,
        subject=found.subject,
        files=found.files,
        reason=reason,
    )


_CHANGED = "it was changed after it was signed"
_MISMATCH, _OTHER_KEY = "Key mismatch", "another key made it"


def _try(
    signer: TrustedSigner, file: Path, bundle: Mapping[str, Any], subject: str, files: Files
) -> str | None:
    """Return why a bundle is not this signer's; None where it is."""
    with tempfile.TemporaryDirectory(prefix="modelci-verify-") as scratch:
        config = _verifying(signer, Path(scratch))
        config.set_hashing_config(_known(subject, files))
        wrong = _verify(config, file)
    if wrong is not None or signer.subject is None:
        return wrong
    names = _names_of(_leaf(bundle))
    return None if signer.subject in names else f"it is of {', '.join(names)}"


def _verify(config: "Verifying", file: Path) -> str | None:
    """Let the library verify; what it raises says what is wrong, of whatever type."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    said = io.StringIO()
    try:
        with redirect_stdout(said):
            config.verify(file.parent, file)
    except InvalidSignature:
        return _CHANGED
    except Exception as error:  # noqa: BLE001 - certificates and Sigstore have many of their own
        return _words(error)
    # Of a key without its fingerprint the library only prints that it cannot compare it.
    return said.getvalue().strip() or None


def _verifying(signer: TrustedSigner, scratch: Path) -> "Verifying":
    from model_signing.verifying import Config  # noqa: PLC0415

    if signer.public_key is not None:
        path = _write(scratch / "key.pub", signer.public_key)
        with _unfit(f"The public key of {signer.name} cannot be used"):
            return Config().use_elliptic_key_verifier(public_key=path)
    if signer.certificates is not None:
        path = _write(scratch / "authority.pem", signer.certificates)
        with _unfit(f"The certificates of {signer.name} cannot be used"):
            return Config().use_certificate_verifier(certificate_chain=[path])
    trust = _write(scratch / "trust.json", signer.trust_config) if signer.trust_config else None
    with _explained("verify", SigningMethod.SIGSTORE):
        return Config().use_sigstore_verifier(
            identity=signer.identity or "", oidc_issuer=signer.issuer or "", trust_config=trust
        )


# -- what a bundle says ----------------------------------------------------------------------------


def _only_what_is_read(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Return a bundle of just those parts that are read here, written in one way.

    The library knows some by two names, and decodes leniently: what it verifies has to be what is
    believed.
    """
    envelope, material = bundle["dsseEnvelope"], bundle["verificationMaterial"]
    (signature,) = envelope["signatures"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    kept = {key: material[key] for key in _MATERIAL if key in material}
    if "x509CertificateChain" in kept:
        chain = kept["x509CertificateChain"]["certificates"]
        certificates = [{"rawBytes": one["rawBytes"]} for one in chain]
        kept["x509CertificateChain"] = {"certificates": certificates}
    return {
        "mediaType": bundle["mediaType"],
        "verificationMaterial": kept,
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": envelope["payloadType"],
            "signatures": [{"sig": signature["sig"]}],
        },
    }


_MATERIAL = (
    *("publicKey", "x509CertificateChain", "certificate"),
    *("tlogEntries", "timestampVerificationData"),
)


def _method_of(bundle: Mapping[str, Any]) -> SigningMethod:
    material = bundle["verificationMaterial"]
    if "publicKey" in material:
        return SigningMethod.KEY
    if "x509CertificateChain" in material:
        return SigningMethod.CERTIFICATE
    if "certificate" in material:
        return SigningMethod.SIGSTORE
    raise ValueError("it names neither a key nor a certificate")


def _method_for(signer: TrustedSigner) -> SigningMethod:
    if signer.public_key is not None:
        return SigningMethod.KEY
    return SigningMethod.CERTIFICATE if signer.certificates is not None else SigningMethod.SIGSTORE


def _claims(bundle: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the subject and the files that a bundle's payload names; it proves nothing yet."""
    envelope = bundle["dsseEnvelope"]
    payload = json.loads(base64.b64decode(envelope["payload"]))
    if payload["predicateType"] != _PREDICATE:
        raise ValueError(f"it is a {payload['predicateType']}, not a {_PREDICATE}")
    (subject,) = payload["subject"]
    predicate = payload["predicate"]
    if predicate["serialization"]["method"] != "files":
        raise ValueError("it is not of whole files")
    files: dict[str, str] = {}
    for one in predicate["resources"]:
        is_digest = one["algorithm"] == "sha256" and _SHA256.fullmatch(one["digest"])
        if not is_digest or one["name"] in files:
            raise ValueError("it does not name each file once, by its sha256")
        files[str(one["name"])] = str(one["digest"])
    return str(subject["name"]), files


def _leaf(bundle: Mapping[str, Any]) -> "Certificate":
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415

    chain = bundle["verificationMaterial"]["x509CertificateChain"]["certificates"]
    return load_der_x509_certificate(base64.b64decode(chain[0]["rawBytes"]))


def _names_of(certificate: "Certificate") -> tuple[str, ...]:
    """Return whom a certificate is of: its subject, that one's common name, and others it bears."""
    from cryptography import x509  # noqa: PLC0415

    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    names = [certificate.subject.rfc4514_string(), *(str(one.value) for one in common)]
    try:
        others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return tuple(names)
    for kind in (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName):
        names += [str(one) for one in others.get_values_for_type(kind)]
    return tuple(names)


# -- the library -----------------------------------------------------------------------------------


def _require_library() -> None:
    try:
        import model_signing.signing  # noqa: PLC0415
        import model_signing.verifying  # noqa: F401, PLC0415
    except ImportError as error:
        raise ConfigError(
            f"Signatures of models need the package {error.name or 'model-signing'}.",
            hint=f"pip install 'modelci[{EXTRA}]'",
        ) from error


def _known(subject: str, files: Files) -> "Hashing":
    """Return a "hashing" that hashes nothing: the digests are known."""
    from model_signing import hashing, manifest  # noqa: PLC0415
    from model_signing._hashing.hashing import Digest  # noqa: PLC0415

    items = [
        manifest.FileManifestItem(path=Path(name), digest=Digest("sha256", bytes.fromhex(digest)))
        for name, digest in files.items()
    ]
    kind = manifest.SerializationType.from_args(
        {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    )

    class Known(hashing.Config):  # type: ignore[misc]
        def hash(self, *_: object, **__: object) -> manifest.Manifest:
            return manifest.Manifest(subject, items, kind)

    return Known()


# -- errors ----------------------------------------------------------------------------------------


@contextmanager
def _unfit(what: str, *, password: bytes | None = None) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, binascii.Error) as error:
        hint = _MAKE_KEY
        if "assword" in str(error):
            hint = "MODELCI_SIGNING_PASSWORD opens a key that is encrypted."
            if password is not None:
                hint = "MODELCI_SIGNING_PASSWORD does not open it (an open one has none)."
        raise ConfigError(f"{what}: {_words(error)}.", hint=hint) from error


@contextmanager
def _explained(what: str, method: SigningMethod) -> Iterator[None]:
    """Turn what the library raises into an error: of Sigstore's, nearly all are of the network."""
    try:
        yield
    except Exception as error:
        if method is SigningMethod.SIGSTORE:
            raise ForgeError(
                f"Sigstore could not {what}: {_words(error)}.",
                hint="It has to be reached, and in a job it takes `permissions: id-token: write`. "
                "signing.trust_config names a private instance; a key works offline.",
            ) from error
        raise ConfigError(
            f"It cannot be signed: {_words(error)}.", hint="Check the settings of `signing`."
        ) from error


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".")[:300]


def _require_curve(curve: Any) -> None:
    if getattr(curve, "name", None) not in {"secp256r1", "secp384r1", "secp521r1"}:
        raise ValueError("it is on none of the curves prime256v1, secp384r1 and secp521r1")


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.", hint=f"{setting} names it."
        ) from error


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
