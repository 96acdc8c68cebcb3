"""A carrier over HTTP that does as it is told, in a thread."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PRICE = 700


class CarrierServer:
    """`mode` is what it does: fine, failing, slow, cut_off, unserved, nonsense, endless. `asked` are its requests."""

    def __init__(self) -> None:
        self.mode = "fine"
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        status = {"failing": 500, "unserved": 404, "moved": 302}.get(self.mode, 200)
        body = b'{"price_cents": %d}' % PRICE
        if self.mode == "slow":
            time.sleep(0.6)
        elif self.mode == "cut_off":
            request.connection.close()
            request.close_connection = True
            return
        elif self.mode == "nonsense":
            body = b'{"price_cents": -1}'
        elif self.mode == "endless":
            body = b" " * (1 << 20)
        request.send_response(status)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
