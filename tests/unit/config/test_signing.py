import pytest

from modelci.config.load import load
from modelci.config.model import SigningMethod
from modelci.errors import ConfigError


def test_signers_are_known_by_one_of_three_means() -> None:
    text = b"""
signing:
  method: sigstore
  trusted:
    anna: {public_key: anna.pub}
    lab: {certificates: [ca.pem], subject: models@example.com}
    merge: {identity: "https://ci", issuer: "https://issuer"}
  signers: {credit: [anna, merge], "lab-*": [lab]}
deploy: {require_signature: true}
"""
    config = load(text).config
    assert config.signing.method is SigningMethod.SIGSTORE
    assert set(config.signing.trusted) == {"anna", "lab", "merge"}
    assert config.signing.signers["credit"] == ("anna", "merge")


def test_the_private_keys_path_may_come_from_a_variable() -> None:
    environment = {
        "MODELCI_SIGNING_PRIVATE_KEY": "/run/model.pem",
        "MODELCI_SIGNING_KEY_PEM": "a secret",
    }
    loaded = load(b"", environment=environment)
    assert loaded.config.signing.private_key == "/run/model.pem"
    assert "a secret" not in str(loaded)  # what the key holds is no setting


ANNA = "signing: {trusted: {anna: {public_key: anna.pub}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("signing: {trusted: {anna: {}}}", "known by one of public_key, certificates and identity"),
        (
            "signing: {trusted: {anna: {public_key: a, identity: b, issuer: c}}}",
            "known by one of public_key, certificates and identity",
        ),
        ("signing: {trusted: {anna: {identity: b}}}", "identity and issuer go together"),
        ("signing: {trusted: {anna: {public_key: a, subject: b}}}", "goes with certificates"),
        ("signing: {trusted: {anna: {public_key: a, trust_config: b}}}", "goes with identity"),
        (f"{ANNA}, signers: {{credit: [ben]}}}}", r"ben is none of signing\.trusted \(anna\)"),
        ("signing: {method: certificate}", "certificate is missing"),
        ("deploy: {require_signature: true}", r"signing\.trusted names nobody"),
    ],
)
def test_what_could_not_be_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(text.encode())
