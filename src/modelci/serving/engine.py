"""Asks the model, one batch at a time: quick ones at once, others in a thread, in their order."""

import asyncio
import concurrent.futures
import time
from functools import partial

from modelci.serving.metrics import PREDICTION, Metrics
from modelci.serving.model import ServedModel
from modelci.serving.refusal import Kind, Refusal
from modelci.serving.schema import Batch
from modelci.serving.tensors import Answers

STUCK_FACTOR = 10
"""A prediction that takes so many times what a request may is not waited for any more."""


class Engine:
    """One thread beside the event loop's; ``seconds`` is what a request may wait and take."""

    def __init__(self, metrics: Metrics, *, seconds: float) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._executor = concurrent.futures.ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="model"
        )
        self._queued = 0
        self._began: float | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether a prediction does not come back: only a new process would help."""
        began = self._began
        return began is not None and time.monotonic() - began > STUCK_FACTOR * self._seconds

    async def ask(self, model: ServedModel, batch: Batch) -> Answers:
        """Return the model's answers, or raise Refusal: 504 where they take too long."""
        # What was queued first is answered first, and nobody else asks the model meanwhile.
        if not self._queued and batch.rows <= model.inline_rows:
            return self._predict(model, batch)
        self._queued += 1
        loop = asyncio.get_running_loop()
        job = self._executor.submit(self._predict_aside, model, batch)
        job.add_done_callback(partial(self._ended, loop))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job), self._seconds)
        except TimeoutError as error:
            raise Refusal(
                504,
                Kind.TIMEOUT,
                f"The model did not answer within {self._seconds:g} seconds. Send fewer rows.",
            ) from error

    def close(self) -> None:
        """Let go of the thread, and of what waits for it."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _ended(
        self, loop: asyncio.AbstractEventLoop, job: "concurrent.futures.Future[Answers]"
    ) -> None:
        # Called in the thread: what the loop reads is changed by the loop.
        del job
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._queued -= 1

    def _predict_aside(self, model: ServedModel, batch: Batch) -> Answers:
        self._began = time.monotonic()
        try:
            return self._predict(model, batch)
        finally:
            self._began = None

    def _predict(self, model: ServedModel, batch: Batch) -> Answers:
        began = time.perf_counter()
        answers = model.predict(batch.columns, batch.rows)
        self._metrics.observe(PREDICTION, time.perf_counter() - began)
        return answers
