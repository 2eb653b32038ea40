"""Print what CHANGELOG.md says of the version that a tag names, as a release's notes.

The tag is held to the version of the package, and the version to the changelog: a release without a
word of what changed is refused.
"""

import re
import sys
from pathlib import Path

from modelci import __version__

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    try:
        print(notes(*arguments, changelog=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        print(f"::error title=release::{error}", file=sys.stderr)
        return 1
    return 0


def notes(tag: str, *, changelog: str, version: str = __version__) -> str:
    """Return the section ``## VERSION - DATE``; ValueError says what is amiss."""
    if tag != f"v{version}":
        raise ValueError(f"{tag} is not v{version}, the version in src/modelci/__init__.py.")
    sections = re.split(r"(?m)^## ", changelog)
    dated = re.compile(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d\n")
    found = [text for text in sections if dated.match(text)]
    if len(found) != 1:
        said = f"{len(found)} sections" if found else "no section"
        raise ValueError(f"CHANGELOG.md has {said} '## {version} - YYYY-MM-DD'.")
    body = found[0].partition("\n")[2].strip()
    if not body:
        raise ValueError(f"CHANGELOG.md says nothing of {version}.")
    return body


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
