"""Entry point: prints the port it listens on, then serves until the engine interrupts it."""

from __future__ import annotations

import sys
from concurrent import futures

import grpc
from pulumi.runtime.proto import language_pb2_grpc

from local.engine.language_host.server import LanguageHost
from local.engine.serving import SERVER_OPTIONS, serve


def main() -> int:
    if len(sys.argv) < 2:
        print("This is a plugin of the Pulumi engine; `pulumi` starts it.", file=sys.stderr)
        return 1
    # The engine's address comes last, after logging flags.
    host = LanguageHost(sys.argv[-1])
    # A program, its policy packs and its plugins each hold one thread for as long as they run.
    server = grpc.server(futures.ThreadPoolExecutor(64), options=SERVER_OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    return serve(server, on_stop=host.close)


if __name__ == "__main__":
    sys.exit(main())
