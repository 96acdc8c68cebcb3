"""How many of the held-out interactions a recommender finds, against simply recommending what is popular."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from payloads.recommend.dataset import Interactions
from payloads.recommend.rank import rank
from payloads.recommend.retrieve import Query, Retriever
from payloads.training.evaluate import Verdict

AT_ONCE = 256


@dataclass(frozen=True)
class Quality:
    """Recall: the share of held-out interactions among the first k, mean over users; what is seen is left out.

    `retrieved` is that of the neighbours alone, before the ranker, `reachable` that of all candidates: no ranker can
    have more. `ndcg` weighs a hit by 1 / log2(1 + place) (Järvelin and Kekäläinen 2002).
    """

    recall: float
    ndcg: float
    retrieved: float
    reachable: float
    popular: float
    users: int

    def as_metrics(self) -> dict[str, Any]:
        return {f"test_{name}": value for name, value in asdict(self).items()}


def evaluate(
    retriever: Retriever, ranker: nn.Module, data: Interactions, k: int, candidates: int, device: torch.device
) -> Quality:
    """Quality on the test part, through the code that serves. Users that the model does not know count as well."""
    held_out, seen = _by_user(data, (data.test,)), _by_user(data, (data.train, data.validation))
    popular = _named(retriever, retriever.catalogue.popular)
    sums = np.zeros(5)
    users = list(held_out)
    for start in range(0, len(users), AT_ONCE):
        chosen = users[start : start + AT_ONCE]
        # What the model calls seen includes what is asked for here: only what came before it is left out.
        found = retriever.find(
            [Query(data.users[user], candidates, tuple(seen.get(user, ())), again=True) for user in chosen]
        )
        for user, group, ranked in zip(chosen, found, rank(ranker, device, found), strict=True):
            wanted, old = held_out[user], seen.get(user, set())
            best = _named(retriever, ranked.items)
            unseen = itertools.islice((name for name in popular if name not in old), k)
            sums += [
                recall(best[:k], wanted),
                ndcg(best[:k], wanted),
                recall(_named(retriever, group.items[:k]), wanted),
                recall(best, wanted),
                recall(list(unseen), wanted),
            ]
    return Quality(*(sums / len(users)).tolist(), users=len(users))


def recall(found: Sequence[str], wanted: set[str]) -> float:
    return len(wanted.intersection(found)) / len(wanted)


def ndcg(found: Sequence[str], wanted: set[str]) -> float:
    gains = 1 / np.log2(np.arange(2, max(len(found), len(wanted)) + 2))
    hits = np.array([name in wanted for name in found], bool)
    return float(gains[: len(found)][hits].sum() / gains[: min(len(wanted), max(len(found), 1))].sum())


def judge(challenger: Quality, champion: Quality | None, least_lift: float) -> Verdict:
    """The gate: well above what is popular, and no worse than the champion on the same users. Equal passes."""
    floor = least_lift * challenger.popular
    if challenger.recall < floor:
        return Verdict(
            False, f"recall {challenger.recall:.4f} is below {least_lift:g} times {challenger.popular:.4f}, the popular"
        )
    if champion is not None and challenger.recall < champion.recall:
        return Verdict(False, f"recall {challenger.recall:.4f} is below the champion's {champion.recall:.4f}")
    rival = "there was no champion" if champion is None else f"the champion has {champion.recall:.4f}"
    return Verdict(True, f"recall {challenger.recall:.4f} passes the gate of {floor:.4f} and {rival}")


def _by_user(data: Interactions, parts: tuple[np.ndarray, ...]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for user, item in np.concatenate(parts).tolist():
        found.setdefault(user, set()).add(data.items[item])
    return found


def _named(retriever: Retriever, items: np.ndarray) -> list[str]:
    return retriever.catalogue.items[items].tolist()
