"""Keys, and an authority that certifies them, made anew for each session."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey
_PEM = serialization.Encoding.PEM
_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def make_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def private(key: Key | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption)


def public(key: Key) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(_PEM, form)


@dataclass(frozen=True)
class Authority:
    """An authority that certifies whom it is asked to."""

    key: Key
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str = "Example CA") -> "Authority":
        key = make_key()
        built = _builder(name, name, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        return cls(key, built.sign(key, hashes.SHA256()))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(_PEM)

    def certify(self, key: Key, name: str, *, address: str, signs: bool = True) -> bytes:
        """Return the certificate of a key; one that does not sign may only agree on keys."""
        issuer = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        usage = x509.KeyUsage(
            digital_signature=signs,
            key_agreement=not signs,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        built = _builder(name, str(issuer), key).add_extension(usage, critical=True)
        built = built.add_extension(
            x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False
        )
        return built.sign(self.key, hashes.SHA256()).public_bytes(_PEM)


def _builder(name: str, issuer: str, key: Key) -> x509.CertificateBuilder:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_START)
        .not_valid_after(_START + dt.timedelta(days=365))
    )


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
