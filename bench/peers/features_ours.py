"""The feature pipeline over local files: `features_ours.py SOURCE OUT`. Prints seconds of Ray's start and of the work,
and the most memory that one of its processes had."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import psutil
import pyarrow.fs

from payloads.common.storage import Storage
from payloads.data import parquet
from payloads.features import contract, frame, pipeline
from payloads.features.settings import FeatureSettings
from payloads.features.stages import SPLITS, Job

WORKERS = 2
# Less than a fifth of the data: what is measured needs no room for all of it.
OBJECT_STORE_BYTES = 100 * 2**20


def main(source: Path, out: Path) -> None:
    import ray

    root = source.parent
    settings = FeatureSettings(run_name="bench", source=source.name, num_workers=WORKERS)
    declared = contract.load(settings.contract)
    for name in (*SPLITS, "quarantine", "_work/scan", "_work/measure", "_work/write"):
        (out / name).mkdir(parents=True)
    storage = Storage(pyarrow.fs.LocalFileSystem(), str(root))  # type: ignore[arg-type]
    started = time.monotonic()
    ray.init(
        "local", num_cpus=WORKERS, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False, log_to_driver=False
    )
    ready = time.monotonic()
    watch = Watch()
    origin = parquet.survey(storage, settings.folder, lambda schema: frame.misfit(schema, declared))
    plan = parquet.units(origin, settings.unit_mib * 2**20 // frame.row_bytes(declared))
    job = Job(storage, declared, str(out.relative_to(root)), settings.split_seed)
    outcome = pipeline.run(job, plan, origin, settings)
    ended = time.monotonic()
    result = {
        "init": ready - started,
        "seconds": ended - ready,
        "rows": sum(outcome.rows(name) for name in SPLITS),
        "worker_bytes": watch.stop(),
    }
    print(json.dumps(result))


class Watch:
    """The largest resident set of this process's children, looked at ten times a second."""

    def __init__(self) -> None:
        self.most = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def stop(self) -> int:
        self.ending.set()
        self.thread.join()
        return self.most

    def _look(self) -> None:
        while not self.ending.wait(0.1):
            for child in psutil.Process().children(recursive=True):
                try:
                    if child.name().startswith("ray::"):
                        memory = child.memory_info()
                        self.most = max(self.most, memory.rss - memory.shared)
                except psutil.NoSuchProcess:
                    continue


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
