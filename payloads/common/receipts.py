"""Receipts of finished units of work, one small object each.

A receipt is written after what it vouches for, so a unit that has one need not be done again, and one that has none is
done again whole. It holds nothing that depends on when or where the work was done.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow.fs

from payloads.common.storage import Storage

AT_ONCE = 16
Receipt = dict[str, Any]


@dataclass(frozen=True)
class Receipts:
    """The receipts below one folder, by the number of their unit."""

    storage: Storage
    folder: str

    def leave(self, number: int, receipt: Receipt) -> Receipt:
        self.storage.write_json(self._path(number), receipt)
        return receipt

    def found(self) -> dict[int, Receipt]:
        """All receipts that are there, in the order of their units."""
        selector = pyarrow.fs.FileSelector(self.storage.path(self.folder), allow_not_found=True)
        infos = self.storage.filesystem.get_file_info(selector)
        numbers = sorted(int(info.base_name.split(".")[0]) for info in infos if info.is_file)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            read = pool.map(lambda number: self.storage.read_json(self._path(number)), numbers)
            return {number: receipt for number, receipt in zip(numbers, read, strict=True) if receipt is not None}

    def _path(self, number: int) -> str:
        return f"{self.folder}/{number:06d}.json"
