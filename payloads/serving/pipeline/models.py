"""The stages with a model: where digits are, and which they are.

An image arrives as a read-only view of shared memory, and nobody may write to it.
"""

from __future__ import annotations

import mlflow
import numpy as np
import ray
import torch
from ray import serve
from torch import nn

from payloads.common.errors import PayloadError
from payloads.common.settings import read_platform
from payloads.common.tracking import connect, explained
from payloads.serving import model
from payloads.serving.pipeline.describe import Found, Read
from payloads.serving.pipeline.images import Refusal
from payloads.serving.pipeline.settings import ModelArgs, PipelineArgs
from payloads.vision import geometry
from payloads.vision.geometry import CROP
from payloads.vision.scenes import CANVAS, CLASSES


class Model:
    """A model of the registry on the device that Ray assigned; ready with one full batch behind it."""

    def __init__(self, args: ModelArgs, shape: tuple[int, ...], batch: int) -> None:
        platform = read_platform()
        self.device = model.claim_device(ray.get_runtime_context().get_assigned_resources())
        self.version = args.version or model.find_version(platform, args.model_name, args.alias)
        with explained(platform):
            connect(platform)
            uri = f"models:/{args.model_name}/{self.version}"
            info = mlflow.models.get_model_info(uri)
            self.module: nn.Module = mlflow.pytorch.load_model(uri, device=str(self.device))
        taken = info.signature.inputs.inputs[0].shape if info.signature else None
        if taken != (-1, *shape):
            raise PayloadError(
                f"model {args.model_name} version {self.version} takes inputs of shape {taken}, not {(-1, *shape)}"
            )
        self.shape = shape
        self(np.zeros((batch, *shape), np.float32))

    @torch.inference_mode()
    def __call__(self, inputs: np.ndarray) -> torch.Tensor:
        """The output for float32 [n, *shape], on the CPU."""
        return self.module(torch.from_numpy(inputs).to(self.device)).cpu()

    def check(self) -> None:
        """Raise RuntimeError if the model no longer computes: a lost GPU shows here, not in a ping."""
        if not torch.isfinite(self(np.zeros((2, *self.shape), np.float32))).all():
            raise RuntimeError("the model's answers are not numbers")


class Detect:
    """Where there are digits. Images of one moment go through the detector together."""

    def __init__(self, args: PipelineArgs) -> None:
        self.args = args
        self.model = Model(args.detector, (1, CANVAS, CANVAS), args.max_images)
        self.infer.set_max_batch_size(args.max_images)
        self.infer.set_batch_wait_timeout_s(args.batch_wait_timeout_s)

    async def find(self, image: np.ndarray | Refusal) -> Found | Refusal:
        if isinstance(image, Refusal):
            return image
        maps = await self.infer(geometry.fit_canvas(image))
        shape = (image.shape[0], image.shape[1])
        boxes = geometry.peaks(maps, shape, self.args.least_score, self.args.most_digits)
        return Found(boxes.places, boxes.scores, shape, self.model.version)

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.001)
    async def infer(self, canvases: list[np.ndarray]) -> list[torch.Tensor]:
        return list(self.model(np.stack(canvases)))

    def check_health(self) -> None:
        """Called by Ray Serve; raising has the replica replaced."""
        self.model.check()


def crops_of(groups: list[np.ndarray]) -> int:
    """Size of a batch: crops, not requests."""
    return sum(len(group) for group in groups)


class Keypoints:
    """Which digit is in each box, and its keypoints. Crops of several requests go through the reader together."""

    def __init__(self, args: PipelineArgs) -> None:
        self.args = args
        self.model = Model(args.reader, (1, CROP, CROP), args.max_crops)
        self.infer.set_max_batch_size(args.max_crops)
        self.infer.set_batch_wait_timeout_s(args.batch_wait_timeout_s)

    async def read(self, image: np.ndarray | Refusal, found: Found | Refusal) -> Read | Refusal:
        if isinstance(image, Refusal):
            return image
        if isinstance(found, Refusal):
            return found
        crops = geometry.crop_places(found.places)
        output = await self._through(geometry.cut(image, crops))
        classes = len(CLASSES)
        probabilities = torch.softmax(output[:, :classes], dim=1).numpy()
        points = geometry.points_in_image(output[:, classes:].numpy(), crops)
        return Read(probabilities, points, self.model.version)

    async def _through(self, crops: np.ndarray) -> torch.Tensor:
        if not len(crops):
            return torch.zeros((0, len(CLASSES) + 2 * len(geometry.POINTS)))
        most = self.args.max_crops
        # An image of many digits is no reason for a batch that is larger than memory was planned for.
        parts = np.split(crops, range(most, len(crops), most))
        return torch.cat([await self.infer(part) for part in parts])

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001, batch_size_fn=crops_of)
    async def infer(self, groups: list[np.ndarray]) -> list[torch.Tensor]:
        output = self.model(np.concatenate(groups))
        return list(output.split([len(group) for group in groups]))

    def check_health(self) -> None:
        """Called by Ray Serve; raising has the replica replaced."""
        self.model.check()
