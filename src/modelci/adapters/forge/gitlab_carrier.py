"""Lets python-gitlab speak while our own client carries: its retries, and its care for the token.

python-gitlab by itself follows redirects with the token, repeats a POST that may have done its
work, and waits without a bound.
"""

import re
from typing import Any

import httpx
from gitlab._backends.requests_backend import RequestsBackend, SendData

from modelci.adapters.forge.http import ForgeClient, RawBody

_REPEATABLE = re.compile(r"/(?:statuses/[^/?]+|uploads)$")
"""A status is the same when it is set twice; a picture uploaded twice is seen once."""


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
        files: dict[str, Any] | None = None,
        post_data: dict[str, Any] | None = None,
        raw: bool = False,  # noqa: FBT001, FBT002
    ) -> SendData:
        """Turn what a method sends into JSON or a form."""
        return RequestsBackend.prepare_send_data(files, post_data, raw)

    def http_request(
        self,
        method: str,
        url: str,
        json: object = None,
        data: Any = None,
        params: dict[str, Any] | None = None,
        **_: object,
    ) -> Carried:
        """Send a request and return its successful reply."""
        body = json
        if data is not None:
            body = RawBody(data=data.to_string(), content_type=data.content_type)
        address = httpx.URL(url).copy_merge_params(params or {})
        # None leaves it to the method whether a request may be sent again.
        repeatable = True if _REPEATABLE.search(address.path) else None
        reply = self.client.send(method.upper(), str(address), body, repeatable=repeatable)
        return Carried(reply)
