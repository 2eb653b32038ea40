"""Reads the folder of templates that a project overrides parts of its reports with."""

from collections.abc import Mapping
from posixpath import normpath

from modelci.errors import ConfigError
from modelci.ports import FileTree

_MAX_FILES = 50
_MAX_BYTES = 256 * 1024


def read_templates(tree: FileTree, folder: str) -> Mapping[str, str]:
    """Return the texts of the folder's ``*.j2`` files, by their paths below it.

    Empty where ``tree`` has no such folder. ConfigError for a folder outside of the repository,
    and for files that are too many, too large or no UTF-8.
    """
    top = normpath(folder)
    if top.startswith(("/", "..")) or top == ".":
        raise ConfigError(
            f"report.templates is {folder!r}, which is no folder of the repository.",
            hint="Name one by its path from the top, such as `.modelci-templates`.",
        )
    paths = [path for path in tree.paths() if path.startswith(f"{top}/") and path.endswith(".j2")]
    if len(paths) > _MAX_FILES:
        raise ConfigError(f"{top} holds more than {_MAX_FILES} templates.")
    found = tree.read(paths)
    return {path[len(top) + 1 :]: _text(path, data) for path, data in found.items()}


def _text(path: str, data: bytes) -> str:
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES // 1024} KiB.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text.") from error
