"""The ASGI application: predictions by the shortest way, everything else through Starlette.

A model and all that depends on it is one value, ``Live``. A request takes it once, at its
beginning; to switch to another model is to put another value in its place.
"""

import logging
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from starlette.types import Message, Receive, Scope, Send

from modelci.serving import records, tensors
from modelci.serving.engine import Engine
from modelci.serving.exchange import (
    BINARY,
    JSON,
    Head,
    Reply,
    linger,
    read_body,
    read_head,
    send_early,
    send_reply,
)
from modelci.serving.metrics import (
    ERRORS,
    IN_FLIGHT,
    INFER,
    LATENCY,
    OTHER,
    RECORDS,
    ROWS,
    UNSEEN,
    Metrics,
)
from modelci.serving.model import ServedModel
from modelci.serving.openapi import describe
from modelci.serving.refusal import Kind, Refusal
from modelci.serving.requestlog import LogShape, RequestLog
from modelci.serving.rest import OPEN, Rest
from modelci.serving.schema import Batch
from modelci.serving.settings import Settings

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A way to ask for predictions; ``name`` is what it is counted by."""

    name: str
    answer: Callable[["ServingApp", "Live", Head, bytes], Coroutine[Any, Any, Reply]]


class Live:
    """A model with its addresses: what the application answers from until it is switched."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.shape = LogShape.of(model)
        name, version = model.source.artifact, model.source.version
        self.bases = (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}")
        self.endpoints = {"/predict": Endpoint(RECORDS, _answer_records)}
        for base in self.bases:
            self.endpoints[f"{base}/infer"] = Endpoint(INFER, _answer_tensors)
            self.endpoints[f"{base}/records"] = Endpoint(RECORDS, _answer_records)

    @cached_property
    def metadata(self) -> bytes:
        """The protocol's description of the model."""
        source, predictor = self.model.source, self.model.predictor
        return msgspec.json.encode(
            {
                "name": source.artifact,
                "versions": [source.version],
                "platform": predictor.flavour,
                "inputs": tensors.metadata(tuple(self.model.schema.inputs.values())),
                "outputs": tensors.metadata(predictor.outputs),
            }
        )

    @cached_property
    def openapi(self) -> bytes:
        """The OpenAPI description of this server as it is with this model."""
        return msgspec.json.encode(describe(self.model))

    @property
    def info(self) -> dict[str, str]:
        """What the metrics say of the model."""
        source = self.model.source
        return {
            "artifact": source.artifact,
            "version": source.version,
            "release": source.release,
            "flavour": self.model.predictor.flavour,
        }


