"""A model's file as it was read once: what is scanned is what is loaded."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from modelci.errors import ConfigError

MAX_BYTES = 8 * 1024**3
"""A larger file is not read."""


class ModelFileError(ConfigError):
    """A model's file cannot be loaded, or may not be."""


@dataclass(frozen=True)
class ModelFile:
    """The bytes at ``path``."""

    path: Path
    data: bytes

    @cached_property
    def sha256(self) -> str:
        """The hash that golden requests and releases name."""
        return hashlib.sha256(self.data).hexdigest()


def read_model(path: Path, *, max_bytes: int = MAX_BYTES) -> ModelFile:
    """Read a file, or raise ModelFileError."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise ModelFileError(
                f"{path} holds {size:,} bytes, more than the {max_bytes:,} that are read."
            )
        return ModelFile(path=path, data=path.read_bytes())
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read: {error.strerror}.",
            hint="Check the path. What DVC keeps is brought here by `dvc pull`.",
        ) from error
