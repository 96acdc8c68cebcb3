"""A Kubernetes provider for previews without a cluster: what is asked for is what there is. It can make nothing."""

# ruff: noqa: ARG002, N802 - names and arguments are the protocol's
from __future__ import annotations

import sys
import threading
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

NAMES = (
    "ray",
    "ray-operator",
    "versitygw",
    "prometheus-operator",
    "prometheus-config-reloader",
    "prometheus",
    "alertmanager",
)
# What an environment records of its images; the one thing that a platform reads.
IMAGES = {name: f"localhost/manta/{name}@sha256:{'a' * 64}" for name in NAMES}
SECRET = "4dabf18193072939515e22adb298388d"
SIZES = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]


class OfflineProvider(provider_pb2_grpc.ResourceProviderServicer):
    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_outputs=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="4.34.2")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        """What differs at the top; another name or place is another object."""
        old, new = (_bare(json_format.MessageToDict(each)) for each in (request.old_inputs, request.news))
        changed = [key for key in sorted({*old, *new}) if not key.startswith("__") and old.get(key) != new.get(key)]
        identity = [[each.get("metadata", {}).get(key) for key in ("name", "namespace")] for each in (old, new)]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=["metadata"] if identity[0] != identity[1] else [],
        )

    def Create(self, request: Any, context: Any) -> Any:
        if not request.preview:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "this provider only previews")
        return provider_pb2.CreateResponse(properties=request.properties)

    def Update(self, request: Any, context: Any) -> Any:
        if not request.preview:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "this provider only previews")
        return provider_pb2.UpdateResponse(properties=request.news)

    def Read(self, request: Any, context: Any) -> Any:
        if request.id != "kube-public/manta-images":
            return provider_pb2.ReadResponse()
        namespace, name = request.id.split("/")
        properties = struct_pb2.Struct()
        properties.update(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": namespace},
                "data": IMAGES,
            }
        )
        return provider_pb2.ReadResponse(id=request.id, properties=properties, inputs=properties)


def _bare(value: Any) -> Any:
    """`value` without the wrapping that marks secrets."""
    if isinstance(value, dict):
        return _bare(value["value"]) if SECRET in value else {key: _bare(inner) for key, inner in value.items()}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(16), options=SIZES)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(OfflineProvider(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    # The engine ends its plugins by closing their input or by a signal.
    threading.Thread(target=lambda: (sys.stdin.read(), server.stop(0)), daemon=True).start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
