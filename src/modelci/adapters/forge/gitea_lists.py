"""Lists of Gitea and Forgejo, page after page."""

from collections.abc import Iterator
from typing import Protocol, TypeVar
from urllib.parse import urlencode

from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeError

PAGE = 50
MAX_PAGES = 200


class _Numbered(Protocol):
    @property
    def id(self) -> int: ...


N = TypeVar("N", bound=_Numbered)


def walk(client: ForgeClient, path: str, kind: type[N]) -> Iterator[N]:
    """Return the items of a list, page after page as they are asked for, none twice.

    Comments have no pages before Gitea 1.27 or so: the same reply comes whatever page is asked
    for. So a page ends the list that brings nothing new.
    """
    seen: set[int] = set()
    joint = "&" if "?" in path else "?"
    for page in range(1, MAX_PAGES + 1):
        query = urlencode({"limit": PAGE, "page": page})
        reply = client.send("GET", f"{path}{joint}{query}")
        items: list[N] = client.decode(reply, list[kind])  # type: ignore[valid-type]
        new = [item for item in items if item.id not in seen]
        yield from new
        seen.update(item.id for item in new)
        if not new or _saw_all(reply.headers.get("x-total-count", ""), len(seen)):
            return
    raise ForgeError(f"Gitea lists more than {MAX_PAGES} pages at {path}.")


def _saw_all(total: str, seen: int) -> bool:
    """Whether no further page is to be asked for."""
    return total.isascii() and total.isdigit() and seen >= int(total)
