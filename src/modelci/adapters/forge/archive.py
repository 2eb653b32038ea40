"""One file out of an archive that a stranger may have made, read in memory and never unpacked."""

import stat
import zipfile
import zlib
from io import BytesIO
from struct import error as StructError  # noqa: N812
from typing import NoReturn

from modelci.errors import ForgeError

MAX_ENTRIES = 1_000
_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CORRUPT = (
    zipfile.BadZipFile,
    zlib.error,
    StructError,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def read_member(archive: bytes, path: str, *, max_bytes: int) -> bytes:
    """Return the plain file of exactly that path.

    Raises ForgeError for what is missing, twice there, larger than ``max_bytes``, of another size
    than its header says, a link, encrypted, or no sound ZIP file. No more than ``max_bytes`` and
    one are ever unpacked.
    """
    # Counted before zipfile makes an object of each; a file's own bytes can only add to it.
    if archive.count(_ENTRY) > MAX_ENTRIES:
        _refuse(f"lists more than {MAX_ENTRIES:,} files")
    try:
        with zipfile.ZipFile(BytesIO(archive)) as opened:
            entry = _find(opened, path)
            if entry.file_size > max_bytes:
                _refuse(f"says that {path!r} is larger than {max_bytes:,} bytes")
            with opened.open(entry) as file:
                data = file.read(max_bytes + 1)
            if len(data) != entry.file_size:
                _refuse(f"says {entry.file_size:,} bytes of {path!r}, which has {len(data):,}")
    except _CORRUPT as error:
        raise ForgeError(f"The artifact is no sound ZIP file: {error}.") from error
    return data


def _find(opened: zipfile.ZipFile, path: str) -> zipfile.ZipInfo:
    entries = opened.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        _refuse("lists a file twice")
    # zipfile trims what follows a NUL: the name as it was stored must be the same.
    found = [one for one in entries if one.filename == one.orig_filename == path]
    if not found:
        _refuse(f"has no file {path!r}")
    entry = found[0]
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir() or kind not in {0, stat.S_IFREG}:
        _refuse(f"has {path!r}, but not as a plain file")
    if entry.flag_bits & _ENCRYPTED:
        _refuse(f"has {path!r} encrypted")
    if entry.compress_type not in _METHODS:
        _refuse(f"has {path!r} compressed in a way that is not read here")
    return entry


def _refuse(why: str) -> NoReturn:
    raise ForgeError(
        f"The artifact {why}.", hint="Upload the one file that is wanted with upload-artifact."
    )
