"""Untrusted text made harmless.

Names, values and logs come from the pull request. Whatever they hold, they must not format,
link, notify, colour, reorder or command anything: they are shown as what they are.
"""

import re
from itertools import count

NAME_LIMIT = 120
"""Characters shown of a name; a longer one loses its middle."""

PROSE_LIMIT = 400
"""Characters shown of a sentence that holds foreign text."""

# Control characters, surrogates, line separators, and what is invisible or reorders its line.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_BACKTICKS = re.compile("`+")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[A-Za-z0-9._~/?#=&%+,;:-]*)?")
_PATH = re.compile(r"(?:[A-Za-z0-9._~-]+)?(?:/[A-Za-z0-9._~-]+)+(?:\?[A-Za-z0-9._~=&-]*)?")

# What Markdown reads, and what GitHub makes a mention, reference, link or emoji even if escaped.
_INLINE = re.compile(
    r"@(?=\w)|#(?=\w)|GH(?=-\d)|www(?=\.)|:(?=//|(?:\d*[a-z+-][\w+-]*|100|1234):)"
    r"|[\\`*_\[\]~<>&$#]",
    re.IGNORECASE,
)
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "$": "&#36;"}
_BLOCK_START = re.compile(r"^(?:[-+](?=[ -]|$)|[0-9]+(?=[.)](?: |$)))")

# What a runner of GitHub Actions takes for a command in a line of plain output.
_COMMAND = re.compile(r":(?=:)|##(?=\[)")
_LINE_COMMAND = re.compile(r"(?m)^\s*:(?=:)|##(?=\[)")


def clean(text: str, limit: int = NAME_LIMIT) -> str:
    """Return one line in which every character can be seen, at most ``limit`` long."""
    if len(text) > 8 * limit:  # the middle goes anyway: do not clean megabytes of it
        text = text[: 4 * limit] + text[-4 * limit :]
    return clip(_HIDDEN.sub(_spell, text), limit)


def clip(text: str, limit: int) -> str:
    """Take the middle out of a text that is too long."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail - 1]}…{text[-tail:]}"


def log_lines(text: str, *, lines: int = 40, width: int = 400) -> tuple[str, ...]:
    """Return the last lines of a log without colours, each cleaned.

    Of a line that a progress bar wrote over again and again only the last state counts.
    """
    found = _ANSI.sub("", text[-lines * width * 4 :]).rstrip().split("\n")[-lines:]
    states = (line.rstrip("\r").rsplit("\r", 1)[-1].expandtabs(4) for line in found)
    return tuple(clean(state, width) for state in states)


def web_address(text: str | None) -> str | None:
    """Return an address that may stand in a link, or None."""
    return text if text and len(text) <= 500 and _URL.fullmatch(text) else None


def picture_address(text: str) -> str | None:
    """Return an address that may stand in an image: http, https, or a path on the forge."""
    is_path = bool(_PATH.fullmatch(text)) and not text.startswith("//") and "/../" not in text
    return text if len(text) <= 500 and (is_path or _URL.fullmatch(text)) else None


def code(text: str, limit: int = NAME_LIMIT) -> str:
    """Return a Markdown code span: in it nothing formats, links or notifies.

    A table's row still has to escape the pipes in it (see ``table_row``).
    """
    return fence(clean(text, limit))


def fence(content: str) -> str:
    """Put backticks around clean text: a run of them that the text does not hold."""
    if not content.strip(" "):
        return "(blank)"
    runs = {len(run) for run in _BACKTICKS.findall(content)}
    ticks = "`" * next(length for length in count(1) if length not in runs)
    edges = content[0] + content[-1]
    pad = " " if "`" in edges or edges == "  " else ""
    return f"{ticks}{pad}{unmark(content)}{pad}{ticks}"


def unmark(text: str) -> str:
    """Break what opens an HTML comment: a body is searched for our marker as plain text."""
    return text.replace("<!--", "<!\u200b--")


def prose(text: str, limit: int = PROSE_LIMIT) -> str:
    """Return Markdown that reads as ``text``, wherever in a line it stands."""
    plain = clean(text, limit).strip(" ")
    return _BLOCK_START.sub(_escape_start, inline(plain))


def inline(text: str) -> str:
    """Return Markdown that reads as ``text`` in the middle of a line."""
    return _INLINE.sub(_escape_inline, text)


def table_row(cells: list[str]) -> str:
    """Return a row of a Markdown table; a pipe ends a cell even inside a code span."""
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def terminal(text: str, limit: int = NAME_LIMIT) -> str:
    """Return clean text that commands neither a terminal nor a runner that reads its output."""
    return _COMMAND.sub(r"\g<0>" + "\u200b", clean(text, limit))


def log_text(text: str) -> str:
    """Return text for a log, on the lines that it has: none of them commands terminal or runner.

    A line in the middle of which colons or brackets stand is left as it is, to be copied.
    """
    lines = (_HIDDEN.sub(_spell, line) for line in text.splitlines())
    return _LINE_COMMAND.sub("\\g<0>\u200b", "\n".join(lines))


def _spell(found: re.Match[str]) -> str:
    character = found[0]
    point = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _escape_inline(found: re.Match[str]) -> str:
    text = found[0]
    if text in _ENTITIES:
        return _ENTITIES[text]
    if text == "#":
        return r"\#&#8203;"
    if len(text) > 1 or text in "@:":
        return f"{text}&#8203;"
    return f"\\{text}"


def _escape_start(found: re.Match[str]) -> str:
    # A list's number is disarmed behind it, a bullet or a rule before it.
    return f"{found[0]}\u200b" if found[0].isdigit() else f"\\{found[0]}"
