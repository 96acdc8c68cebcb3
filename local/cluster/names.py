"""Addresses and names that hold in every cluster of ours: in a network namespace of its own, none can clash."""

from __future__ import annotations

NODE_NAME = "manta"
NODE_ADDRESS = "10.200.0.1"
NODE_NETWORK = f"{NODE_ADDRESS}/24"
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"  # the API server gives itself the first address of SERVICE_NETWORK
CLUSTER_DOMAIN = "cluster.local"

API_PORT = 6443
ETCD_PORT = 2379
ETCD_PEER_PORT = 2380
KUBELET_PORT = 10250
DNS_PORT = 53

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
HOST_NETWORK = "host"  # the host's network namespace, as the node names it below /run/netns
HAPROXY_SOCKET = "/run/haproxy-master.sock"
PAUSE_IMAGE = "localhost/manta/pause:1"
VOLUMES = ("s3", "mlflow")
VOLUME_OWNER = 1000  # uid and gid of the user `ray`, whom the restricted pod security level forces us to run as
