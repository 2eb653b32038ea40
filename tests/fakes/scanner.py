"""A scanner of models that finds the same in each."""

from dataclasses import dataclass, field

from modelci.domain.modelfiles import Danger, FileFormat, FileScan, ScanFinding, Trust
from modelci.ports import FileTree, MissingDataError


@dataclass
class FakeScanner:
    """Finds a pickle that names ``mine.Encoder`` in every model; or has not got it."""

    missing: bool = False
    files: tuple[str, ...] = ("",)
    asked: list[tuple[str, Trust, str | None, bool]] = field(default_factory=list)

    def scan(
        self, tree: FileTree, path: str, *, trust: Trust, flavour: str | None, pull: bool
    ) -> tuple[FileScan, ...]:
        del tree
        self.asked.append((path, trust, flavour, pull))
        if self.missing:
            raise MissingDataError(f"{path} is not in the local DVC cache.", hint="Pull it.")
        return tuple(self._file(f"{path}{name}", trust) for name in self.files)

    def _file(self, path: str, trust: Trust) -> FileScan:
        findings = []
        if not trust.pickle:
            findings.append(ScanFinding(danger=Danger.PICKLE_NOT_ALLOWED, name="pickle"))
        if "mine.Encoder" not in trust.types:
            findings.append(ScanFinding(danger=Danger.FORBIDDEN_GLOBAL, name="mine.Encoder"))
        return FileScan(
            path=path,
            format=FileFormat.PICKLE,
            sha256="",
            bytes=1,
            types=("mine.Encoder",),
            findings=tuple(findings),
        )
