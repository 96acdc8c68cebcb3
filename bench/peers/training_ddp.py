"""The peer: the same training as a careful team would write it without Ray, for torchrun.

Usage: torchrun training_ddp.py FOLDER SETTINGS. Reads the rows that training_ours.py wrote to FOLDER. Draws, weights
and order of batches are the same by construction, so the losses can be compared. Rank 0 writes the same JSON, without
`first_step`, to FOLDER/ddp.json.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from payloads.training.model import Mlp
from payloads.training.settings import TrainSettings


def main(folder: Path, settings: TrainSettings) -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    features, targets = torch.load(folder / f"rank-{rank}.pt")
    held_out, wanted = (part[rank::world] for part in torch.load(folder / "validation.pt"))
    torch.manual_seed(settings.seed + rank)
    network = Mlp(features.shape[1], int(targets.max()) + 1, settings.hidden, settings.depth, settings.dropout)
    model = DistributedDataParallel(network)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=settings.epochs)
    ends: list[float] = []
    losses: list[float] = []
    validation_losses: list[float] = []
    for epoch in range(settings.epochs):
        model.train()
        sums = torch.zeros(2, dtype=torch.float64)
        order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(settings.seed * 100_003 + epoch))
        for rows in order.split(settings.rows_per_worker):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(features[rows]), targets[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
            optimizer.step()
            sums += torch.tensor([loss.item() * len(rows), len(rows)], dtype=torch.float64)
        schedule.step()
        network.eval()
        with torch.inference_mode():
            loss = nn.functional.cross_entropy(network(held_out), wanted, reduction="sum")
        totals = torch.cat([sums, torch.tensor([loss.item(), len(wanted)], dtype=torch.float64)])
        dist.all_reduce(totals)
        losses.append(float(totals[0] / totals[1]))
        validation_losses.append(float(totals[2] / totals[3]))
        if rank == 0:
            state = {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, folder / f"ddp-{epoch % settings.checkpoints_kept}.pt")
        dist.barrier()
        ends.append(time.time())
    if rank == 0:
        result = {"ends": ends, "losses": losses, "validation_losses": validation_losses}
        (folder / "ddp.json").write_text(json.dumps(result))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), TrainSettings.model_validate_json(sys.argv[2]))
