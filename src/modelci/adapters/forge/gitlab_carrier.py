"""Lets python-gitlab speak while our own client carries: its retries, and its care for the token.

python-gitlab by itself follows redirects with the token, repeats a POST that may have done its
work, and waits without a bound.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from modelci.adapters.forge.http import ForgeClient, RawBody

_REPEATABLE = re.compile(r"/(?:statuses/[^/?]+|uploads)$")
"""A status is the same when it is set twice; a picture uploaded twice is seen once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a method of python-gitlab sends: JSON, or a form's bytes."""

    content_type: str = "application/json"
    json: object = None
    data: bytes | None = None


class Carried:
    """A reply as python-gitlab reads it: httpx and requests name most of it alike."""

    def __init__(self, reply: httpx.Response) -> None:
        self.response = reply
        self.status_code = reply.status_code
        self.headers = reply.headers
        self.content = reply.content
        self.reason = reply.reason_phrase

    def json(self) -> Any:
        """Return the body's JSON."""
        return self.response.json()


class Carrier:
    """A backend of python-gitlab that sends through a ``ForgeClient``.

    Headers, credentials, timeouts and certificates are the client's; what fails raises the
    client's errors, so that python-gitlab sees successful replies alone.
    """

    def __init__(self, *, carrier: ForgeClient) -> None:
        self.client = carrier

    def prepare_send_data(
        self,
        files: Mapping[str, Any] | None = None,
        post_data: Mapping[str, Any] | None = None,
        raw: bool = False,  # noqa: ARG002, FBT001, FBT002
    ) -> Sent:
        """Return JSON, or the form that carries ``files``: (name, contents) by field."""
        if not files:
            return Sent(json=post_data)
        form = httpx.Request("POST", "https://form.invalid", data=post_data, files=files)
        return Sent(content_type=form.headers["content-type"], data=form.read())

    def http_request(
        self,
        method: str,
        url: str,
        json: object = None,
        data: bytes | None = None,
        params: dict[str, Any] | None = None,
        *,
        headers: Mapping[str, str],
        **_: object,
    ) -> Carried:
        """Send a request and return its successful reply."""
        body = json
        if data is not None:
            body = RawBody(data=data, content_type=headers["Content-type"])
        address = httpx.URL(url).copy_merge_params(params or {})
        # None leaves it to the method whether a request may be sent again.
        repeatable = True if _REPEATABLE.search(address.path) else None
        reply = self.client.send(method.upper(), str(address), body, repeatable=repeatable)
        return Carried(reply)
