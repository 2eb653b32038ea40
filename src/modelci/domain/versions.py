"""Semantic versions, as https://semver.org (2.0.0) orders them."""

import re
from dataclasses import dataclass, replace
from typing import Literal, Self

Part = Literal["major", "minor", "patch"]

_NUMBER = r"0|[1-9][0-9]*"
_PRE = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = re.compile(
    rf"(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<pre>{_PRE}(?:\.{_PRE})*))?"
    r"(?:\+(?P<build>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)


@dataclass(frozen=True, slots=True)
class Version:
    """A version; ``build`` takes no part in the order, but two builds are not equal."""

    major: int
    minor: int
    patch: int
    pre: str = ""
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read ``1.2.3-rc.1+build`` (without the ``v``), or return None."""
        found = _SEMVER.fullmatch(text)
        if found is None:
            return None
        return cls(
            int(found["major"]),
            int(found["minor"]),
            int(found["patch"]),
            found["pre"] or "",
            found["build"] or "",
        )

    def bump(self, part: Part) -> Self:
        """Return the next release; a pre-release's own release is next to it."""
        release = replace(self, pre="", build="")
        match part:
            case "major" if self.pre and self.minor == self.patch == 0:
                return release
            case "minor" if self.pre and self.patch == 0:
                return release
            case "patch" if self.pre:
                return release
            case "major":
                return replace(release, major=self.major + 1, minor=0, patch=0)
            case "minor":
                return replace(release, minor=self.minor + 1, patch=0)
            case "patch":
                return replace(release, patch=self.patch + 1)

    def __lt__(self, other: "Version") -> bool:
        return self._order < other._order

    def __le__(self, other: "Version") -> bool:
        return self._order <= other._order

    def __gt__(self, other: "Version") -> bool:
        return other < self

    def __ge__(self, other: "Version") -> bool:
        return other <= self

    @property
    def _order(self) -> tuple[object, ...]:
        # A release stands after its pre-releases; a numeric part before a textual one.
        parts = tuple(
            (0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in self.pre.split(".")
            if part
        )
        return (self.major, self.minor, self.patch, not self.pre, parts)

    def __str__(self) -> str:
        pre = f"-{self.pre}" if self.pre else ""
        build = f"+{self.build}" if self.build else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{build}"


FIRST_VERSION = Version(0, 0, 1)
"""What GTO names an artifact's first version."""
