"""Numbers and names that the rules hold things to. A test compares the versions with the project's matrix."""

from __future__ import annotations

RAY_VERSION = "2.60.0"
# Importing torch on a busy node has been seen to take longer than Ray's own 60 s.
REGISTER_TIMEOUT_S = 120
DOWNSCALE_DELAY_S = 120
# EC2 announces the end of a spot instance this long before it.
SPOT_NOTICE_S = 120
GRACEFUL_S = (20, 300)
RAY_DASHBOARD, RAY_CLIENT, RAY_GCS, SERVE_PORT = 8265, 10001, 6379, 8000
PRIVATE_PORTS = (RAY_DASHBOARD, RAY_CLIENT, RAY_GCS)
CAPACITY_TYPE = "karpenter.sh/capacity-type"
GPU = "nvidia.com/gpu"
REGISTRIES = (
    r"localhost/manta/",
    r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/",
    r"public\.ecr\.aws/",
    r"registry\.k8s\.io/",
    r"quay\.io/kuberay/",
    r"nvcr\.io/nvidia/",
)
