"""Signatures of versions' bytes: who makes them, and who reads them."""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelci.ports import SignatureReader
    from modelci.wiring.app import App
    from modelci.workflows.modelsigning import VersionSigner
    from modelci.workflows.promote import SignPlanned
    from modelci.workflows.verify import AboutSignature


class Signing:
    def __init__(self, app: "App") -> None:
        self._app = app

    @cached_property
    def reader(self) -> "SignatureReader":
        """Who says whose the signatures of bytes are."""
        from modelci.adapters.modelsigning import OpenSsfReader

        return OpenSsfReader()

    @cached_property
    def signer(self) -> "VersionSigner":
        """Who signs versions, as the configuration says; it needs the key when it signs."""
        from modelci.adapters.ci import signing_secrets
        from modelci.adapters.modelsigning import OpenSsfSigner, SignerSettings
        from modelci.workflows.modelsigning import VersionSigner

        config, root = self._app.configuration.config, self._app.git.root
        signing = config.signing
        pem, password = signing_secrets()
        signer = OpenSsfSigner(
            SignerSettings(
                method=signing.method,
                private_key=root / signing.private_key if signing.private_key else None,
                pem=pem,
                password=password,
                certificate=root / signing.certificate if signing.certificate else None,
                chain=tuple(root / path for path in signing.certificate_chain),
                trust_config=root / signing.trust_config if signing.trust_config else None,
            )
        )
        return VersionSigner(
            git=self._app.git.with_remote(config.promote.remote),
            snapshots=self._app.snapshots,
            stored=self._app.stored_bytes,
            signer=signer,
            reader=self.reader,
            config=self._app.config_of_job,
        )

    @property
    def sign_planned(self) -> "SignPlanned":
        """Signs the bytes of versions that are promoted, where that is wanted."""
        from modelci.workflows.promote import sign_nothing

        wanted = self._app.configuration.config.promote.sign_models
        return self.signer.sign_planned if wanted else sign_nothing

    def about_signature(self, *, remote: bool) -> "AboutSignature":
        """Return what checks the signature of a version's bytes."""
        from modelci.workflows.modelsigning import SignatureCheck

        return SignatureCheck(
            git=self._app.git,
            reader=self.reader,
            config=self._app.config_of_job,
            remote=remote,
        )
