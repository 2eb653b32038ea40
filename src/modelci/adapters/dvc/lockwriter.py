"""Writes a stage's results to ``dvc.lock`` at once, in a time that hardly grows with the file.

DVC parses and prints the whole file for every stage. The entries of a file that DVC wrote are
blocks of lines that do not depend on each other, so we print one block by DVC's own printer and put
it in its place: the same bytes. Where a file is not as DVC would print it (comments, other quotes),
DVC itself writes it, and what came in another order than in a sequential run is put in order last.

The file is replaced in one step, so that a run that is killed leaves every finished stage in it.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from modelci.adapters.dvc import seams
from modelci.adapters.dvc.quickprint import HASH, KEY, TEXT, WIDTH, WORDS

_HEADER = "schema: '2.0'\nstages:\n"
_INDENT = "  "
_BLOCK = re.compile(r"^  (?=\S)", re.MULTILINE)
# Lines that the printer can only have written as they stand; all others are put to the test.
_SIMPLE_KEY = re.compile(rf"{KEY}:\Z")
_LINE = re.compile(
    rf"""\ {{4,}}(?:(?:-\ )?{KEY}:(?:\ (?=\S)|\Z)|-\ (?=\S))
    (?: (?P<text>{TEXT})
    | {HASH}
    | (?:0|[1-9][0-9]{{0,15}})
    )?\Z""",
    re.VERBOSE,
)


class LockFiles:
    """The lock files of one run; ``stages`` stand in the order of a sequential one."""

    def __init__(self, stages: Sequence[Any], scratch: str) -> None:
        self._scratch = scratch
        self._ranks: dict[str, dict[str, int]] = {}
        for rank, stage in enumerate(stages):
            if seams.is_pipeline_stage(stage):
                self._ranks.setdefault(seams.lock_path(stage), {})[stage.name] = rank
        self._files: dict[str, _Blocks | None] = {}
        self._before: dict[str, list[str]] = {}

    def dump(self, stage: Any) -> None:
        """Write what ``stage`` has read and written, as ``stage.dump`` does."""
        if not seams.is_pipeline_stage(stage):
            stage.dump(update_pipeline=False)
            return
        path = seams.lock_path(stage)
        blocks = self._blocks(path)
        if blocks is None:
            stage.dump(update_pipeline=False)
            return
        text = seams.print_yaml({"stages": seams.lock_entry(stage)}).removeprefix("stages:\n")
        if blocks.put(stage.name, text, self._ranks[path]):
            seams.track(stage.repo, path)
        self._files[path] = blocks.write(self._scratch)

    def settle(self) -> None:
        """Put in order what DVC itself has written."""
        for path, known in self._before.items():
            content = seams.parse_for_update(Path(path).read_text(encoding="utf-8"), path)
            stages = content["stages"]
            order = _in_order(list(stages), known, self._ranks[path])
            if order != list(stages):
                content["stages"] = type(stages)((name, stages[name]) for name in order)
                _replace(path, seams.print_yaml(content), self._scratch)

    def _blocks(self, path: str) -> "_Blocks | None":
        if path in self._before:
            return None
        blocks = self._files.get(path)
        if blocks is None or not blocks.is_current():
            blocks = _Blocks.read(path)
            if blocks is None:
                self._before[path] = _names(path)
        return blocks


class _Blocks:
    """A lock file as text: each stage's lines by its name, in the file's order."""

    def __init__(self, path: str, blocks: dict[str, str], known: list[str]) -> None:
        self._path = path
        self._blocks = blocks
        self._known = known
        self._stamp = _stamp(path)

    @classmethod
    def read(cls, path: str) -> Self | None:
        """Return the file's blocks; None where DVC would not print them as they are."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(path, {}, [])
        except UnicodeError:
            return None
        blocks = split(text)
        return None if blocks is None else cls(path, blocks, list(blocks))

    def is_current(self) -> bool:
        """Whether nobody else has written the file since."""
        return self._stamp == _stamp(self._path)

    def put(self, name: str, text: str, ranks: Mapping[str, int]) -> bool:
        """Place a stage's lines; say whether they are new. New stages stand at the end, by rank."""
        if self._blocks.get(name) == text:
            return False
        is_new = name not in self._blocks
        self._blocks[name] = text
        if is_new and self._is_out_of_order(ranks):
            order = _in_order(list(self._blocks), self._known, ranks)
            self._blocks = {one: self._blocks[one] for one in order}
        return True

    def _is_out_of_order(self, ranks: Mapping[str, int]) -> bool:
        last, before, *_ = (*list(reversed(self._blocks))[:2], "", "")
        return before in ranks and before not in self._known and ranks[before] > ranks[last]

    def write(self, scratch: str) -> Self:
        """Replace the file."""
        _replace(self._path, _HEADER + "".join(self._blocks.values()), scratch)
        self._stamp = _stamp(self._path)
        return self


