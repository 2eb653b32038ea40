"""What an examination of a file comes to."""

from dataclasses import dataclass, field

from modelci.domain.modelfiles import Danger, ScanFinding


class RefusedError(Exception):
    """A file breaks a rule, and is read no further."""

    def __init__(self, danger: Danger, name: str, detail: str = "") -> None:
        super().__init__(f"{name}: {detail}" if detail else name)
        self.finding = ScanFinding(danger=danger, name=name, detail=detail)


@dataclass(slots=True)
class Examined:
    """What a file names, and what of that is refused; it grows while the file is read."""

    names: set[str] = field(default_factory=set)
    findings: list[ScanFinding] = field(default_factory=list)
    made_with: dict[str, str] = field(default_factory=dict)

    def take(self, other: "Examined") -> None:
        """Add what a part of the file came to."""
        self.names |= other.names
        self.made_with |= other.made_with
        for one in other.findings:
            self.add(one)

    def refuse(self, danger: Danger, name: str, detail: str = "") -> None:
        """Note a finding, once."""
        self.add(ScanFinding(danger=danger, name=name, detail=detail))

    def add(self, finding: ScanFinding) -> None:
        """Note a finding, once."""
        if finding not in self.findings:
            self.findings.append(finding)


def malformed(what: str, error: Exception) -> ScanFinding:
    """Return the finding that broken bytes made ``error`` of."""
    said = " ".join(str(error).split())[:200]
    detail = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return ScanFinding(danger=Danger.MALFORMED, name=what, detail=detail)
