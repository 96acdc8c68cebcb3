"""Updates on object storage: what was acknowledged is there, whatever dies.

Updates that arrive together are written as one segment, an object of its own, and only then acknowledged. Now and then
the sums are written as a snapshot that says which segments are in them. To recover is to read the snapshot and add the
segments that it lacks. Segments are named by their writer, so that two (an old Ray cluster and its successor during an
upgrade) never overwrite each other, and each reads the other's.
"""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass, field

import numpy as np
import pyarrow.fs

from payloads.common.storage import Storage
from payloads.serving.bandit.linucb import LinUcb, Update


@dataclass
class Journal:
    """The journal of one bandit below `folder`. `seen` are segments that are in `model`, `ids` the updates."""

    storage: Storage
    folder: str
    model: LinUcb
    seen: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    writer: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    written: int = 0

    def recover(self) -> None:
        """Bring `model` to all that was ever acknowledged."""
        state = self.storage.read_json(f"{self.folder}/snapshot.json")
        if state is not None:
            self.model = LinUcb.from_bytes(base64.b64decode(state["model"]))
            self.seen, self.ids = set(state["seen"]), set(state["ids"])
        self.catch_up()

    def catch_up(self) -> int:
        """Add the segments that others have written since; how many updates they brought."""
        selector = pyarrow.fs.FileSelector(self.storage.path(self.folder, "segments"), allow_not_found=True)
        names = sorted(info.base_name for info in self.storage.filesystem.get_file_info(selector) if info.is_file)
        before = self.model.updates
        for name in names:
            if name not in self.seen:
                content = self.storage.read(f"{self.folder}/segments/{name}") or b""
                for line in content.decode().splitlines():
                    self._add(_decode(line))
                self.seen.add(name)
        return self.model.updates - before

    def append(self, updates: list[Update]) -> None:
        """Write and then add `updates`; one whose id was there before counts once. After this they are safe."""
        fresh = {update.id: update for update in updates if update.id not in self.ids}
        if not fresh:
            return
        name = f"{self.writer}-{self.written:08d}.jsonl"
        text = "".join(_encode(update) + "\n" for update in fresh.values())
        self.storage.write(f"{self.folder}/segments/{name}", text.encode())
        self.written += 1
        self.seen.add(name)
        for update in fresh.values():
            self._add(update)

    def snapshot(self) -> None:
        """Write the sums with the names of what is in them. Segments stay: another writer may not have read them."""
        state = {
            "model": base64.b64encode(self.model.to_bytes()).decode(),
            "seen": sorted(self.seen),
            "ids": sorted(self.ids),
        }
        self.storage.write_json(f"{self.folder}/snapshot.json", state)

    def _add(self, update: Update) -> None:
        if update.id not in self.ids:
            self.ids.add(update.id)
            self.model.add(update)


def _encode(update: Update) -> str:
    return json.dumps([update.id, update.arm, update.context.tolist(), update.reward])


def _decode(line: str) -> Update:
    name, arm, context, reward = json.loads(line)
    return Update(name, arm, np.asarray(context, np.float64), reward)
