"""The peer: one FastAPI process with a hand-written batcher, as a careful team would write it without Ray.

Typed body and answer, uvloop and httptools under uvicorn, up to 64 rows or 5 ms a batch, the forward pass in a
thread so that the event loop goes on reading on the other core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import mlflow
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

MAX_BATCH = 64
MAX_WAIT_S = 0.005


class PredictRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    pixels: Annotated[list[FiniteFloat], Field(min_length=64, max_length=64)]


class PredictAnswer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())
    label: str
    confidence: float
    model_version: str
    request_id: str


class Batcher:
    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.queue: asyncio.Queue[tuple[list[float], asyncio.Future[tuple[float, int]]]] = asyncio.Queue()
        self.pool = ThreadPoolExecutor(1)

    async def predict(self, pixels: list[float]) -> tuple[float, int]:
        future: asyncio.Future[tuple[float, int]] = asyncio.get_running_loop().create_future()
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
                    left = deadline - loop.time()
                    if left <= 0:
                        break
                    try:
                        batch.append(await asyncio.wait_for(self.queue.get(), left))
                    except TimeoutError:
                        break
            answers = await loop.run_in_executor(self.pool, self.forward, [pixels for pixels, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    @torch.inference_mode()
    def forward(self, rows: list[list[float]]) -> list[tuple[float, int]]:
        confidence, label = torch.softmax(self.module(torch.tensor(rows)), dim=1).max(dim=1)
        return list(zip(confidence.tolist(), label.tolist(), strict=True))


def build(model_uri: str, version: str) -> FastAPI:
    batcher = Batcher(mlflow.pytorch.load_model(model_uri))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.run())
        yield
        task.cancel()

    api = FastAPI(lifespan=lifespan)

    @api.get("/healthz")
    async def healthz() -> str:
        return "ok"

    @api.post("/predict")
    async def predict(request: PredictRequest) -> PredictAnswer:
        confidence, label = await batcher.predict(request.pixels)
        return PredictAnswer(
            label=str(label), confidence=confidence, model_version=version, request_id=uuid.uuid4().hex
        )

    return api


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    name, _, version = options.model.removeprefix("models:/").partition("/")
    uvicorn.run(
        build(f"models:/{name}/{version}", version),
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
