"""The peer: one FastAPI process with a hand-written batcher, as a careful team would write it without Ray.

Typed body and answer, uvloop and httptools under uvicorn, up to 64 rows or 5 ms a batch, the forward pass in a thread
so that the event loop goes on reading on the other core. Usage: python fastapi_batched.py MODEL PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from batcher import MAX_BATCH, MAX_WAIT_S, Model, PredictAnswer, PredictRequest
from fastapi import FastAPI

Answer = tuple[float, int]


class Batcher:
    """A queue, and a task that turns what is in it into batches."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.queue: asyncio.Queue[tuple[list[float], asyncio.Future[Answer]]] = asyncio.Queue()
        self.pool = ThreadPoolExecutor(1)

    async def predict(self, pixels: list[float]) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((pixels, future))
        return await future

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self.queue.get()]
            deadline = loop.time() + MAX_WAIT_S
            while len(batch) < MAX_BATCH:
                try:
                    batch.append(self.queue.get_nowait())
                except asyncio.QueueEmpty:
                    try:
                        batch.append(await asyncio.wait_for(self.queue.get(), deadline - loop.time()))
                    except TimeoutError:
                        break
            answers = await loop.run_in_executor(self.pool, self.model, [pixels for pixels, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def build(model: Model) -> FastAPI:
    batcher = Batcher(model)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.run())
        yield
        task.cancel()

    api = FastAPI(lifespan=lifespan)

    @api.post("/predict")
    async def predict(request: PredictRequest) -> PredictAnswer:
        confidence, label = await batcher.predict(request.pixels)
        return PredictAnswer(label=str(label), confidence=confidence, model_version="1", request_id=uuid.uuid4().hex)

    return api


if __name__ == "__main__":
    uvicorn.run(
        build(Model(sys.argv[1])),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
