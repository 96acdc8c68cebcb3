"""Made interactions and a recommender that is trained on them in seconds without Ray, from the payload's own parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import faiss
import pyarrow.fs
import torch

from payloads.common.storage import Storage
from payloads.recommend import dataset, interactions, registry, steps
from payloads.recommend.catalogue import Catalogue
from payloads.recommend.dataset import Interactions
from payloads.recommend.interactions import World
from payloads.recommend.model import Recommender

WORLD = World(users=600, items=400, history=30, seed=7)


class Folder(Storage):
    """Storage in a folder of this machine, where S3's prefixes are folders that somebody has to make."""

    def write(self, path: str, content: bytes) -> None:
        Path(self.path(path)).parent.mkdir(parents=True, exist_ok=True)
        super().write(path, content)


@dataclass(frozen=True)
class Shop:
    data: Interactions
    network: Recommender
    catalogue: Catalogue


def read_world(folder: Path) -> Interactions:
    storage = Folder(pyarrow.fs.LocalFileSystem(), str(folder))  # type: ignore[arg-type]
    return dataset.read(storage, interactions.ensure(storage, WORLD), held_out=2)


def open_shop(folder: Path, epochs: int = 3) -> Shop:
    # Beside other work on few cores, threads that wait for each other take many times as long as one alone.
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    data = read_world(folder)
    torch.manual_seed(0)
    network = steps.build(data, dim=32, rank_dim=16)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    rows = torch.from_numpy(data.train)
    for epoch in range(epochs):
        steps.train_epoch(network, optimizer, rows, len(data.items), 256, 16, 0, epoch)
    return Shop(data, network.eval(), registry.catalogue_of(network, data))
