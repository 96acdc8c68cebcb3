"""Entry point: prints the port it listens on, then serves until the engine interrupts it."""

from __future__ import annotations

import sys
import warnings
from concurrent import futures

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from local.engine.kubernetes.provider import KubernetesProvider
from local.engine.serving import SERVER_OPTIONS, serve


def main() -> int:
    if len(sys.argv) < 2:
        print("This is a plugin of the Pulumi engine; `pulumi` starts it.", file=sys.stderr)
        return 1
    # A kubeconfig that turns verification off says so itself; a line per request would bury what matters.
    warnings.simplefilter("ignore")
    provider = KubernetesProvider(sys.argv[-1])
    # A call holds its thread while it waits for an object: as many as the engine may have under way at once.
    server = grpc.server(futures.ThreadPoolExecutor(512), options=SERVER_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    return serve(server, on_stop=provider.close)


if __name__ == "__main__":
    sys.exit(main())
