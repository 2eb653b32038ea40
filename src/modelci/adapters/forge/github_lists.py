"""Lists of GitHub, page after page."""

from collections.abc import Iterator
from typing import TypeVar

from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeError

N = TypeVar("N")


def pages(
    client: ForgeClient, url: str, kind: type[N], *, needs: str, most: int, what: str | None = None
) -> Iterator[list[N]]:
    """Yield the pages of a list as they are asked for: ``Link`` names the next.

    After ``most`` of them it ends, or, if it says ``what`` is listed, raises ForgeError.
    """
    for _ in range(most):
        reply = client.send("GET", url, needs=needs)
        items: list[N] = client.decode(reply, list[kind])  # type: ignore[valid-type]
        yield items
        url = reply.links.get("next", {}).get("url", "")
        if not url:
            return
    if what is not None:
        raise ForgeError(f"GitHub lists more than {most} pages of {what}.")
