"""Print what the tests are run with, pinned as requirements/dev.txt has it.

`make lock` resolves the oldest versions of all else beside it: what pytest or hypothesis were years
ago is nothing that this package promises.
"""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"(?m)^([a-z0-9-]+)(?:\[[^]]*\])?==([^ ]+)")


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    versions = dict(PINNED.findall(lock))
    for requirement in map(Requirement, project["dependency-groups"]["test"]):
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        print(f"{requirement.name}{extras}=={versions[canonicalize_name(requirement.name)]}")


if __name__ == "__main__":
    main()
