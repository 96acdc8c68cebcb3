"""The pipeline's stages in one deployment: the same HTTP code, the same functions, no reference and no hop."""

from __future__ import annotations

from typing import Any

from ray import serve

from payloads.serving.pipeline import models, stages
from payloads.serving.pipeline.images import Refusal
from payloads.serving.pipeline.ingress import Pipeline
from payloads.serving.pipeline.settings import PipelineArgs


class One(Pipeline):
    """All stages; each is awaited where the next one takes its result."""

    def __init__(self, args: PipelineArgs) -> None:
        self.args = args
        self.stages = (stages.Decode(args), models.Detect(args), models.Keypoints(args), stages.Describe())

    async def answer(self, body: bytes, request_id: str) -> bytes:
        decode, detect, keypoints, describe = self.stages
        image = await decode.read(body)
        found = await detect.find(image)
        told = await describe.tell(found, await keypoints.read(image, found), request_id)
        assert not isinstance(told, Refusal)
        return told


def app(args: dict[str, Any]) -> serve.Application:
    settings = PipelineArgs.model_validate(args)
    return serve.deployment(name="one", max_ongoing_requests=64)(serve.ingress()(One)).bind(settings)
