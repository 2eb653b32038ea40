"""What every forge that stores pictures must know of them: a name, and a type by the bytes."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

from modelci.errors import ForgeError

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
}
_BEFORE = (("<?xml", "?>"), ("<!--", "-->"), ("<!DOCTYPE", ">"))
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


def name_pictures(pictures: Mapping[str, bytes]) -> dict[str, str]:
    """Return a file name for each picture, of its contents alone: equal ones share it."""
    return {name: _file_name(name, data) for name, data in pictures.items()}


def month_of(seconds: float) -> str:
    """Return the month of a Unix time as ``2026-11``, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m")


def is_month_over(month: str, *, now: float, keep_days: int) -> bool:
    """Whether a month's last day is more than ``keep_days`` ago; no month never is."""
    found = _MONTH.fullmatch(month)
    if found is None:
        return False
    year, number = int(found[1]), int(found[2])
    if not 1 <= year < date.max.year:
        return False
    following = date(year + number // 12, number % 12 + 1, 1)
    today = datetime.fromtimestamp(now, UTC).date()
    return today - (following - timedelta(days=1)) > timedelta(days=keep_days)


def is_text(name: str) -> bool:
    """Whether a file of that name holds text."""
    return name.endswith(".svg")


def _file_name(name: str, data: bytes) -> str:
    kind = next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), None)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        kind = "webp"
    if kind is None and _is_svg(data):
        kind = "svg"
    if kind is None:
        raise ForgeError(
            f"{name!r} is no picture that a forge shows.",
            hint="PNG, JPEG, GIF, WebP and SVG are shown.",
        )
    return f"{sha256(data).hexdigest()[:32]}.{kind}"


def _is_svg(data: bytes) -> bool:
    """Whether the root element is ``svg``; what may stand before it is skipped."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    for start, end in _BEFORE:
        text = text.lstrip()
        if text.startswith(start):
            text = text.partition(end)[2]
    return re.match(r"<svg[\s>]", text.lstrip()) is not None
