"""Where the search looks, and where it starts."""

from __future__ import annotations

from typing import Any

from ray import tune

BATCH_SIZES = (128, 256, 512, 1024)
WIDTHS = (128, 256, 512)
DEPTH = 3
# The first trial of a search: whatever is drawn after that, the search does not end below what is known.
KNOWN_GOOD: dict[str, Any] = {"lr": 3e-3, "batch_size": 128, "hidden": 256, "dropout": 0.2, "weight_decay": 1e-4}


LR = (1e-5, 1e-2)
DROPOUT = (0.1, 0.5)


def space() -> dict[str, Any]:
    """The hyperparameters of a trial and their distributions."""
    return {
        "lr": tune.loguniform(*LR),
        "batch_size": tune.choice(list(BATCH_SIZES)),
        "hidden": tune.choice(list(WIDTHS)),
        "dropout": tune.uniform(*DROPOUT),
        "weight_decay": tune.loguniform(1e-6, 1e-3),
    }


def population() -> dict[str, Any]:
    """The same for a population: its members exchange weights, so their networks have one size."""
    return {**space(), "hidden": KNOWN_GOOD["hidden"], "batch_size": KNOWN_GOOD["batch_size"]}


def mutations() -> dict[str, Any]:
    """What a member changes when it takes over another's weights."""
    return {"lr": tune.loguniform(*LR), "dropout": tune.uniform(*DROPOUT)}


def bounded(config: dict[str, Any]) -> dict[str, Any]:
    """`config` with what was changed put back into its range: factors of 1.2 add up, and no dropout is above 1."""
    low_high = {"lr": LR, "dropout": DROPOUT}
    return {**config, **{name: min(max(config[name], low), high) for name, (low, high) in low_high.items()}}