class ServingApp:
    """Answers HTTP requests from one model; ``switch`` puts another in its place."""

    def __init__(
        self,
        model: ServedModel,
        *,
        settings: Settings,
        metrics: Metrics,
        engine: Engine,
        log: RequestLog | None = None,
    ) -> None:
        self.live = Live(model)
        self.settings = settings
        self.metrics = metrics
        self.engine = engine
        self.log = log
        self.is_draining = False
        self._waiting = 0
        self._rest = Rest(self).routes

    def switch(self, model: ServedModel) -> None:
        """Answer from another model, from the next request on."""
        self.live = Live(model)

    @property
    def is_ready(self) -> bool:
        """Whether requests should be sent here."""
        return not self.is_draining and not self.engine.is_stuck

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        live = self.live
        endpoint = live.endpoints.get(scope["path"])
        if endpoint is not None and scope["method"] == "POST":
            await self._predict(live, endpoint, scope, receive, send)
        else:
            await self._answer_rest(scope, receive, send)

    async def _predict(
        self, live: Live, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send
    ) -> None:
        began = time.perf_counter()
        head = read_head(scope["headers"])
        self._waiting += 1
        self.metrics.add(IN_FLIGHT)
        body: bytes | None = None
        try:
            try:
                self._admit(head)
                body = await read_body(receive, head, self.settings.max_body)
                if body is None:  # the client is gone
                    return
                reply = await endpoint.answer(self, live, head, body)
            except Refusal as refusal:
                reply = self._refuse(refusal, head.request_id)
            except Exception as error:  # noqa: BLE001 - no client shall see what went wrong in here
                reply = self._refuse(_our_bug(error), head.request_id)
            # Counted first: who has the answer finds it in the metrics.
            self.metrics.answered(endpoint.name, reply.status)
            self.metrics.observe(LATENCY, time.perf_counter() - began, endpoint.name)
            if body is None:
                await send_early(send, reply, head.request_id)
            else:
                await send_reply(send, reply, head.request_id)
        finally:
            self._waiting -= 1
            self.metrics.add(IN_FLIGHT, amount=-1)
        if body is None:
            await linger(send, receive, most=self.settings.max_body)

    def _admit(self, head: Head) -> None:
        self._check_token(head)
        if self._waiting > self.settings.max_waiting:
            raise Refusal(
                503,
                Kind.OVERLOADED,
                "Too many requests are waiting. Try again in a second.",
                headers=[(b"retry-after", b"1")],
            )

    def _check_token(self, head: Head) -> None:
        if not self.settings.lets_in(head.authorization):
            raise Refusal(
                401,
                Kind.UNAUTHORIZED,
                "A bearer token is needed, and this is none that is known.",
                headers=[(b"www-authenticate", b"Bearer")],
            )

    async def ask(self, live: Live, batch: Batch, request_id: str) -> tensors.Answers:
        """Return the model's answers to a batch, counted and logged."""
        try:
            answers = await self.engine.ask(live.model, batch)
        except ValueError as error:
            # What the model's own encoder says: the client sent it, and may know what it means.
            said = str(error).split("\n", 1)[0][:300]
            raise Refusal(422, Kind.PREDICTION, f"The model cannot read this: {said}") from error
        self.metrics.add(ROWS, amount=batch.rows)
        if batch.warnings:
            self.metrics.add(UNSEEN, amount=len(batch.warnings))
        if self.log is not None:
            self.log.add(request_id, live.shape, batch, answers)
        return answers

    def _refuse(self, refusal: Refusal, request_id: str) -> Reply:
        self.metrics.add(ERRORS, refusal.kind)
        return Reply(refusal.status, (JSON, *refusal.headers), refusal.body(request_id))

    async def _answer_rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = read_head(scope["headers"])
        status = 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", head.request_id.encode()))
                self.metrics.answered(OTHER, status)
            await send(message)

        try:
            if scope["path"] not in OPEN:
                self._check_token(head)
            await self._rest(scope, receive, send_noted)
        except Refusal as refusal:
            reply = self._refuse(refusal, head.request_id)
        except Exception as error:  # noqa: BLE001 - no client shall see what went wrong in here
            reply = self._refuse(_our_bug(error), head.request_id)
        else:
            return
        if not status:
            self.metrics.answered(OTHER, reply.status)
            await send_reply(send, reply, head.request_id)


async def _answer_records(app: ServingApp, live: Live, head: Head, body: bytes) -> Reply:
    batch = live.model.schema.read(body, max_rows=app.settings.max_rows)
    request_id = batch.id or head.request_id
    answers = await app.ask(live, batch, request_id)
    return Reply(200, (JSON,), records.write(live.model, batch, answers, request_id=request_id))


async def _answer_tensors(app: ServingApp, live: Live, head: Head, body: bytes) -> Reply:
    most = app.settings.max_rows
    inference = live.model.tensors.read(body, header=head.json_length, max_rows=most)
    request_id = inference.batch.id or head.request_id
    try:
        answers = await app.ask(live, inference.batch, request_id)
    except Refusal as refusal:
        if refusal.status == 422:  # the protocol knows one status for what is the client's fault
            refusal.status = 400
        raise
    source = live.model.source
    text, length = tensors.write(
        inference, answers, model=source.artifact, version=source.version, request_id=request_id
    )
    if length is None:
        return Reply(200, (JSON,), text)
    header = (b"inference-header-content-length", str(length).encode())
    return Reply(200, (BINARY, header), text)


def _our_bug(error: Exception) -> Refusal:
    """Log where something went wrong, without any value, and return what the client is told."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(
        f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in reversed(frames)
    )
    _logger.error("A request failed: %s at %s", type(error).__name__, places)
    return Refusal(500, Kind.INTERNAL, "The server failed to answer; its log says where.")
