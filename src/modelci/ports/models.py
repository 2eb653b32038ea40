"""Model files: scanned, asked, signed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from modelci.domain.golden import Golden
from modelci.domain.modelfiles import FileScan, Trust
from modelci.domain.modelsignatures import BytesSignature, Files, TrustedSigner
from modelci.ports.git import FileTree


class ModelScanner(Protocol):
    """Scans models of a revision by hash, never by checkout, and without loading them."""

    def scan(
        self, tree: FileTree, path: str, *, trust: Trust, flavour: str | None, pull: bool
    ) -> tuple[FileScan, ...]:
        """Return what was found of the file at ``path``, or of every file in it.

        With ``pull`` the DVC remote is asked for what the cache lacks. Raises MissingDataError.
        """


class Asker(Protocol):
    """Asks a model in a process of its own, which sees no credentials."""

    def ask(
        self,
        model: Path,
        rows: Sequence[Mapping[str, object]],
        *,
        golden: Golden | None,
        trust: Trust,
        flavour: str | None,
    ) -> Sequence[Mapping[str, object]]:
        """Return what the model at that path answers to each row, by column of a request log.

        Rows may have more columns than it reads. Raises ConfigError where it is not to be loaded or
        cannot answer.
        """


class ModelSigner(Protocol):
    """Signs a version's bytes."""

    @property
    def method(self) -> str:
        """By what: key, certificate or sigstore."""

    def sign(self, subject: str, files: Files) -> bytes:
        """Return a signature which says that ``subject`` is made of these files.

        Raises ConfigError where what it takes is missing or unfit, ForgeError where Sigstore does
        not answer.
        """


class SignatureReader(Protocol):
    """Says whose the signatures of a version's bytes are."""

    def read(self, signature: bytes, trusted: Sequence[TrustedSigner]) -> BytesSignature:
        """Return what a signature says, and by whom of the ``trusted`` it is.

        It is good if it is by any of them; ``ref`` is left empty. Raises ConfigError where a
        signer's key or certificate is unfit, ForgeError where Sigstore's own cannot be had.
        """
