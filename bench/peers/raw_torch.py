"""What the machine's two cores compute at most: the model alone, 64 rows at a time, a process and a thread a core.

Usage: python raw_torch.py MODEL SECONDS. Prints the rows a second of both processes together.
"""

from __future__ import annotations

import multiprocessing
import sys
import time

import torch
from batcher import MAX_BATCH


def compute(model: str, seconds: float, together: multiprocessing.Barrier, rows: multiprocessing.Value) -> None:
    torch.set_num_threads(1)
    module = torch.export.load(model).module()
    batch = torch.rand(MAX_BATCH, 64) * 16
    done = 0
    with torch.inference_mode():
        module(batch)
        together.wait()
        ended = time.monotonic() + seconds
        while time.monotonic() < ended:
            module(batch)
            done += MAX_BATCH
    with rows.get_lock():
        rows.value += done


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    seconds, together, rows = float(sys.argv[2]), context.Barrier(2), context.Value("q", 0)
    processes = [context.Process(target=compute, args=(sys.argv[1], seconds, together, rows)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    print(rows.value / seconds)
