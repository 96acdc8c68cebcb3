"""The deployment that generates: one model from the storage in its memory, on a GPU where it is given one."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ray

from payloads.common import storage as object_storage
from payloads.common.settings import read_platform
from payloads.serving import model as serving_model
from payloads.serving.text.generate import Generator, Part
from payloads.serving.text.schemas import TextArgs, WriterCard
from payloads.text import network, store

SAMPLE = "Is this model able to write?"


class Writer:
    """Ready only with the model in memory and some tokens through it."""

    def __init__(self, args: TextArgs) -> None:
        device = serving_model.claim_device(ray.get_runtime_context().get_assigned_resources())
        storage = object_storage.open_storage(read_platform())
        version = args.model_version or store.latest(storage, args.model_name)
        with tempfile.TemporaryDirectory() as folder:
            store.fetch(storage, args.model_name, version, Path(folder))
            model, tokenizer = network.load(Path(folder))
        model = model.to(device)
        network.summarise(model, tokenizer, [SAMPLE], 4)
        self.generator = Generator(model, tokenizer, args.prefix, args.max_input_tokens)
        self.described = WriterCard(
            model_name=args.model_name,
            model_version=version,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            device=str(device),
        )

    async def write(self, text: str, max_new_tokens: int, deadline_s: float) -> AsyncIterator[tuple[str, Part]]:
        """The version that answers, with each part of the answer; see Generator.stream."""
        async for part in self.generator.stream(text, max_new_tokens, deadline_s):
            yield self.described.model_version, part

    async def card(self) -> dict[str, Any]:
        return self.described.model_dump()

    async def tally(self) -> dict[str, int]:
        return self.generator.report()

    async def check_health(self) -> None:
        """Called by Ray Serve; raising has the replica replaced. In a thread: summaries go on meanwhile."""
        generator = self.generator
        await asyncio.to_thread(network.summarise, generator.model, generator.tokenizer, [SAMPLE], 1)
