"""Semantic versions, as https://semver.org (2.0.0) orders them."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

Part = Literal["major", "minor", "patch"]

_NUMBER = r"0|[1-9][0-9]*"
_PRE = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = re.compile(
    rf"(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<pre>{_PRE}(?:\.{_PRE})*))?"
    r"(?:\+(?P<build>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)


class Version(NamedTuple):
    """A version; ``build`` takes no part in the order, but two builds are not equal."""

    major: int
    minor: int
    patch: int
    pre: str = ""
    build: str = ""

    @staticmethod
    def parse(text: str) -> "Version | None":
        """Read ``1.2.3-rc.1+build`` (without the ``v``), or return None."""
        return _parse(text)

    def bump(self, part: Part) -> "Version":
        """Return the next release; a pre-release's own release is next to it."""
        release = self._replace(pre="", build="")
        match part:
            case "major" if self.pre and self.minor == self.patch == 0:
                return release
            case "minor" if self.pre and self.patch == 0:
                return release
            case "patch" if self.pre:
                return release
            case "major":
                return release._replace(major=self.major + 1, minor=0, patch=0)
            case "minor":
                return release._replace(minor=self.minor + 1, patch=0)
            case "patch":
                return release._replace(patch=self.patch + 1)

    def __lt__(self, other: tuple[object, ...]) -> bool:
        return isinstance(other, Version) and self.order < other.order

    def __le__(self, other: tuple[object, ...]) -> bool:
        return isinstance(other, Version) and self.order <= other.order

    def __gt__(self, other: tuple[object, ...]) -> bool:
        return isinstance(other, Version) and other.order < self.order

    def __ge__(self, other: tuple[object, ...]) -> bool:
        return isinstance(other, Version) and other.order <= self.order

    @property
    def order(self) -> tuple[object, ...]:
        """What to sort by: equal for versions that differ in their builds alone."""
        if not self.pre:
            return (self.major, self.minor, self.patch, True, ())
        # A release stands after its pre-releases; a numeric part before a textual one.
        parts = tuple(
            (0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in self.pre.split(".")
            if part
        )
        return (self.major, self.minor, self.patch, False, parts)

    def __str__(self) -> str:
        pre = f"-{self.pre}" if self.pre else ""
        build = f"+{self.build}" if self.build else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{build}"


# One version is named by several tags, and by several artifacts.
@lru_cache(maxsize=65_536)
def _parse(text: str) -> Version | None:
    found = _SEMVER.fullmatch(text)
    if found is None:
        return None
    major, minor, patch, pre, build = found.groups()
    return Version(int(major), int(minor), int(patch), pre or "", build or "")


FIRST_VERSION = Version(0, 0, 1)
"""What GTO names an artifact's first version."""
