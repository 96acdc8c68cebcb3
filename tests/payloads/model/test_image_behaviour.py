"""What the network of images must do, trained in seconds without Ray from the payload's own parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
import torch

from payloads.common.storage import Storage
from payloads.images import dataset, pipeline, sample, source, stages
from payloads.images.augment import Recipe
from payloads.images.decode import Form
from payloads.images.feed import Augmenter, Cutter, Plan, Stream
from payloads.images.network import Network, normalisation
from payloads.images.settings import ImageSettings
from payloads.training.steps import train_epoch

IMAGES, EPOCHS, ROWS = 500, 7, 16
RECIPE = Recipe(flip=0, rotate=5, shift=0.06, zoom=0.05, jitter=0.2, hue=0, seed=42)


@dataclass(frozen=True)
class Prepared:
    """Prepared digit scans on this machine's disk."""

    storage: Storage
    manifest: dataset.Manifest

    def split(self, name: str) -> pa.Table:
        return pa.concat_tables(pq.read_table(self.storage.path(file["path"])) for file in self.manifest.files[name])

    def arrays(self, rank: int, world: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """What one rank trains on in one epoch."""
        plan = Plan.of(self.manifest, seed=42, world=world)
        stream = Stream(self.storage, plan, rank, EPOCHS, RECIPE, self.manifest.shape, actors=1, cpus=1)
        augmenter = Augmenter(self.storage, RECIPE, self.manifest.shape)
        pieces = augmenter(pa.Table.from_pylist(stream.work(epoch)))
        return Cutter((piece["pixels"], piece["target"]) for piece in pieces).take(plan.rows(epoch))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    root = tmp_path_factory.mktemp("images")
    storage = Storage(pyarrow.fs.LocalFileSystem(), str(root))  # type: ignore[arg-type]
    for folder in ("_work/decode", "_work/decoded", "_work/write", *stages.SPLITS):
        (root / "out" / folder).mkdir(parents=True)
    for path, content in list(sample.digits())[:IMAGES]:
        file = root / "source" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    settings = ImageSettings(run_name="x")
    job = stages.Job(storage, "out", Form(settings.size, settings.mode, settings.max_pixels), 2**20)
    plan = source.units(source.survey(storage, "source", "label"), 128)
    decoded = [stages.decode(job, unit) for unit in plan]
    where = pipeline.cuts(decoded, {}, settings)
    written = [stages.write(job, where, {}, unit) for unit in plan]
    outcome = pipeline.outcome(decoded, written, where.classes, {})
    return Prepared(storage, dataset.manifest(job, "", IMAGES, outcome))


@dataclass(frozen=True)
class Trained:
    model: Network
    pixels: torch.Tensor
    targets: np.ndarray

    @torch.inference_mode()
    def labels(self, pixels: torch.Tensor) -> np.ndarray:
        return self.model(pixels).argmax(dim=1).numpy()


@pytest.fixture(scope="module")
def trained(prepared: Prepared) -> Trained:
    torch.manual_seed(0)
    network = Network(normalisation("train", prepared.manifest), len(prepared.manifest.classes), width=8)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
    for epoch in range(EPOCHS):
        pixels, targets = (torch.from_numpy(each) for each in prepared.arrays(0, 1, epoch))
        train_epoch(network, optimizer, list(zip(pixels.float().split(ROWS), targets.split(ROWS), strict=True)), 1.0)
        schedule.step()
    table = prepared.split("test")
    pixels = torch.from_numpy(stages.pixels_of(table, prepared.manifest.shape).copy()).float()
    return Trained(network.eval(), pixels, table["target"].to_numpy())


@pytest.mark.parametrize("world", [1, 2])
def test_every_train_image_is_seen_once_an_epoch_and_no_other(prepared: Prepared, world: int):
    table = prepared.split("train")
    wanted = np.bincount(table["target"].to_numpy(), minlength=10)
    seen = sum(np.bincount(prepared.arrays(rank, world, 0)[1], minlength=10) for rank in range(world))
    assert (seen <= wanted).all()
    assert wanted.sum() - seen.sum() < stages.GROUP_ROWS if world > 1 else (seen == wanted).all()


def test_an_epoch_seen_again_after_a_restart_is_the_same_to_the_last_byte(prepared: Prepared):
    first, again, other = (prepared.arrays(1, 2, epoch) for epoch in (3, 3, 4))
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert first[0].tobytes() != other[0].tobytes()


def test_digits_never_seen_are_recognised(trained: Trained):
    assert (trained.labels(trained.pixels) == trained.targets).mean() >= 0.9


def test_a_lighter_pen_changes_no_answer(trained: Trained):
    assert (trained.labels(trained.pixels * 0.85) == trained.labels(trained.pixels)).mean() >= 0.95


def test_a_shift_by_one_pixel_of_sixteen_changes_few_answers(trained: Trained):
    for axis in (2, 3):
        moved = trained.labels(trained.pixels.roll(1, dims=axis))
        assert (moved == trained.labels(trained.pixels)).mean() >= 0.85


def test_a_mirrored_digit_is_another_sign(trained: Trained):
    """Why digits are not flipped in training: a mirrored 2 or 3 is none any more."""
    bent = np.isin(trained.targets, (2, 3, 4, 5, 6, 7, 9))
    mirrored = trained.labels(trained.pixels.flip(3))
    assert (mirrored[bent] == trained.targets[bent]).mean() < 0.6
