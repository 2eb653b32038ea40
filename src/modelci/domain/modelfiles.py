"""What a model's file may hold, and whether loading it could run code that came with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class FileFormat(StrEnum):
    """How a model's file is written, by its bytes and not by its name."""

    SKOPS = "skops"
    ONNX = "onnx"
    PICKLE = "pickle"
    JOBLIB = "joblib"
    NUMPY = "numpy"
    JSON = "json"
    UNKNOWN = "unknown"


class Danger(StrEnum):
    """Why a file is refused."""

    UNTRUSTED_TYPE = "untrusted-type"
    FORBIDDEN_GLOBAL = "forbidden-global"
    PICKLE_NOT_ALLOWED = "pickle-not-allowed"
    EXTERNAL_DATA = "external-data"
    UNKNOWN_FORMAT = "unknown-format"
    MALFORMED = "malformed"
    TOO_LARGE = "too-large"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFinding:
    """One thing that loading the file would bring in; ``name`` is a dotted type or function."""

    danger: Danger
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScan:
    """One file: its format, all types that it names, and what of that is refused.

    ``made_with`` are the versions of packages that the file itself records.
    """

    path: str
    format: FileFormat
    sha256: str
    bytes: int
    types: tuple[str, ...] = ()
    findings: tuple[ScanFinding, ...] = ()
    made_with: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_safe(self) -> bool:
        """Whether it may be loaded."""
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The document ``modelci.scan/1``: what loading a model's files would bring in."""

    files: tuple[FileScan, ...]

    @property
    def is_safe(self) -> bool:
        """Whether all of it may be loaded."""
        return all(one.is_safe for one in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What may be loaded: types beyond the built-in lists, and whether pickles may at all."""

    types: Sequence[str] = ()
    pickle: bool = False


def advice(findings: Sequence[ScanFinding], *, has_flags: bool) -> str:
    """Return what to do about the gravest of the findings.

    ``has_flags`` says that the command takes ``--trust`` and ``--allow-pickle``.
    """
    dangers = {one.danger for one in findings}
    found = next(danger for danger in _ADVICE if danger in dangers)
    return _ADVICE[found].format(*(_FLAGS.get(found, ("", "")) if has_flags else ("", "")))


_VOUCH = (
    "If you made this file and know what the names do, vouch for them: safety.trusted_types in "
    "modelci.yaml{0}. Else do not load it."
)
_FLAGS = {
    Danger.FORBIDDEN_GLOBAL: (", or --trust NAME",),
    Danger.UNTRUSTED_TYPE: (", or --trust NAME",),
    Danger.PICKLE_NOT_ALLOWED: (" (--allow-pickle)",),
}
_ADVICE = {
    Danger.MALFORMED: (
        "It is broken or crafted: make it again from your own code, or have DVC bring it again."
    ),
    Danger.TOO_LARGE: "It is broken or crafted: make it again from your own code.",
    Danger.FORBIDDEN_GLOBAL: _VOUCH,
    Danger.UNTRUSTED_TYPE: _VOUCH,
    Danger.EXTERNAL_DATA: "Save the model with its numbers in the same file.",
    Danger.UNKNOWN_FORMAT: "Save it with skops or as ONNX, or install the flavour that reads it.",
    Danger.PICKLE_NOT_ALLOWED: (
        "Save it with skops. Or name the artifact in safety.allow_pickle{0}: its "
        "pickle is then read through an allow-list."
    ),
}
