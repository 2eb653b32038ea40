"""All of a server's addresses but predictions: what it is, how it is, what it has counted."""

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelci import __version__

if TYPE_CHECKING:
    from modelci.serving.app import ServingApp

OPEN = frozenset(("/v2/health/live", "/v2/health/ready", "/docs"))
"""What needs no token: what probes ask, and a page that knows nothing by itself."""

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ALLOW = {"allow": "POST"}


class Rest:
    """The endpoints, which see the application as it is when they are asked."""

    def __init__(self, app: "ServingApp") -> None:
        self._app = app
        self._page, self._page_headers = _read_page()
        gets = {
            "/v2": self._server,
            "/v2/": self._server,
            "/v2/models": self._index,
            "/v2/models/": self._index,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/predict": self._predict,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
            "/docs": self._docs,
        }
        routes = [Route(path, endpoint, methods=["GET"]) for path, endpoint in gets.items()]
        # A model that there is not is told to who would ask it, too.
        routes.append(Route("/v2/models/{path:path}", self._model, methods=["GET", "POST"]))
        self.routes = Starlette(routes=routes, exception_handlers={HTTPException: _refuse})

    async def _server(self, _: Request) -> Response:
        extensions = ["binary_tensor_data"]
        return respond({"name": "modelci", "version": __version__, "extensions": extensions})

    async def _index(self, _: Request) -> Response:
        return respond({"models": [self._app.live.model.source.artifact]})

    async def _live(self, _: Request) -> Response:
        is_live = not self._app.engine.is_stuck
        return respond({"live": is_live}, 200 if is_live else 503)

    async def _ready(self, _: Request) -> Response:
        is_ready = self._app.is_ready
        return respond({"ready": is_ready}, 200 if is_ready else 503)

    async def _model(self, request: Request) -> Response:
        live, path = self._app.live, f"/v2/models/{request.path_params['path']}"
        source = live.model.source
        if path in live.endpoints:
            return await self._predict(request)
        if path.removesuffix("/ready") not in live.bases:
            raise HTTPException(
                404, f"There is nothing here: this server has {source.artifact} {source.version}."
            )
        if request.method == "POST":
            raise HTTPException(405, "This is asked for by GET.", {"allow": "GET, HEAD"})
        if path in live.bases:
            return respond(live.metadata)
        is_ready = self._app.is_ready
        content = {"name": source.artifact, "ready": is_ready}
        return respond(content, 200 if is_ready else 503)

    async def _predict(self, _: Request) -> Response:
        raise HTTPException(405, "Predictions are asked for by POST.", _ALLOW)

    async def _metrics(self, _: Request) -> Response:
        self._app.metrics.note_process()
        text = self._app.metrics.text(self._app.live.info)
        return Response(text, headers={"content-type": _METRICS_TYPE})

    async def _openapi(self, _: Request) -> Response:
        return respond(self._app.live.openapi)

    async def _docs(self, _: Request) -> Response:
        return Response(self._page, media_type="text/html", headers=self._page_headers)


def respond(content: object, status: int = 200) -> Response:
    """Return JSON; bytes are JSON already."""
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Response(body, status_code=status, media_type="application/json")


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    response = respond({"error": error.detail}, error.status_code)
    response.headers.update(error.headers or {})
    return response


def _read_page() -> tuple[bytes, dict[str, str]]:
    """Return the page, and headers that let in its own style and script, and this server alone."""
    page = Path(__file__).with_name("docs.html").read_bytes()
    sources = {
        kind: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
            for text in re.findall(rb"<%s>(.*?)</%s>" % (kind, kind), page, re.DOTALL)
        )
        for kind in (b"style", b"script")
    }
    policy = (
        f"default-src 'none'; style-src {sources[b'style']}; script-src {sources[b'script']}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
