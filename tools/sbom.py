"""Write the bill of materials of a built wheel, in CycloneDX 1.6.

What a release stands on is what it was tested with: the core's requirements as they are locked in
requirements/core.txt, each with the hashes of the files that may be installed for it. What depends
on what, and under which licence, is read of the distributions that are installed here, in the same
versions. Its time is the wheel's own, and no random number is in it: one commit gives the same
bytes on one system and minor version of Python. On another one, what needs what may differ.
"""

import argparse
import hashlib
import re
import sys
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
LOCKED = re.compile(
    r"(?m)^(?P<requirement>[a-z0-9][^\\\n]*?) ?\\\n(?P<hashes>(?:    --hash=\S+.*\n)+)"
)
REQUIREMENT = re.compile(r"(?m)^[^\s#-].*$")
LONGEST_NAME = 60
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "pkg:pypi/modelci")


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A version of requirements/core.txt, and the sha256 of each file that may be taken for it."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args(arguments)
    text = JsonV1Dot6(bill(chosen.wheel)).output_as_string(indent=2)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    output = chosen.folder / f"{'-'.join(chosen.wheel.name.split('-')[:2])}.cdx.json"
    output.write_text(f"{text}\n", encoding="utf-8")
    print(output)
    return 0


def bill(wheel: Path) -> Bom:
    """Return what a wheel stands on."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    _, version, _, _ = parse_wheel_filename(wheel.name)
    ours = component("modelci", str(version), type_=ComponentType.APPLICATION, hashes=(digest,))
    lock = (ROOT / "requirements" / "core.txt").read_text(encoding="utf-8")
    components = [describe(one) for one in read_lock(lock)]
    with zipfile.ZipFile(wheel) as archive:
        time = datetime(*archive.infolist()[0].date_time, tzinfo=UTC)
    metadata = BomMetaData(component=ours, timestamp=time)
    serial = uuid.uuid5(NAMESPACE, digest)
    bom = Bom(components=components, metadata=metadata, serial_number=serial)
    for one in (ours, *components):
        wanted = requirements(one.name)
        bom.register_dependency(one, [to for to in components if to.name in wanted])
    return bom


def read_lock(text: str) -> Iterator[Locked]:
    """Yield what a file of requirements pins; ValueError where a line has no hashes."""
    pinned = {found.start(): found for found in LOCKED.finditer(text)}
    for line in REQUIREMENT.finditer(text):
        found = pinned.get(line.start())
        if found is None:
            raise ValueError(f"No version with hashes: {line[0]}. `make lock` writes them.")
        requirement = Requirement(found["requirement"])
        (pin,) = requirement.specifier
        yield Locked(
            name=canonicalize_name(requirement.name),
            version=pin.version,
            marker=str(requirement.marker or ""),
            hashes=tuple(re.findall(r"sha256:([0-9a-f]{64})", found["hashes"])),
        )


def describe(one: Locked) -> Component:
    """Return the component; its licence is that of the version which is installed here."""
    made = component(one.name, one.version, type_=ComponentType.LIBRARY, hashes=one.hashes)
    if one.marker:
        made.properties.add(Property(name="modelci:marker", value=one.marker))
    if (dist := installed(one.name)) is not None and dist.version == one.version:
        made.licenses.update(licences(dist))
    return made


def component(
    name: str, version: str, *, type_: ComponentType, hashes: tuple[str, ...]
) -> Component:
    """Return a component, with a reference to each file that is distributed of it, by its hash."""
    purl = PackageURL("pypi", name=name, version=version)
    files = [
        ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(str(purl)),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        )
        for digest in hashes
    ]
    return Component(
        type=type_,
        name=name,
        version=version,
        bom_ref=str(purl),
        purl=purl,
        external_references=files,
    )


def installed(name: str) -> Distribution | None:
    """Return a distribution, or None of one that is for other machines."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def licences(dist: Distribution) -> Iterator[License]:
    """Yield what its metadata says: one expression, else a short name, else a classifier."""
    metadata = dist.metadata
    classified = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License :: ")
    ]
    named = (metadata.get_all(key) for key in ("License-Expression", "License"))
    told = next((texts[0] for texts in named if texts), "")
    if not told or "\n" in told or len(told) > LONGEST_NAME:
        told = classified[0] if classified else ""
    if told:
        yield LicenseFactory().make_from_string(told)


def requirements(name: str) -> set[str]:
    """Return the names that a distribution requires here without any extra."""
    dist = installed(name)
    wanted = map(Requirement, (dist.requires if dist else None) or ())
    return {
        canonicalize_name(one.name)
        for one in wanted
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
