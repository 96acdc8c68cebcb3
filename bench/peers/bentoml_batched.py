"""The peer: BentoML with its adaptive batching, two workers. Its batches are of lists: a request is a list of one row.

Usage: python bentoml_batched.py MODEL PORT.

No postponed annotations here: BentoML reads the method's to make its own models of request and answer.
"""

import os
import sys
import uuid
from pathlib import Path

import bentoml
from batcher import MAX_BATCH, Model, PredictAnswer


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Classifier:
    def __init__(self) -> None:
        self.model = Model(os.environ["MODEL"])

    @bentoml.api(route="/predict", batchable=True, max_batch_size=MAX_BATCH)
    def predict(self, pixels: list[list[float]]) -> list[PredictAnswer]:
        return [
            PredictAnswer(label=str(label), confidence=confidence, model_version="1", request_id=uuid.uuid4().hex)
            for confidence, label in self.model(pixels)
        ]


if __name__ == "__main__":
    program = str(Path(sys.executable).with_name("bentoml"))
    # Its workers are started anew from the module's name, so the model's path goes through the environment.
    os.environ["MODEL"] = sys.argv[1]
    arguments = [program, "serve", "bentoml_batched:Classifier", "--host", "127.0.0.1", "--port", sys.argv[2]]
    os.chdir(Path(__file__).parent)
    os.execv(program, arguments)  # noqa: S606 - no shell is meant
