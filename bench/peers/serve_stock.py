"""The peers: Ray Serve as its guide shows it, two replicas, FastAPI ingress, `@serve.batch` of 64 rows or 5 ms.

Usage: python serve_stock.py MAX_ONGOING_REQUESTS MODEL PORT. Serve's default of 5 keeps batches that small and makes
its router back off as soon as ten requests are out, so a second peer raises this one setting and leaves the rest.

No postponed annotations here: Serve gives the method a signature of its own, in which FastAPI takes an annotation that
is a string for a query parameter.
"""

import signal
import sys
import uuid

import ray
from batcher import MAX_BATCH, MAX_WAIT_S, Model, PredictAnswer, PredictRequest
from fastapi import FastAPI
from ray import serve

api = FastAPI()


@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 1})
@serve.ingress(api)
class Classifier:
    def __init__(self, path: str) -> None:
        self.model = Model(path)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=MAX_WAIT_S)
    async def infer(self, rows: list[list[float]]) -> list[tuple[float, int]]:
        return self.model(rows)

    @api.post("/predict")
    async def predict(self, request: PredictRequest) -> PredictAnswer:
        confidence, label = await self.infer(request.pixels)
        return PredictAnswer(label=str(label), confidence=confidence, model_version="1", request_id=uuid.uuid4().hex)


if __name__ == "__main__":
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[3])})
    serve.run(Classifier.options(max_ongoing_requests=int(sys.argv[1])).bind(sys.argv[2]))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
