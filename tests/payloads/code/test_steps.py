"""Optimizer steps in pieces, interrupted epochs, and when a training ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from payloads.common import checkpoints, seeds
from payloads.training.batches import shuffled
from payloads.training.loop import finished
from payloads.training.model import Mlp
from payloads.training.settings import TrainSettings
from payloads.training.steps import Progress, train_epoch

ROWS = 90


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(ROWS, 8, generator=generator), torch.randint(0, 3, (ROWS,), generator=generator)


def fresh(dropout: float = 0.0) -> tuple[Mlp, torch.optim.Optimizer]:
    seeds.seed_everything(3)
    model = Mlp(8, 3, hidden=16, depth=2, dropout=dropout)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2)


@pytest.mark.parametrize("pieces", [2, 3, 7, 100])
def test_a_batch_in_pieces_is_the_same_step(pieces: int):
    whole, cut = fresh(), fresh()
    losses = [
        train_epoch(model, optimizer, shuffled(data(), 20, seed=1, epoch=0), 1.0, count)
        for (model, optimizer), count in ((whole, 1), (cut, pieces))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    for one, other in zip(whole[0].parameters(), cut[0].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_an_epoch_interrupted_between_two_steps_ends_as_if_it_had_not_been():
    batches = list(shuffled(data(), 20, seed=1, epoch=0))
    model, optimizer = fresh(dropout=0.3)
    loss = train_epoch(model, optimizer, batches, 1.0)

    other, stepper = fresh(dropout=0.3)
    progress = Progress()
    train_epoch(other, stepper, batches[:2], 1.0, progress=progress)
    assert progress.step == 2
    saved = seeds.generator_state()
    torch.rand(100)
    seeds.restore_generator_state(saved)
    assert train_epoch(other, stepper, batches[2:], 1.0, progress=progress) == loss
    for one, again in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, again)


def test_what_comes_after_a_step_knows_how_many_there_were():
    model, optimizer = fresh()
    progress, seen = Progress(), []
    batches = shuffled(data(), 20, seed=1, epoch=0)
    train_epoch(model, optimizer, batches, 1.0, progress=progress, after_step=lambda: seen.append(progress.step))
    assert seen == [1, 2, 3, 4, 5]


def test_a_kernel_that_does_not_repeat_is_refused_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # put back afterwards
    racing = torch.zeros(4)
    try:
        seeds.only_repeatable_kernels()
        with pytest.raises(RuntimeError, match="does not have a deterministic implementation"):
            racing.put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
    racing.put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize(
    ("losses", "patience", "ended"),
    [
        ([], 1, False),
        ([1.0], 1, False),
        ([1.0, 1.0], 1, True),
        ([1.0, 0.9], 1, False),
        ([1.0, 0.9, 0.95], 1, True),
        ([1.0, 0.9, 0.95], 2, False),
        ([0.5, 0.9, 0.95], 2, True),
        ([0.5, 0.9, 0.4], 2, False),
        ([3.0] * 9, 0, False),
        ([3.0] * 10, 0, True),
    ],
)
def test_training_ends_when_nothing_has_got_better_for_as_long_as_patience(
    losses: list[float], patience: int, ended: bool
):
    settings = TrainSettings(run_name="a", epochs=10, patience=patience)
    assert finished([{"validation_loss": loss} for loss in losses], settings) is ended


def state_folder(folder: Path) -> Path:
    checkpoints.save_state(str(folder), {"model": torch.ones(1000)})
    checkpoints.save_rank_state(str(folder), 0, {"generators": torch.zeros(10)})
    return folder


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["state.pt", "rank-0000.pt"])
@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: path.write_bytes(path.read_bytes()[:-10]),
        lambda path: path.write_bytes(b""),
        lambda path: path.with_name(path.name + ".sha256").unlink(),
    ],
    ids=["flipped", "cut", "empty", "unsigned"],
)
def test_a_damaged_checkpoint_is_known_for_one(tmp_path: Path, name: str, damage):
    folder = state_folder(tmp_path)
    checkpoints.verify(str(folder))  # what is as it was written passes
    damage(folder / name)
    with pytest.raises(checkpoints.DamagedError, match=name):
        checkpoints.verify(str(tmp_path))


def test_a_checkpoint_without_its_state_is_damaged(tmp_path: Path):
    (state_folder(tmp_path) / "state.pt").unlink()
    with pytest.raises(checkpoints.DamagedError, match=r"state\.pt is missing"):
        checkpoints.verify(str(tmp_path))
