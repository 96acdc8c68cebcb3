"""A real Redis on 127.0.0.1 that keeps nothing on disk, to be stopped, frozen and killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import redis

PASSWORD = "12345678"  # of digits alone: Feast would take it for a number


class RedisServer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port: int = listener.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {"MANTA_REDIS": f"127.0.0.1:{self.port}", "MANTA_REDIS_PASSWORD": PASSWORD}

    @property
    def client(self) -> redis.Redis:
        return redis.Redis("127.0.0.1", self.port, password=PASSWORD, socket_timeout=5)

    def start(self) -> None:
        configuration = self.folder / "redis.conf"
        configuration.write_text(
            f'bind 127.0.0.1\nport {self.port}\nsave ""\ndir {self.folder}\nrequirepass {PASSWORD}\nlogfile redis.log\n'
        )
        self.process = subprocess.Popen(["redis-server", str(configuration)])
        deadline = time.monotonic() + 60
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                assert self.process.poll() is None, f"redis-server ended: {self.folder}/redis.log"
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Everything in it is lost."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
