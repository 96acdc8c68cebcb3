"""Two towers that meet in an inner product, for retrieval, and a ranker that looks at a pair more closely.

Towers: Covington et al. 2016, "Deep neural networks for YouTube recommendations". Ranker: Guo et al. 2017, "DeepFM: a
factorization-machine based neural network for CTR prediction".
"""

from __future__ import annotations

import torch
from torch import nn


class Towers(nn.Module):
    """Vectors of users and items whose inner product is the log of how likely the pair is, up to a user's constant.

    `categories` int64 [items], `prices` float32 [items]. The last number of an item's vector is its popularity; of a
    user's it is 1.
    """

    categories: torch.Tensor
    prices: torch.Tensor

    def __init__(self, users: int, categories: torch.Tensor, prices: torch.Tensor, dim: int) -> None:
        super().__init__()
        self.register_buffer("categories", categories)
        self.register_buffer("prices", prices)
        items, kinds = len(categories), int(categories.max()) + 1
        self.user, self.item, self.kind = _table(users, dim), _table(items, dim), _table(kinds, dim)
        self.features = nn.Linear(2, dim)
        self.fame = nn.Embedding(items, 1)
        nn.init.zeros_(self.fame.weight)

    def user_vectors(self, users: torch.Tensor) -> torch.Tensor:
        """float32 [n, dim + 1] of positions int64 [n]."""
        return nn.functional.pad(self.user(users), (0, 1), value=1.0)

    def item_vectors(self, items: torch.Tensor) -> torch.Tensor:
        """float32 [n, dim + 1] of positions int64 [n]."""
        price = self.prices[items]
        features = self.features(torch.stack([price, price.square()], dim=1))
        return torch.cat([self.item(items) + self.kind(self.categories[items]) + features, self.fame(items)], dim=1)


class Ranker(nn.Module):
    """(user, item) positions int64 [n, 2] -> scores float32 [n, 1]; a higher one is a better pair.

    It corrects what the towers say. The fields of a pair are user, item, category and price, each a vector of the
    ranker's own; every two of them interact by their inner product, and all together in a small network.
    """

    def __init__(self, towers: Towers, dim: int) -> None:
        super().__init__()
        self.towers = towers
        users, items, kinds = (table.num_embeddings for table in (towers.user, towers.item, towers.kind))
        self.user, self.item, self.kind = _table(users, dim), _table(items, dim), _table(kinds, dim)
        self.price = nn.Linear(2, dim)
        self.fame = nn.Embedding(items, 1)
        nn.init.zeros_(self.fame.weight)
        self.deep = nn.Sequential(nn.Linear(4 * dim, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        users, items = pairs[:, 0], pairs[:, 1]
        near = (self.towers.user_vectors(users) * self.towers.item_vectors(items)).sum(1, keepdim=True)
        return near + self.correction(self.user(users), *self.item_fields(items))

    def item_fields(self, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions int64 [n] -> vectors of item, category and price [n, 3, dim], and popularity [n, 1]."""
        price = self.towers.prices[items]
        price = self.price(torch.stack([price, price.square()], dim=1))
        fields = torch.stack([self.item(items), self.kind(self.towers.categories[items]), price], dim=1)
        return fields, self.fame(items)

    def correction(self, users: torch.Tensor, fields: torch.Tensor, fame: torch.Tensor) -> torch.Tensor:
        """Vectors of users [..., dim] and what `item_fields` gave, [..., 3, dim] and [..., 1] -> [..., 1]."""
        fields = torch.cat([users.unsqueeze(-2), fields], dim=-2)
        # The sum of all inner products of two, by the identity of Rendle 2010, "Factorization machines".
        second = (fields.sum(-2).square() - fields.square().sum(-2)).sum(-1, keepdim=True) / 2
        return second + self.deep(fields.flatten(-2)) + fame


class Recommender(nn.Module):
    """Both, trained together: `forward` is their loss, so that DDP sees one module.

    `log_frequency` float32 [items] is the log share of each item among the train interactions.
    """

    log_frequency: torch.Tensor

    def __init__(self, ranker: Ranker, log_frequency: torch.Tensor) -> None:
        super().__init__()
        self.ranker = ranker
        self.register_buffer("log_frequency", log_frequency)

    def forward(self, users: torch.Tensor, items: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
        """Mean loss of interactions, int64 [n] twice, against other items of the batch and `negatives`, int64 [m]."""
        return self.retrieval_loss(users, items) + self.ranking_logits_loss(users, items, negatives)[0]

    def retrieval_loss(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Softmax over the items of the batch, corrected for how often each is drawn (Yi et al. 2019,
        "Sampling-bias-corrected neural modeling for large corpus item recommendations")."""
        logits = (
            self.ranker.towers.user_vectors(users) @ self.ranker.towers.item_vectors(items).T
            - self.log_frequency[items]
        )
        twins = (items[:, None] == items[None, :]) & ~torch.eye(len(items), dtype=torch.bool, device=items.device)
        return nn.functional.cross_entropy(
            logits.masked_fill(twins, float("-inf")), torch.arange(len(items), device=items.device)
        )

    def ranking_logits_loss(
        self, users: torch.Tensor, items: torch.Tensor, negatives: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Softmax over each row's item and `negatives`, drawn evenly; the loss, and each row's logits [n, 1 + m].

        The towers learn nothing from it: they are to find what is near, and not what the ranker leaves for them.
        """
        wanted, fame = self.ranker.item_fields(items)
        others, their_fame = self.ranker.item_fields(negatives)
        fields = torch.cat([wanted[:, None], others.expand(len(items), -1, -1, -1)], dim=1)
        fames = torch.cat([fame[:, None], their_fame.expand(len(items), -1, -1)], dim=1)
        vectors = self.ranker.user(users)[:, None].expand(-1, fields.shape[1], -1)
        with torch.no_grad():
            towers = self.ranker.towers
            place, here = towers.user_vectors(users), towers.item_vectors(items)
            near = torch.cat([(place * here).sum(1, keepdim=True), place @ towers.item_vectors(negatives).T], dim=1)
        logits = near + self.ranker.correction(vectors, fields, fames)[:, :, 0]
        return nn.functional.cross_entropy(logits, torch.zeros_like(items)), logits


def _table(rows: int, dim: int) -> nn.Embedding:
    table = nn.Embedding(rows, dim)
    nn.init.normal_(table.weight, std=0.1)
    return table
