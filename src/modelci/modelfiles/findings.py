"""What an examination of a file comes to."""

from modelci.domain.modelfiles import Danger, ScanFinding


class RefusedError(Exception):
    """A file breaks a rule, and is read no further."""

    def __init__(self, danger: Danger, name: str, detail: str = "") -> None:
        super().__init__(f"{name}: {detail}" if detail else name)
        self.finding = ScanFinding(danger=danger, name=name[:_LONGEST], detail=detail)


_MOST = 1_000
_LONGEST = 200


class Examined:
    """What a file names, and what of that is refused; it grows while the file is read."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.made_with: dict[str, str] = {}
        self._findings: dict[ScanFinding, None] = {}

    @property
    def findings(self) -> tuple[ScanFinding, ...]:
        """What is refused, in the order in which it was met."""
        return tuple(self._findings)

    def name(self, dotted: str) -> None:
        """Note a name; RefusedError for a file that has no end of them."""
        if len(self.names) >= _MOST * 10:
            raise RefusedError(Danger.TOO_LARGE, "file", "it names too many things")
        self.names.add(dotted[:_LONGEST])

    def take(self, other: "Examined") -> None:
        """Add what a part of the file came to."""
        self.names |= other.names
        self.made_with |= other.made_with
        for one in other.findings:
            self.add(one)

    def refuse(self, danger: Danger, name: str, detail: str = "") -> None:
        """Note a finding, once."""
        self.add(ScanFinding(danger=danger, name=name[:_LONGEST], detail=detail))

    def add(self, finding: ScanFinding) -> None:
        """Note a finding, once; of very many the first will do."""
        if len(self._findings) < _MOST:
            self._findings.setdefault(finding)


def malformed(what: str, error: Exception) -> ScanFinding:
    """Return the finding that broken bytes made ``error`` of."""
    said = " ".join(str(error).split())[:200]
    detail = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return ScanFinding(danger=Danger.MALFORMED, name=what, detail=detail)
