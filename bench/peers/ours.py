"""Our classifier as the serving stack runs it: two replicas, HAProxy, the payload's own settings.

Usage: python ours.py MODEL_NAME MAX_BATCH_SIZE PORT, with the registry in MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

import signal
import sys

import ray
from ray import serve

from payloads.serving.classifier import deployment
from payloads.serving.settings import ClassifierArgs

if __name__ == "__main__":
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[3])})
    served = deployment.options(num_replicas=2, ray_actor_options={"num_cpus": 1})
    serve.run(served.bind(ClassifierArgs(model_name=sys.argv[1], max_batch_size=int(sys.argv[2]))))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