def split(text: str) -> dict[str, str] | None:
    """Return the lines of each stage by its name; None if DVC would print any other than it is."""
    if not text.startswith(_HEADER) or not text.endswith("\n"):
        return None
    body = text[len(_HEADER) :]
    starts = [found.start() for found in _BLOCK.finditer(body)]
    if not starts or starts[0]:
        return None
    blocks: dict[str, str] = {}
    for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
        block = body[start:end]
        name = _name_if_printed(block)
        if name is None or name in blocks:
            return None
        blocks[name] = block
    return blocks


def _name_if_printed(block: str) -> str | None:
    """Return the stage's name if the block is just what DVC's printer makes of its values."""
    first, *lines = block.splitlines()
    key = first[len(_INDENT) :]
    if _SIMPLE_KEY.match(key) and not WORDS.match(key) and _are_simple(lines):
        return key[:-1]
    text = f"stages:\n{block}"
    try:
        content = seams.parse_for_update(text, "dvc.lock")
        (stages,) = content.values()
        (name,) = stages
    except Exception:  # noqa: BLE001 - whatever is wrong with it, DVC shall say
        return None
    return str(name) if isinstance(name, str) and seams.print_yaml(content) == text else None


def _are_simple(lines: Sequence[str]) -> bool:
    """Whether the lines below a stage's name are plain, and indented as the printer does it."""
    column, is_open = len(_INDENT), True
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        is_item = line[indent : indent + 1] == "-"
        if indent > column and (is_item or not is_open or indent != column + len(_INDENT)):
            return False
        if not _is_simple(line):
            return False
        column, is_open = indent + len(_INDENT) * is_item, line.endswith(":")
    return True


def _is_simple(line: str) -> bool:
    found = _LINE.match(line)
    if found is None or len(line) > WIDTH or "#" in line:
        return False
    key = line.lstrip(" -")
    text = found["text"]
    return not (WORDS.match(key) or (text and WORDS.match(text + ":")))


def _in_order(names: list[str], known: list[str], ranks: Mapping[str, int]) -> list[str]:
    """Return names as a sequential run leaves them: known ones first, new ones as they ran."""
    old = set(known)
    new = sorted((name for name in names if name not in old), key=lambda name: ranks.get(name, -1))
    return [name for name in names if name in old] + new


def _names(path: str) -> list[str]:
    content = seams.parse_for_update(Path(path).read_text(encoding="utf-8"), path)
    return list(content.get("stages") or {})


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - once for every stage
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _replace(path: str, text: str, scratch: str) -> None:
    """Write the file in one step, with the rights it had; ``scratch`` is a folder of ours."""
    path = os.path.realpath(path)
    temporary = os.path.join(scratch, f"dvc.lock.{os.getpid()}")  # noqa: PTH118
    with open(temporary, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123
        file.write(text)
    with contextlib.suppress(FileNotFoundError):
        shutil.copymode(path, temporary)
    shutil.move(temporary, path)
