"""HTTP on one side, references on the other. Imports no torch: the ingress has no model."""

from __future__ import annotations

from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from payloads.serving.http import JsonApi, RefusedError, Route
from payloads.serving.pipeline.describe import PipelineAnswer
from payloads.serving.pipeline.images import CONTENT_TYPES, Refusal, known
from payloads.serving.pipeline.settings import PipelineArgs


def parse(body: bytes) -> bytes:
    """The body itself, if it may be an image; raises RefusedError with 400. The decoder finds out the rest."""
    if not body:
        raise RefusedError(400, "the body is empty: send the bytes of an image")
    if not known(body):
        raise RefusedError(400, "the body is not a PNG or JPEG image or an npy file")
    return body


class Pipeline:
    """The ingress."""

    def __init__(
        self,
        args: PipelineArgs,
        decode: DeploymentHandle,
        detect: DeploymentHandle,
        keypoints: DeploymentHandle,
        describe: DeploymentHandle,
    ) -> None:
        self.args = args
        # Serve's high-throughput mode sends values by gRPC unless told otherwise, and would fetch each image into this
        # process in order to send it on.
        self.decode, self.detect, self.keypoints, self.describe = (
            handle.options(_by_reference=True) for handle in (decode, detect, keypoints, describe)
        )

    def __serve_build_asgi_app__(self) -> ASGIApp:
        route = Route(
            path="/describe",
            summary="Find, read and describe the digits of an image",
            parse=parse,
            answer=self.answer,
            request_schema={"type": "string", "format": "binary"},
            response_model=PipelineAnswer,
            deadline_s=self.args.deadline_s,
            refusals={
                400: "the body is no image, or one that is damaged",
                415: f"the body is not declared as {', '.join(CONTENT_TYPES)}",
                422: "the image has too many pixels or too few, or the array is of another type or shape",
            },
            content_types=CONTENT_TYPES,
            smaller="send a smaller image",
        )
        return JsonApi([route], self.args.max_body_bytes, title="Handwritten digits in a scene")

    async def answer(self, body: bytes, request_id: str) -> bytes:
        """The body of a 200; raises RefusedError with what a stage refuses."""
        image = self.decode.read.remote(body)
        found = self.detect.find.remote(image)
        read = self.keypoints.read.remote(image, found)
        told = await self.describe.tell.remote(found, read, request_id)
        if isinstance(told, Refusal):
            raise RefusedError(told.status, told.sentence)
        return told
