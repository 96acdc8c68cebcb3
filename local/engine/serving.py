"""Serving one plugin to the engine: a free loopback port, printed on stdout, until the engine interrupts it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

import grpc

# The engine's own limit; custom resource definitions of a megabyte and more pass through.
MAX_MESSAGE_BYTES = 400 * 1024 * 1024
PARENT_POLL_S = 1.0
SERVER_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
]


def serve(server: grpc.Server, *, on_stop: Callable[[], None]) -> int:
    """Blocks until SIGINT, SIGTERM or the engine's end; then calls `on_stop` and gives calls a moment to return."""
    engine = os.getppid()
    port = server.add_insecure_port("127.0.0.1:0")
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    server.start()
    print(port, flush=True)
    # An engine that was killed sends no signal; the change of parent tells, and a plugin must not outlive it.
    while not stop.wait(PARENT_POLL_S) and os.getppid() == engine:
        pass
    on_stop()
    # The engine kills a plugin five seconds after interrupting it.
    server.stop(grace=4).wait()
    return 0
