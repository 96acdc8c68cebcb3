"""The peer: LitServe with its own batching, two workers, as its guide shows it.

Usage: python litserve_batched.py MODEL PORT.

No postponed annotations here: FastAPI takes one that is a string for a query parameter, as LitServe hands it over.
"""

import sys
import uuid
from typing import Any

import litserve
from batcher import MAX_BATCH, MAX_WAIT_S, Model, PredictAnswer, PredictRequest


class Classifier(litserve.LitAPI):
    """Rows of up to 64 requests or 5 ms in one forward pass."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        self.model = Model(sys.argv[1])

    def decode_request(self, request: PredictRequest) -> list[float]:
        return request.pixels

    def batch(self, inputs: list[list[float]]) -> list[list[float]]:
        return inputs

    def predict(self, rows: list[list[float]]) -> list[tuple[float, int]]:
        return self.model(rows)

    def unbatch(self, output: list[tuple[float, int]]) -> list[tuple[float, int]]:
        return output

    def encode_response(self, output: Any) -> PredictAnswer:
        confidence, label = output
        return PredictAnswer(label=str(label), confidence=confidence, model_version="1", request_id=uuid.uuid4().hex)


if __name__ == "__main__":
    api = Classifier(max_batch_size=MAX_BATCH, batch_timeout=MAX_WAIT_S, api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
