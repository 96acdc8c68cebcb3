"""The order of candidates: the ranker's for known users, as they came for unknown ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from payloads.recommend.retrieve import Candidates


@dataclass(frozen=True)
class Ranked:
    """Item positions int64 [n], best first, and scores float32 [n] that are comparable within one answer only."""

    items: np.ndarray
    scores: np.ndarray


@torch.inference_mode()
def rank(ranker: nn.Module, device: torch.device, groups: Sequence[Candidates]) -> list[Ranked]:
    """One forward pass over the candidates of all groups."""
    pairs = [
        np.stack([np.full(len(group.items), group.user), group.items], axis=1)
        for group in groups
        if group.user is not None and len(group.items)
    ]
    if not pairs:
        return [Ranked(group.items, group.scores) for group in groups]
    rows = torch.from_numpy(np.concatenate(pairs).astype(np.int64)).to(device)
    scores = ranker(rows)[:, 0].cpu().numpy()
    answers, at = [], 0
    for group in groups:
        if group.user is None:
            answers.append(Ranked(group.items, group.scores))
            continue
        own = scores[at : at + len(group.items)]
        at += len(group.items)
        order = np.argsort(-own, kind="stable")
        answers.append(Ranked(group.items[order], own[order]))
    return answers
