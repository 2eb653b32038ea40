"""ZIP files as an honest tool writes them."""

import zipfile
from collections.abc import Mapping
from io import BytesIO


def make_zip(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of the files, compressed."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return buffer.getvalue()
