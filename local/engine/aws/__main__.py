"""Entry point: prints the port it listens on, then serves until the engine interrupts it."""

from __future__ import annotations

import sys
from concurrent import futures

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from local.engine.aws.provider import AwsProvider
from local.engine.serving import SERVER_OPTIONS, serve


def main() -> int:
    if len(sys.argv) < 2:
        print("This is a plugin of the Pulumi engine; `pulumi` starts it.", file=sys.stderr)
        return 1
    provider = AwsProvider()
    # A simulated account answers in milliseconds, and more threads than these would only wait for each other.
    server = grpc.server(futures.ThreadPoolExecutor(16), options=SERVER_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    return serve(server, on_stop=provider.close)


if __name__ == "__main__":
    sys.exit(main())
