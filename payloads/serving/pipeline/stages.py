"""The stages that need no model. Nothing here imports torch: a replica is there at once and takes little memory.

Stages get their arguments as Ray hands them over, already fetched from the object store.
"""

from __future__ import annotations

import numpy as np

from payloads.serving.pipeline.describe import Found, Read, describe
from payloads.serving.pipeline.images import Refusal, decode
from payloads.serving.pipeline.settings import PipelineArgs


class Decode:
    """Bytes to pixels: all that a hostile file can do, it does here."""

    def __init__(self, args: PipelineArgs) -> None:
        self.args = args

    async def read(self, body: bytes) -> np.ndarray | Refusal:
        return decode(body, self.args.max_pixels)


class Describe:
    """Numbers to words."""

    async def tell(self, found: Found | Refusal, read: Read | Refusal, request_id: str) -> bytes | Refusal:
        """The body of the answer."""
        if isinstance(found, Refusal):
            return found
        if isinstance(read, Refusal):
            return read
        return describe(found, read, request_id).model_dump_json().encode()
