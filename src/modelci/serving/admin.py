"""Who may switch models asks here: a socket in the file system, which has no other guard."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from modelci.domain.golden import Health
from modelci.serving.app import ServingApp
from modelci.serving.control import Done

_MAX_BODY = 65_536


class SwitchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``release`` is a release's folder; without one, what the server was started with counts."""

    release: str | None = None


class Status(msgspec.Struct, kw_only=True):
    """What answers now; ``error`` is why it was not switched."""

    artifact: str
    version: str
    release: str
    ready: bool
    health: Health | None = None
    error: str | None = None
    hint: str | None = None


class AdminApp:
    """``GET /status`` and ``POST /switch``."""

    def __init__(
        self, app: ServingApp, switch: Callable[[Path | None], Coroutine[Any, Any, Done]]
    ) -> None:
        self._app = app
        self._switch = switch
        routes = [
            Route("/status", self._answer_status, methods=["GET"]),
            Route("/switch", self._answer_switch, methods=["POST"]),
        ]
        self._routes = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._routes(scope, receive, send)

    async def _answer_status(self, _: Request) -> Response:
        return _respond(self._status(Done(health=self._app.live.model.health)))

    async def _answer_switch(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY:
                return _respond({"error": "The body is too large."}, 413)
        try:
            wanted = msgspec.json.decode(body or b"{}", type=SwitchRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _respond({"error": f'Send {{"release": "FOLDER"}}: {error}.'}, 400)
        done = await self._switch(None if wanted.release is None else Path(wanted.release))
        return _respond(self._status(done), 200 if done.error is None else 409)

    def _status(self, done: Done) -> Status:
        source = self._app.live.model.source
        return Status(
            artifact=source.artifact,
            version=source.version,
            release=source.release,
            ready=self._app.is_ready,
            health=done.health,
            error=done.error,
            hint=done.hint,
        )


def _respond(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
