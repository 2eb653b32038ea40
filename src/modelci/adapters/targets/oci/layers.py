"""Layers of images: archives with no owner, no time and one order, so that equal files are equal.

Where things lie in an image: the packages in ``/opt/modelci``, the release in ``/release``.
"""

import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from modelci.adapters.targets.oci.packages import Packages
from modelci.adapters.targets.tools import ToolError, Tools
from modelci.documents import codec
from modelci.domain.deployment import Release
from modelci.errors import DeploymentError

PACKAGES, RELEASE = "opt/modelci", "release"
_FOLDER_MODE, _FILE_MODE, _PROGRAM_MODE = 0o755, 0o644, 0o755
_ANY_EXECUTE = 0o111
_BLOCK = 1024 * 1024


def write_packages(packages: Packages, folder: Path, archive: Path, tools: Tools) -> None:
    """Write the packages, compiled, into an archive; ``folder`` is scratch.

    A container runs as nobody and cannot keep what Python compiles: without it each would compile
    all anew when it starts. What is compiled says neither when nor where it was.
    """
    top = folder / PACKAGES
    for file in packages.files:
        place = top / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        _link(file.source, place)
    compile_all = ("-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "-j", "0")
    where = ("-s", str(folder), "-p", "/", str(top))
    with suppress(ToolError):  # some packages hold files for their tests that are no Python
        tools.run([str(packages.interpreter), "-I", *compile_all, *where])
    write_archive(top, PACKAGES, archive)


def write_release(release: Release, folder: Path, scratch: Path, archive: Path) -> None:
    """Write a release, the files that it names and no others, into an archive."""
    for file in release.files:
        place = scratch / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        _link(folder / file.path, place)
    codec.write(release, scratch / "release.json")
    write_archive(scratch, RELEASE, archive)


def write_archive(top: Path, name: str, archive: Path) -> None:
    """Write a folder into an archive, under a name."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_folder(name))
        for path in sorted(top.rglob("*")):
            inside = f"{name}/{path.relative_to(top).as_posix()}"
            if path.is_dir():
                tar.addfile(_folder(inside))
                continue
            with path.open("rb") as data:
                tar.addfile(_file(inside, os.fstat(data.fileno())), data)


def _folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, _FOLDER_MODE
    return info


def _file(name: str, stat: os.stat_result) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = stat.st_size
    info.mode = _PROGRAM_MODE if stat.st_mode & _ANY_EXECUTE else _FILE_MODE
    return info


def _link(source: Path, place: Path) -> None:
    try:
        place.hardlink_to(source.resolve())
    except OSError:  # another file system
        shutil.copyfile(source, place)


def unpack(archives: Iterable[Path], folder: Path) -> None:
    """Unpack the files that modelci put into layers, and nothing else that is in them.

    Whoever can push to the registry may have made them: no path leads out of ``folder``.
    """
    for archive in archives:
        try:
            with tarfile.open(archive, "r:*") as tar:
                for member, inside in _ours(tar):
                    _unpack(tar, member, folder / inside)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DeploymentError(f"A layer of the image cannot be unpacked: {error}") from error


def _ours(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    for member in tar:
        path = PurePosixPath(member.name)
        is_ours = any(path.is_relative_to(top) for top in (PACKAGES, RELEASE))
        if is_ours and ".." not in path.parts and (member.isfile() or member.isdir()):
            yield member, path


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    data = tar.extractfile(member)
    if data is not None:
        with data, place.open("wb") as file:
            shutil.copyfileobj(data, file, _BLOCK)
